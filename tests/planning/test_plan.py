"""Plans agree with what a run then does."""

import json
import subprocess
import sys

import numpy as np
import pytest
from command_line import ROOT, rexplug

from rexplug.cli.costs import Price
from rexplug.cli.sparkline import sparkline
from rexplug.errors import RecipeError
from rexplug.model.family import MODERNBERT, SIZES, embedding_rows
from rexplug.phase_stream import phase_stream
from rexplug.planning import make_plan
from rexplug.recipe import load_recipe
from rexplug.run_directory import RunDirectory

RECIPE = ROOT / "recipes/ecommerce.yaml"


@pytest.mark.parametrize(
    ("size", "encoder", "with_head", "without_embedding"),
    [
        (SIZES["micro"], 16_797_440, 16_913_600, 3_902_976),
        (MODERNBERT.releases["jhu-clsp/ettin-encoder-32m"].shape, 31_883_136, 32_081_344, 12_541_440),
        (SIZES["mini"], 68_144_640, 68_457_664, 42_355_712),
        (SIZES["base"], 149_014_272, 149_655_232, 110_330_880),
        (SIZES["large"], 394_781_696, 395_881_664, 343_203_840),
        (MODERNBERT.releases["jhu-clsp/ettin-encoder-1b"].shape, 1_028_050_688, 1_031_314_112, 937_789_440),
    ],
)
def test_parameters_of_the_published_shapes(size, encoder, with_head, without_embedding):
    assert size.encoder(50_368) == encoder
    assert size.parameters(50_368) == with_head
    assert size.without_embedding == without_embedding
    assert [size.global_layers, size.layers - size.global_layers] == {
        7: [3, 4], 10: [4, 6], 19: [7, 12], 22: [8, 14], 28: [10, 18],
    }[size.layers]  # fmt: skip


@pytest.mark.parametrize(("name", "in_all", "without_embedding"), [("small", 140e6, 42e6), ("base", 307e6, 110e6)])
def test_parameters_of_mmbert_are_those_of_its_readme(name, in_all, without_embedding):
    release = MODERNBERT.releases[f"jhu-clsp/mmBERT-{name}"]
    assert release.rows == 256_000
    assert release.shape.encoder(release.rows) == pytest.approx(in_all, abs=0.6e6)
    assert release.shape.without_embedding == pytest.approx(without_embedding, abs=0.6e6)


def test_operations_of_base_at_1024_with_the_head_on_30_percent():
    # ModernBERT-base at 1,024 needs about 0.82 GFLOP a token.
    assert SIZES["base"].flops_per_token(50_368, attended=1024, masked=0.3) == pytest.approx(0.82e9, rel=0.01)
    short = SIZES["base"].flops_per_token(50_368, attended=100, masked=0.3)
    assert short < SIZES["base"].flops_per_token(50_368, attended=129, masked=0.3)


def test_parameters_equal_those_of_the_built_model():
    from rexplug.model import build_model
    from rexplug.recipe.schema import Model
    from rexplug.tokens.special import SpecialTokens

    special = SpecialTokens(cls=2, sep=3, pad=0, mask=4, vocabulary_size=300, all=frozenset(range(5)))
    model = build_model(Model(size="nano"), special, context=64, seed=1)
    assert sum(parameter.numel() for parameter in model.parameters()) == SIZES["nano"].parameters(embedding_rows(300))
    assert embedding_rows(300) == embedding_rows(320) == 320


def test_tokens_epochs_and_steps_are_those_of_the_stream(tokenized_run):
    _, recipe, run = tokenized_run
    (phase,) = make_plan(recipe, run).phases
    stream = phase_stream(recipe, recipe.phases[0], run)
    assert {name: use.epoch for name, use in phase.sources.items()} == stream.epoch_tokens()
    batches = [batch for batch, _ in stream.batches()]
    assert phase.steps == pytest.approx(len(batches), rel=0.1)  # rows are not quite full
    lengths = np.concatenate([np.diff(row.cu_seqlens) for batch in batches for row in batch.rows])
    assert phase.attended == pytest.approx((lengths**2).sum() / lengths.sum(), rel=0.08)
    assert phase.attended_known
    assert phase.sources["web"].tokens == phase.sources["shop"].tokens == 10_000
    assert phase.sources["web"].epochs == 10_000 / phase.sources["web"].epoch
    for at in (0, 100, 255):
        planned = recipe.phases[0].mixing.weights((at + 0.5) / 256)
        assert {name: use.shares[at] for name, use in phase.sources.items()} == pytest.approx(planned)
    assert phase.batch_tokens[0] < 140 < 500 < phase.batch_tokens[-1]
    assert phase.mask_rate[0] == pytest.approx(0.3, abs=1e-3)
    assert max(phase.learning_rate) == pytest.approx(1e-3, rel=0.02)


def test_what_is_not_counted_is_estimated_or_unknown(tokenized_run, tmp_path):
    _, recipe, run = tokenized_run
    plan = make_plan(recipe, RunDirectory(tmp_path / "nothing"))
    assert {known.how for known in plan.source_sizes.values()} == {"unknown"}
    assert plan.phases[0].sources["web"].epochs is None
    assert plan.phases[0].attended == 64
    assert not plan.phases[0].attended_known
    other = recipe.model_copy(update={"tokenizer": recipe.tokenizer.model_copy(update={"vocabulary": 500})})
    estimated = make_plan(other, run)
    assert estimated.source_sizes["web"].how == "estimated"
    assert estimated.phases[0].sources["web"].epochs > 0
    sources = {name: source.model_copy(update={"limit": 3}) for name, source in recipe.sources.items()}
    changed = make_plan(recipe.model_copy(update={"sources": sources}), run)
    assert changed.source_sizes["web"].why == f"{run.root} was curated with other options of this source"


def test_a_checkpoint_s_shape_comes_from_its_config(tokenized_run, tmp_path):
    path, _, run = tokenized_run
    config = {"num_hidden_layers": 22, "hidden_size": 768, "intermediate_size": 1152, "num_attention_heads": 12}
    (tmp_path / "config.json").write_text(json.dumps(config | {"vocab_size": 50_368}))
    plan = make_plan(load_recipe(path, ["model={from: " + str(tmp_path) + "}"]), run)
    assert plan.parameters == 149_655_232
    (tmp_path / "config.json").write_text("{}")
    plan = make_plan(load_recipe(path, ["model={from: " + str(tmp_path) + "}"]), run)
    assert plan.why_unknown == f"the config.json of '{tmp_path}' is not that of a ModernBERT"
    plan = make_plan(load_recipe(path, ["model={from: nobody/has-this}"]), run)
    assert (
        plan.why_unknown
        == "'nobody/has-this' is neither a folder with a config.json nor in the local Hugging Face cache"
    )
    assert plan.flops is None
    # Released models and their tokenizer have published shapes; nothing of theirs has to be here.
    plan = make_plan(load_recipe(path, ["model={from: thebajajra/RexBERT-mini}"]), run)
    assert plan.parameters == 68_457_664
    named = ["model.size=large", "tokenizer={from: answerdotai/ModernBERT-base}"]
    assert make_plan(load_recipe(path, named), RunDirectory(tmp_path / "none")).parameters == 395_881_664


def test_sparklines():
    assert sparkline([0, 0.5, 1], 3, top=1) == " ▄█"
    assert sparkline([0.001] * 4, 2, top=1) == "▁▁"
    assert sparkline([1, 2], 4, top=2) == "▄▄██"
    assert sparkline([0, 0], 2, top=0) == "  "


def test_the_command_draws_it(tokenized_run):
    path, _, run = tokenized_run
    done = rexplug("plan", str(path), "--run-dir", str(run.root))
    assert done.returncode == 0, done.stderr
    assert "20k tokens in " in done.stdout
    assert "  source web: 30 documents, " in done.stdout
    (web,) = [line for line in done.stdout.splitlines() if line.startswith("  web ")]
    assert "█" in web
    assert "100% to 0%, 10k tokens, " in web
    assert "epochs of" in web


def test_nothing_is_known_before_curation(tmp_path):
    done = rexplug("plan", str(RECIPE), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "  source web: unknown until it is curated" in done.stdout
    assert "epochs unknown" in done.stdout


def test_the_command_shows_what_stages_take_and_the_basis_of_the_estimate(tokenized_run, tmp_path):
    path, _, run = tokenized_run
    (tmp_path / "measurements.jsonl").write_text('{"stage": "curate", "sec')
    done = rexplug("plan", str(path), "--run-dir", str(run.root), REXPLUG_CACHE=str(tmp_path))
    (train,) = [line.split() for line in done.stdout.splitlines() if line.startswith("  train.anneal")]
    assert train[-3:] == ["default,", "within", "3x"]
    assert f"{tmp_path}/measurements.jsonl: 1 of 1 lines are damaged" in done.stdout
    done = rexplug("plan", str(path), "--run-dir", str(run.root))
    (curate,) = [line.split() for line in done.stdout.splitlines() if line.startswith("  curate")]
    assert curate[-4:] == ["measured", "here,", "±10", "%"]
    assert "  in all about " in done.stdout
    assert "disk " in done.stdout
    assert "training alone" not in done.stdout, "a small recipe needs no GPU"


def test_gpus_and_prices_on_request(tokenized_run):
    path, _, run = tokenized_run
    done = rexplug("plan", str(path), "--run-dir", str(run.root), "--gpu", "H100", "--gpus", "2", "--price", "3EUR")
    assert done.returncode == 0, done.stderr
    assert "training alone  on 2 GPUs of a kind" in done.stdout
    assert "H100 SXM" in done.stdout
    assert "RTX 4090" not in done.stdout
    assert "price: 3 EUR per GPU-hour, as given" in done.stdout
    everything = rexplug("plan", str(path), "--run-dir", str(run.root), "--gpus", "1").stdout
    for title in ("H100 SXM", "H200 SXM *", "A100 80GB *", "L4 *", "RTX 4090"):
        assert f"  {title} " in everything


def test_a_large_recipe_shows_gpus_by_itself(tokenized_run):
    path, _, run = tokenized_run
    done = rexplug("plan", str(path), "model.size=base", "phases.anneal.tokens=350B", "--run-dir", str(run.root))
    assert "  RTX 4090 " in done.stdout
    assert "activations of 64 tokens" in done.stdout


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--gpu", "h10"), "--gpu: no GPU is called 'h10'; did you mean 'h100'?"),
        (
            ("--price", "cheap"),
            "--price: 'cheap' is not a price; write an amount per hour, e.g. 2.50, 2.50EUR or '$2.50'",
        ),
        (("--gpus", "0"), "--gpus"),
    ],
)
def test_wrong_options_are_reported_in_a_line(option, message):
    done = rexplug("plan", str(RECIPE), *option)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [("2.50", 2.5, ""), ("2.50EUR", 2.5, "EUR"), ("EUR 2", 2.0, "EUR"), ("$2.50", 2.5, "$"), ("3 USD", 3.0, "USD")],
)
def test_prices(text, amount, currency):
    found = Price.parse(text)
    assert (found.amount, found.currency) == (amount, currency)


def test_prices_that_are_none():
    for text in ("", "-1", "2,50", "EUR", "EUR2USD", "0", "1e5000"):
        with pytest.raises(RecipeError, match="is not a price"):
            Price.parse(text)
    assert Price(2.5, "EUR").of(2236) == "5,590 EUR"
    assert Price(2.5, "").of(1.5) == "3.75"


def test_planning_imports_no_torch():
    code = (
        "import sys; from pathlib import Path; from rexplug.planning import make_forecast; "
        "from rexplug.recipe import load_recipe; from rexplug.run_directory import RunDirectory; "
        f"make_forecast(load_recipe(Path({str(RECIPE)!r})), RunDirectory(Path('nothing'))); "
        "print([m for m in ('torch', 'transformers', 'composer', 'datasets', 'mteb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
