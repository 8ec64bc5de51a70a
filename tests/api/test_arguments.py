"""Wrong arguments are refused with one message, or accepted where their meaning is unambiguous."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import rexplug
from rexplug import api
from rexplug.errors import RexplugError

RECIPE = "recipes/ecommerce.yaml"
NOT_A_RECIPE = f"the recipe is what rexplug.load_recipe returns, not '{RECIPE}'"


def refused(call):
    with pytest.raises(RexplugError) as error:
        call()
    return str(error.value)


@pytest.fixture(scope="module")
def recipe():
    return rexplug.load_recipe(RECIPE)


@pytest.mark.parametrize("function", [rexplug.check, rexplug.plan, rexplug.run, api.default_run_dir, api.dump_recipe])
def test_the_path_of_a_recipe_in_place_of_a_recipe(function):
    assert refused(lambda: function(RECIPE)) == NOT_A_RECIPE


def test_a_recipe_in_place_of_its_path(recipe):
    assert refused(lambda: api.ablate(recipe, vary="seed=[1, 2]")) == "recipe is a path, not a Recipe"
    assert refused(lambda: rexplug.load_recipe(recipe)) == "recipe is a path, not a Recipe"
    assert refused(lambda: rexplug.open_run(recipe)) == (
        "a run is the path of its folder or what rexplug.run and rexplug.open_run return, not a Recipe"
    )


def test_a_single_string_is_a_list_of_one(recipe):
    assert rexplug.load_recipe(RECIPE, "seed=3").seed == 3
    assert [gpu.name for gpu in (f.gpu for f in rexplug.plan(recipe, gpus="h100").gpus)] == ["h100"]
    assert "--only none: " in refused(lambda: rexplug.evaluate("bm25", recipe, only="none"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (None, "overrides is a list of strings, not None"),
        ({"seed": 3}, "overrides is a list of strings, not {'seed': 3}"),
        ([3], "overrides is a list of strings, but one of them is 3"),
    ],
)
def test_overrides_of_another_type(overrides, message):
    assert refused(lambda: rexplug.load_recipe(RECIPE, overrides)) == message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "recipe is a path, not None"),
        (b"a.yaml", "recipe is a path, not b'a.yaml'"),
        ("", "recipe is a path, not ''"),
        ("name: x", "name: x: there is no such file; YAML text has more than one line"),
    ],
)
def test_recipes_that_are_no_paths(value, message):
    assert refused(lambda: rexplug.load_recipe(value)) == message


def test_numbers_that_make_no_sense(recipe):
    assert refused(lambda: rexplug.plan(recipe, num_gpus=0)) == "num_gpus is at least 1, not 0"
    assert refused(lambda: rexplug.plan(recipe, num_gpus=1.5)) == "num_gpus is a whole number, not 1.5"
    assert refused(lambda: api.ablate(RECIPE, vary="seed=[1, 2]", seeds=0)) == "seeds is at least 1, not 0"
    assert refused(lambda: rexplug.evaluate("bm25", recipe, seed="a")) == "seed is a whole number, not 'a'"
    assert refused(lambda: api.decode("tokenizer", [-1])) == "a token id is at least 0, not -1"
    assert refused(lambda: api.preview(RECIPE, at=7)) == "at is the progress of a phase, from 0 to 1, not 7"
    assert refused(lambda: api.preview(RECIPE, rows=0)) == "rows is at least 1, not 0"


def test_an_ablation_of_nothing():
    assert refused(lambda: api.ablate(RECIPE, vary=[])) == (
        "vary names no key; write e.g. vary='phases.anneal.masking.rate=[0.15, 0.3]'"
    )


def test_models_and_suites_of_another_type(recipe):
    assert refused(lambda: rexplug.evaluate([None], recipe)) == (
        "a model is a run, a path, a name on the hub or a baseline, not None"
    )
    assert refused(lambda: rexplug.evaluate(3, recipe)) == "models is a list of models, not 3"
    assert refused(lambda: rexplug.evaluate("bm25", None)) == "the recipe is what rexplug.load_recipe returns, not None"
    assert refused(lambda: rexplug.evaluate("bm25", RECIPE)) == (
        f"{RECIPE} is a recipe, not a suite; evaluate with --recipe {RECIPE}, or in Python with load_recipe('{RECIPE}')"
    )
    assert refused(lambda: rexplug.compare(3)) == "models is a list of results and runs, not 3"


def test_a_run_folder_that_does_not_exist(recipe, tmp_path):
    missing = tmp_path / "runs" / "none"
    message = f"{missing} does not exist; give a run directory like runs/NAME"
    assert refused(lambda: rexplug.open_run(missing)) == message
    assert refused(lambda: rexplug.evaluate("bm25", recipe, run_dir=missing)) == message
    assert refused(lambda: api.verify(missing)) == message  # before the first part is asked for


def test_steps_of_another_type(tokenized_run):
    _, _, where = tokenized_run
    stream = rexplug.open_stream(where.root)
    assert stream.batch(np.int64(1)).step == 1
    assert refused(lambda: stream.batch(1.5)) == "step is a whole number, not 1.5"
    assert refused(lambda: stream.batch("3")) == "step is a whole number, not '3'"
    assert refused(lambda: api.documents_of_step(where.root, "3")) == "step is a whole number, not '3'"
    assert refused(lambda: api.steps_of_document(where.root, 3)) == "document is the id of a document, not 3"


def test_two_iterations_do_not_disturb_each_other(tokenized_run):
    _, _, where = tokenized_run
    stream = rexplug.open_stream(where.root)
    first, second = iter(stream), iter(stream)
    next(first)
    pairs = list(zip([*[next(first) for _ in range(2)]], [next(second) for _ in range(3)][1:], strict=True))
    assert [(a.step, b.step) for a, b in pairs] == [(2, 2), (3, 3)]
    assert all(np.array_equal(a.rows[0].labels, b.rows[0].labels) for a, b in pairs)
    assert [batch.step for batch in stream] == [batch.step for batch in stream]


def test_a_run_stands_for_its_folder(tokenized_run):
    _, recipe, where = tokenized_run
    run = rexplug.open_run(where.root)
    assert {size.how for size in rexplug.plan(recipe, run_dir=run).plan.source_sizes.values()} == {"counted"}
    assert rexplug.run(recipe, run_dir=run, until="tokenize").folder == run.folder
    assert api.preview(run)[1] == f"from the token stores of {where.root}"


@pytest.mark.parametrize(
    "call",
    [
        lambda recipe, root: rexplug.run(recipe, run_dir=root, progress=True),
        lambda recipe, root: api.preview(root, progress=True),
        lambda recipe, root: rexplug.evaluate("bm25", recipe, run_dir=root, progress=True),
    ],
)
def test_a_progress_that_is_none(tokenized_run, call):
    _, recipe, where = tokenized_run
    assert refused(lambda: call(recipe, where.root)) == (
        "progress is an object with start, update and note (see rexplug.api.Progress), not True"
    )


def test_a_run_to_share_with_that_is_none(tmp_path):
    assert refused(lambda: api.ablate(RECIPE, vary="seed=[1, 2]", share_with=tmp_path)) == (
        f"{tmp_path} is not a run directory: it has no run.json; give one like runs/NAME"
    )


def test_a_folder_in_the_way_of_a_page_is_kept(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "mine.txt").write_text("precious")
    comparison = api.Comparison(("a", "b"), ())
    for kind in ("html", "json"):
        assert refused(lambda kind=kind: api.write_comparison(comparison, **{kind: tmp_path / "results"})) == (
            f"{tmp_path / 'results'} is a folder, and a file would replace it; remove it, or give another path"
        )
    assert [path.name for path in tmp_path.rglob("*")] == ["results", "mine.txt"]


def test_a_file_in_the_way_of_results(recipe, tmp_path):
    blocked = tmp_path / "out"
    blocked.write_text("")
    suite = tmp_path / "suite.yaml"
    suite.write_text("evaluators: [ecommerce.product_search]\n")
    assert refused(lambda: rexplug.evaluate("bm25", suite, out=blocked)) == (
        f"{blocked}/bm25 cannot be used: Not a directory; repair or remove what is there"
    )
    assert Path(blocked).read_text() == ""


def test_a_damaged_run_is_told_as_such(tokenized_run, tmp_path):
    _, _, where = tokenized_run
    folder = tmp_path / "run"
    shutil.copytree(where.root, folder)
    phase = rexplug.open_stream(folder).phase
    positions = folder / "checkpoints" / phase / "positions.log"
    positions.mkdir(parents=True)
    assert refused(lambda: rexplug.open_stream(folder).batch(1)) == (
        f"{positions} cannot be used: Is a directory; repair or remove what is there"
    )


def test_models_that_are_not_there(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    suite = tmp_path / "suite.yaml"
    suite.write_text("evaluators: [ecommerce.product_search]\n")
    run = tmp_path / "untrained"
    run.mkdir()
    (run / "run.json").write_text('{"stages": {}}')
    out = tmp_path / "out"
    assert refused(lambda: rexplug.evaluate("./none", suite, out=out)) == "./none: there is no such folder"
    assert refused(lambda: rexplug.evaluate("random:", suite, out=out)) == (
        "'random:' does not name a model; write a folder, a hub name, bm25, tfidf, random:FOLDER, onnx:FOLDER or embeddings:FOLDER"
    )
    assert refused(lambda: rexplug.evaluate(run, suite, out=out)) == (
        f"the run {run} has no exported model yet; run its recipe to the end, or name the model after a phase ({run}@PHASE)"
    )
