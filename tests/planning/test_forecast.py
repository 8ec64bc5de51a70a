"""The costs of earlier runs are kept, and plans are based on them."""

import json
from dataclasses import replace

import pytest

from rexplug.pipeline.recipe_stages import RecipeStages
from rexplug.planning import GPUS, Hardware, Measurement, MeasurementHistory, cache_file, make_forecast
from rexplug.planning.history import stage_kind
from rexplug.progress import Silent
from rexplug.recipe import load_recipe
from rexplug.run_directory import RunDirectory

HERE = Hardware("Test processor", 4, 4, "2.7.0")


def measured(task, seconds, *, stage=None, key=None, machine=HERE, memory=1.0, work=None):
    return Measurement(
        at="2030-01-01T00:00:00+00:00", stage=stage or task.name, cost_key=key or task.cost_key, machine=machine,
        work=dict(task.work) | (work or {}), seconds=seconds, memory_gib=memory,
    )  # fmt: skip


def forecast(recipe, run, *measurements, machine=HERE):
    return make_forecast(recipe, run, machine=machine, history=MeasurementHistory(measurements))


def task_of(run_forecast, name):
    return next(task for task in run_forecast.tasks if task.name == name)


def test_a_plan_has_the_stages_that_a_run_has(tokenized_run):
    path, recipe, run = tokenized_run
    recipes = [
        recipe,
        load_recipe(path, ["evaluators=[masked_recovery]", "baselines=[bm25]"]),
    ]
    for recipe in recipes:
        names = [stage.name for stage in RecipeStages(recipe, run, Silent(), {}).build()]
        assert [stage.name for stage in forecast(recipe, run).stages] == names


def test_without_measurements_defaults_are_used_and_labelled(tokenized_run):
    _, recipe, run = tokenized_run
    run_forecast = forecast(recipe, run)
    assert {stage.match.basis for stage in run_forecast.stages} == {"default"}
    assert run_forecast.error_factor == pytest.approx(3)
    assert run_forecast.seconds == pytest.approx(sum(stage.seconds for stage in run_forecast.stages))
    faster = forecast(recipe, run, machine=replace(HERE, threads=8))
    assert faster.training_seconds < run_forecast.training_seconds


def test_a_measured_stage_is_expected_to_take_as_long_again(tokenized_run):
    path, recipe, run = tokenized_run
    task = task_of(forecast(recipe, run), "train.anneal")
    again = forecast(recipe, run, measured(task, 40.0, memory=1.5))
    stage = again.stage("train.anneal")
    assert stage.seconds == pytest.approx(40)
    assert stage.memory_gib == pytest.approx(1.5)
    assert (stage.match.basis, stage.num) == ("measured here", 1)
    longer = load_recipe(path, ["phases.anneal.tokens=200k"])
    expected = 2 * task_of(forecast(longer, run), "train.anneal").seconds
    assert forecast(longer, run, measured(task, 2 * task.seconds)).stage("train.anneal").seconds == pytest.approx(
        expected
    )


def test_the_median_of_the_last_three_counts(tokenized_run):
    _, recipe, run = tokenized_run
    task = task_of(forecast(recipe, run), "curate")
    run_forecast = forecast(recipe, run, *(measured(task, seconds) for seconds in (900.0, 10.0, 12.0, 50.0)))
    assert run_forecast.stage("curate").seconds == pytest.approx(12)
    assert run_forecast.stage("curate").num == 3


def test_a_stage_that_ran_before_its_sources_were_counted_is_expected_to_take_as_long(tokenized_run):
    _, recipe, run = tokenized_run
    task = task_of(forecast(recipe, run), "curate")
    guessed = measured(task, 30.0, work={"bytes": 7 * task.work["bytes"]})
    assert forecast(recipe, run, guessed).stage("curate").seconds == pytest.approx(30)


def test_the_closest_measurement_wins(tokenized_run):
    _, recipe, run = tokenized_run
    task = task_of(forecast(recipe, run), "train.anneal")
    size = task.work["parameters"]
    lines = [
        measured(task, 10.0),
        measured(task, 20.0, stage="train.other"),
        measured(task, 30.0, stage="train.other", key="other"),
        measured(task, 40.0, stage="train.other", key="other", work={"parameters": 9 * size}),
        measured(task, 50.0, machine=replace(HERE, torch="2.8.0")),
        measured(task, 60.0, machine=replace(HERE, processor="Another one")),
    ]
    words = []
    for first in range(len(lines)):
        stage = forecast(recipe, run, *lines[first:]).stage("train.anneal")
        words.append(stage.match.basis)
        if first in (0, 1, 2, 4):
            assert stage.seconds == pytest.approx(lines[first].seconds)
    assert words == [
        "measured here", "measured here on a similar stage", "measured here, other options", "measured here, another model",
        "measured, other threads", "default",
    ]  # fmt: skip


def test_a_machine_with_gpus_trains_on_them(tokenized_run):
    path, _, run = tokenized_run
    recipe = load_recipe(path, ["model.size=base", "phases.anneal.tokens=1B"])
    there = replace(HERE, gpu="NVIDIA H100 80GB HBM3")
    gpus = {"gpus": [GPUS["h100"]], "num_gpus": 8, "processes": 8}
    run_forecast = make_forecast(recipe, run, machine=there, history=MeasurementHistory(), **gpus)
    assert run_forecast.training_seconds == pytest.approx(run_forecast.gpus[0].seconds, abs=5)
    assert str(run_forecast.machine) == "NVIDIA H100 80GB HBM3"
    # A run there that took twice as long as published speeds say is believed, for GPUs of the kind elsewhere too.
    task = task_of(run_forecast, "train.anneal")
    line = measured(task, 2 * task.seconds, machine=there)
    again = make_forecast(recipe, run, machine=there, history=MeasurementHistory([line]), **gpus)
    assert again.stage("train.anneal").seconds == pytest.approx(2 * task.seconds)
    elsewhere = make_forecast(recipe, run, machine=HERE, history=MeasurementHistory([line]), **gpus)
    assert elsewhere.gpus[0].measured
    assert elsewhere.gpus[0].seconds == pytest.approx(2 * run_forecast.gpus[0].seconds)
    assert elsewhere.stage("train.anneal").match.basis == "default"


def test_evaluations_on_a_gpu_are_estimated_from_its_peak_until_one_was_measured(tokenized_run):
    path, _, run = tokenized_run
    options = ["model.size=base", "evaluators=[masked_recovery]"]
    exact, rounded = load_recipe(path, options), load_recipe(path, [*options, "evaluation.precision=bf16"])
    there = replace(HERE, gpu="NVIDIA H100 80GB HBM3")
    in_fp32, in_bf16 = (forecast(recipe, run, machine=there).stage("evaluate.anneal") for recipe in (exact, rounded))
    assert in_bf16.seconds < in_fp32.seconds < forecast(exact, run).stage("evaluate.anneal").seconds
    assert in_fp32.why == (
        "evaluations were not measured on NVIDIA H100 80GB HBM3; estimated in fp32 from its 67 TFLOP/s, and 2 s for each "
        "evaluator"
    )
    assert "in bf16 from its 989 TFLOP/s" in in_bf16.why
    # An evaluation on a CPU says nothing about one on the GPU; one on the GPU does.
    task = task_of(forecast(exact, run, machine=there), "evaluate.anneal")
    on_cpu, on_gpu = measured(task, 500.0), measured(task, 9.0, machine=there)
    assert forecast(exact, run, on_cpu, machine=there).stage("evaluate.anneal").seconds == in_fp32.seconds
    known = forecast(exact, run, on_cpu, on_gpu, machine=there).stage("evaluate.anneal")
    assert (known.seconds, known.match.basis, known.why) == (pytest.approx(9.0), "measured here", "")
    # In another number format it is a measurement of other options.
    other = forecast(rounded, run, on_gpu, machine=there).stage("evaluate.anneal")
    assert other.match.basis == "measured here, other options"
    unknown = forecast(exact, run, machine=replace(HERE, gpu="Some GPU")).stage("evaluate.anneal")
    assert unknown.why == (
        "evaluations were not measured on Some GPU, whose peak is not known; estimated as without a GPU"
    )


def test_peak_memory_never_falls_from_stage_to_stage(tokenized_run):
    _, recipe, run = tokenized_run
    task = task_of(forecast(recipe, run), "curate")
    peaks = [stage.memory_gib for stage in forecast(recipe, run, measured(task, 5.0, memory=7.0)).stages]
    assert peaks == [7.0] * len(peaks)


def test_rows_as_full_as_before_give_the_steps(tokenized_run):
    _, recipe, run = tokenized_run
    first = forecast(recipe, run)
    task = task_of(first, "train.anneal")
    again = forecast(recipe, run, measured(task, 40.0, work={"fill": 0.9}))
    assert again.plan.phases[0].steps == round(first.plan.phases[0].steps / 0.9)


def test_measurements_are_kept_and_read(tokenized_run, tmp_path):
    _, recipe, run = tokenized_run
    path = tmp_path / "deep" / "measurements.jsonl"
    task = task_of(forecast(recipe, run), "train.anneal")
    lines = [measured(task, 40.0), measured(task, 41.0)]
    for line in lines:
        MeasurementHistory.append(line, path)
    history = MeasurementHistory.read(path)
    assert list(history.measurements) == lines
    assert history.note == ""


def test_damaged_lines_are_left_out_with_a_note(tokenized_run, tmp_path):
    _, recipe, run = tokenized_run
    path = tmp_path / "measurements.jsonl"
    task = task_of(forecast(recipe, run), "train.anneal")
    MeasurementHistory.append(measured(task, 40.0), path)
    whole = path.read_text()
    missing = json.loads(whole) | {"work": {}}
    path.write_text(f"{whole[:40]}\n[]\n{json.dumps(missing)}\n{whole}" + '{"at": "later", "seconds": -1}\n')
    history = MeasurementHistory.read(path)
    assert len(history.measurements) == 2
    assert history.note == f"{path}: 3 of 5 lines are damaged or of another version and were left out"
    run_forecast = make_forecast(recipe, run, machine=HERE, history=history)
    assert run_forecast.stage("train.anneal").seconds == pytest.approx(40)
    assert list(run_forecast.notes) == [history.note]
    path.write_bytes(b"\xff\x00" * 50)
    assert "1 of 1 lines" in MeasurementHistory.read(path).note


def test_a_missing_file_is_accepted_and_an_unreadable_one_noted(tmp_path):
    assert MeasurementHistory.read(tmp_path / "none") == MeasurementHistory()
    assert "cannot be read" in MeasurementHistory.read(tmp_path).note


def test_a_file_that_grew_large_keeps_its_newer_half(tokenized_run, tmp_path, monkeypatch):
    _, recipe, run = tokenized_run
    monkeypatch.setattr("rexplug.planning.history._MAX_BYTES", 1)
    path = tmp_path / "measurements.jsonl"
    task = task_of(forecast(recipe, run), "curate")
    for seconds in (1.0, 2.0, 3.0, 4.0):
        MeasurementHistory.append(measured(task, seconds), path)
    seconds = [measurement.seconds for measurement in MeasurementHistory.read(path).measurements]
    assert seconds[-1] == 4.0
    assert len(seconds) < 4


def test_the_path_of_the_cache_file(monkeypatch):
    monkeypatch.setenv("REXPLUG_CACHE", "/own")
    assert str(cache_file()) == "/own/measurements.jsonl"
    monkeypatch.delenv("REXPLUG_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/general")
    assert str(cache_file()) == "/general/rexplug/measurements.jsonl"


def test_a_run_records_its_forecast_and_its_measured_cost(tokenized_run, tmp_path):
    _, recipe, run = tokenized_run
    plan = json.loads(run.plan.read_text())
    assert set(plan["stages"]) == {"curate", "tokenize"}
    assert plan["stages"]["curate"]["made"] == "before the run"
    assert plan["stages"]["tokenize"]["made"] == "after curate"
    assert plan["whole"]["made"] == "before the run"
    # A run in another folder knows the sources, and what its stages take.
    run_forecast = make_forecast(recipe, RunDirectory(tmp_path / "elsewhere"))
    assert {known.how for known in run_forecast.plan.source_sizes.values()} == {"history"}
    here = make_forecast(recipe, run)
    counted = {name: replace(use, mask_rates=()) for name, use in here.plan.phases[0].sources.items()}
    assert run_forecast.plan.phases[0].sources == counted, "all but the mask rates, which need the tokens themselves"
    assert run_forecast.plan.phases[0].attended == here.plan.phases[0].attended
    took = json.loads(run.manifest.read_text())["stages"]["tokenize"]["seconds"]
    assert run_forecast.stage("tokenize").seconds == pytest.approx(took, abs=0.02)
    assert run_forecast.stage("tokenize").match.basis == "measured here"


def test_disk_of_a_counted_run(tokenized_run):
    _, recipe, run = tokenized_run
    run_forecast = forecast(recipe, run)
    tokens = sum(known.num_tokens for known in run_forecast.plan.source_sizes.values())
    # uint16 tokens, word starts, one scorer; 50 documents.
    assert run_forecast.disk.tokens == tokens * 4 + 50 * 110
    assert run_forecast.disk.model == 4 * run_forecast.plan.parameters
    store = sum(path.stat().st_size for path in run.tokens.rglob("*") if path.is_file())
    assert run_forecast.disk.tokens < store, "small stores are mostly headers"
    kept = load_recipe(tokenized_run[0], ["phases.anneal.checkpoints={every_tokens: 5k, keep: 2, keep_best: 1}"])
    more = forecast(kept, run).disk.checkpoints - run_forecast.disk.checkpoints
    assert more == 3 * 12 * run_forecast.plan.parameters


def test_kinds_of_stages():
    names = ["curate", "train.initial", "train.anneal", "evaluate.anneal", "evaluate.baselines"]
    assert [stage_kind(name) for name in names] == ["curate", "initial", "train", "evaluate", "baselines"]


def test_this_machine(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    hardware = Hardware.find()
    assert hardware.threads == 1
    assert hardware.processor
    assert hardware.torch[0].isdigit()
    monkeypatch.setenv("OMP_NUM_THREADS", "1000")
    assert Hardware.find().threads == Hardware.find().cores


def test_bf16_on_a_cpu_with_instructions_for_it_is_faster(tokenized_run):
    path, recipe, run = tokenized_run
    there, in_bf16 = replace(HERE, bf16="AMX"), load_recipe(path, ["model.precision=bf16"])
    run_forecast = forecast(in_bf16, run, machine=there)
    assert run_forecast.training_seconds < forecast(recipe, run, machine=there).training_seconds
    assert str(run_forecast.machine) == "Test processor, 4 threads, AMX"
    assert not run_forecast.notes
    # What fp32 took says less about bf16 than a measurement of the same options.
    in_fp32 = measured(task_of(forecast(recipe, run), "train.anneal"), 40.0, machine=there)
    again = forecast(in_bf16, run, in_fp32, machine=there)
    assert (
        again.stage("train.anneal").match.basis
        != forecast(recipe, run, in_fp32, machine=there).stage("train.anneal").match.basis
    )


def test_bf16_on_a_cpu_without_them_is_noted(tokenized_run):
    path, _, run = tokenized_run
    assert forecast(load_recipe(path, ["model.precision=bf16"]), run).notes == [
        "model.precision: bf16 needs a GPU or a CPU with AVX512-BF16 or AMX, which this machine does not have"
    ]


def test_measurements_from_before_instructions_were_recorded_count(tokenized_run):
    _, recipe, run = tokenized_run
    task = task_of(forecast(recipe, run), "train.anneal")
    again = forecast(recipe, run, measured(task, 40.0), machine=replace(HERE, bf16="AMX"))
    assert again.stage("train.anneal").seconds == pytest.approx(40)
