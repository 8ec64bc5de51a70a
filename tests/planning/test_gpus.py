"""Forecast speeds on GPUs agree with published ones, and forecast memory with what training allocates."""

import math

import pytest
from small_recipe import small_recipe

from rexplug.errors import RecipeError
from rexplug.model.family import SIZES
from rexplug.planning import GPUS, find_gpu, forecast_on_gpu, make_plan, training_memory
from rexplug.planning.gpus import gpu_of_device, share_of_peak
from rexplug.planning.phases import assumed_attended
from rexplug.recipe import load_recipe
from rexplug.run_directory import RunDirectory


def plan_of(tmp_path, *, size="base", tokens="350B", context=8192, masked=0.3, microbatch=98_304):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"""
name: paper
sources: {{web: {{use: text, paths: nowhere}}}}
tokenizer: {{use: train, vocabulary: 50368}}
model: {{size: {size}}}
phases:
  - name: only
    tokens: {tokens}
    context: {context}
    batch_tokens: 4718592
    microbatch_tokens: {microbatch}
    learning_rate: {{peak: 8e-4, schedule: constant}}
    mixing: {{use: annealing.constant, shares: {{web: 1}}}}
    masking: {{use: random, rate: {masked}}}
"""
    )
    return make_plan(load_recipe(path), RunDirectory(tmp_path / "run"))


def test_the_domain_phase_of_a_base_model_on_four_h100(tmp_path):
    # 350B tokens of 150M at about 235k tokens/s and GPU take about 104 hours.
    gpu_forecast = forecast_on_gpu(plan_of(tmp_path, masked=0.15), GPUS["h100"], 4)
    assert gpu_forecast.seconds / 3600 == pytest.approx(104, rel=0.03)
    assert gpu_forecast.gpu_hours == pytest.approx(4 * gpu_forecast.seconds / 3600)


@pytest.mark.parametrize(
    ("size", "context", "tokens", "hours"),
    [
        ("base", 1024, "1.719T", 191.1),
        ("base", 8192, "250B", 36.3),
        ("base", 8192, "50B", 7.5),
        ("large", 1024, "1.719T", 420.4),
        ("large", 8192, "250B", 75.1),
        ("large", 8192, "50B", 15.3),
    ],
)
def test_the_published_hours_of_modernbert_on_eight_h100(tmp_path, size, context, tokens, hours):
    gpu_forecast = forecast_on_gpu(plan_of(tmp_path, size=size, context=context, tokens=tokens), GPUS["h100"], 8)
    assert gpu_forecast.seconds / 3600 == pytest.approx(hours, rel=0.05)


def test_the_published_speed_of_a_base_model_on_an_rtx_4090(tmp_path):
    (phase,) = forecast_on_gpu(plan_of(tmp_path, context=1024), GPUS["4090"], 1).phases
    assert phase.tokens_per_second == pytest.approx(50e3, rel=0.05)


def test_shares_of_the_peak_lie_between_the_published_ones():
    assert share_of_peak(SIZES["base"].without_embedding) == pytest.approx(0.26, abs=0.002)
    assert share_of_peak(SIZES["micro"].without_embedding) == pytest.approx(0.058, abs=0.001)
    shares = [share_of_peak(SIZES[name].without_embedding) for name in ("nano", "micro", "mini", "base", "large")]
    assert shares == sorted(shares)


def test_a_model_below_the_smallest_published_one_is_not_faster(tmp_path):
    (phase,) = forecast_on_gpu(plan_of(tmp_path, size="nano", context=1024), GPUS["h100"], 1).phases
    assert phase.tokens_per_second == 985e3


def test_speed_on_other_gpus_follows_their_peaks_and_what_was_measured(tmp_path):
    plan = plan_of(tmp_path)
    h100, a100 = (forecast_on_gpu(plan, GPUS[name], 1) for name in ("h100", "a100"))
    assert a100.seconds / h100.seconds == pytest.approx(989 / 312)
    slower = forecast_on_gpu(plan, GPUS["h100"], 1, factor=1.25)
    assert slower.seconds == pytest.approx(1.25 * h100.seconds)
    assert (slower.measured, h100.measured) == (True, False)


def test_memory_of_a_base_model_part_by_part(tmp_path):
    plan = plan_of(tmp_path, context=1024)
    memory = training_memory(plan.shape, plan.rows, plan.phases[0], gpu=True, processes=8)
    parameters, tokens, masked = 149_655_232, 98_304, 0.3 * 98_304
    assert (memory.weights, memory.gradients, memory.moments) == (4 * parameters, 4 * parameters, 8 * parameters)
    assert memory.copies == 2 * parameters, "gradients are in the buckets that are sent to other ranks"
    assert memory.activations == pytest.approx(tokens * (22 * (17 * 768 + 7 * 1152) + 12 * 768) + masked * 16 * 768)
    assert memory.logits == 10_624 * 50_368 * 2 + 4 * 50_368 * 768, "10,624 tokens: 2^29 logits, rounded down to 64s"
    allocated = memory.activations + memory.logits + memory.weights + memory.gradients + memory.moments
    assert allocated == pytest.approx(46.3 * 2**30, rel=0.03), "measured on an H200: docs/benchmarks/gpu.md"


@pytest.mark.parametrize(("size", "parameters", "hidden"), [("small", 140_897_536, 384), ("base", 307_786_240, 768)])
def test_memory_of_mmbert_counts_its_vocabulary(tmp_path, size, parameters, hidden):
    name = f"jhu-clsp/mmBERT-{size}"
    path = tmp_path / "recipe.yaml"
    sources = "{web: {use: text, paths: nowhere}}"
    path.write_text(small_recipe(sources, model=f"{{from: {name}}}", tokenizer=f"{{from: {name}}}"))
    plan = make_plan(load_recipe(path, ["phases.anneal.microbatch_tokens=65536", "phases.anneal.batch_tokens=65536"]),
                     RunDirectory(tmp_path / "run"))  # fmt: skip
    assert (plan.rows, plan.parameters) == (256_000, parameters)
    gpu, cpu = (training_memory(plan.shape, plan.rows, plan.phases[0], gpu=on_gpu) for on_gpu in (True, False))
    matrix = 4 * 256_000 * hidden
    assert gpu.weights == cpu.weights == 4 * parameters
    # 2,048 tokens are 2^29 logits; 64 tokens, the smallest chunk, are more than 2^22.
    assert gpu.logits == 2048 * 256_000 * 2 + matrix
    assert cpu.logits == max(64 * 256_000 * 12 + matrix, 2 * matrix)
    needed = 16 * parameters + max(8 * parameters, cpu.activations + cpu.logits)
    assert cpu.total == pytest.approx(1.1 * needed + cpu.process), (
        "the optimizer's temporaries come after a row's tensors"
    )


def test_memory_of_a_model_that_is_sharded_over_eight_gpus(tmp_path):
    plan = plan_of(tmp_path, context=1024)
    shards, copies, small = (
        training_memory(plan.shape, plan.rows, plan.phases[0], gpu=True, processes=8, **options)
        for options in ({"parallel": "fsdp"}, {"room": 80e9}, {"room": 9e9})
    )
    parameters, layers = 149_655_232, plan.shape.without_embedding
    assert shards.weights == shards.gradients == 4 * parameters / 8
    assert shards.moments == 8 * parameters / 8
    assert shards.copies == 8 * (parameters - layers) + 10 * layers / 22
    assert (copies.weights, copies.activations) == (4 * parameters, shards.activations)
    assert small == shards, "auto shards where a copy would take more than a quarter of the memory"


def test_how_many_tokens_fit(tmp_path):
    plan = plan_of(tmp_path, context=1024)
    gpu_forecast = forecast_on_gpu(plan, GPUS["l4"], 8)
    assert not gpu_forecast.fits
    most = gpu_forecast.largest.memory.tokens_that_fit(24e9)
    smaller = forecast_on_gpu(plan_of(tmp_path, context=1024, microbatch=most // 1024 * 1024), GPUS["l4"], 8)
    assert smaller.fits
    assert forecast_on_gpu(plan_of(tmp_path, context=1024, microbatch=most + 2048), GPUS["l4"], 8).fits is False
    assert gpu_forecast.largest.memory.tokens_that_fit(1e9) == 0


def test_gpus_are_found_in_any_spelling():
    for name in ("h100", "H100", "NVIDIA H100", "RTX 4090", "geforce-rtx-4090", "4090", "A100"):
        assert find_gpu(name).name in name.lower()
    with pytest.raises(
        RecipeError, match=r"--gpu: no GPU is called 'h10'; did you mean 'h100'\? \(known: h100, h200, "
    ):
        find_gpu("h10")
    with pytest.raises(RecipeError, match=r"no GPU is called 'abacus' \(known: h100, h200, a100, l4, 4090\)"):
        find_gpu("abacus")


def test_gpus_are_known_by_their_driver_s_name():
    assert gpu_of_device("NVIDIA H100 80GB HBM3") is GPUS["h100"]
    assert gpu_of_device("NVIDIA GeForce RTX 4090") is GPUS["4090"]
    assert gpu_of_device("NVIDIA A100-SXM4-80GB") is GPUS["a100"]
    assert gpu_of_device("NVIDIA L4") is GPUS["l4"]
    other = gpu_of_device("NVIDIA L40S")
    assert (other.peak, other.memory) == (362e12, math.inf)
    assert gpu_of_device("NVIDIA H100 PCIe").peak == 756e12
    assert gpu_of_device("Some other device") is None
    assert gpu_of_device("") is None


def test_samples_are_assumed_to_fill_short_contexts_and_a_part_of_long_ones():
    assert [assumed_attended(context) for context in (64, 1024)] == [64, 1024]
    assert 4000 < assumed_attended(8192) < 5000


def test_an_unknown_shape_gets_no_notes(tmp_path):
    path = tmp_path / "recipe.yaml"
    plan_of(tmp_path)
    text = path.read_text().replace("model: {size: base}", "model: {from: nobody/has-this}")
    path.write_text(text.replace("{use: train, vocabulary: 50368}", "{from: nobody/has-this}"))
    assert forecast_on_gpu(make_plan(load_recipe(path), RunDirectory(tmp_path / "run")), GPUS["h100"], 1) is None
