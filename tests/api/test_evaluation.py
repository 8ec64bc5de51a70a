"""`rexplug.evaluate` and `rexplug.compare`: mistakes, and results from several places in one table."""

import json

import pytest

import rexplug
from rexplug import api


def result(value):
    return {
        "evaluator": "masked_recovery", "main": "top1",
        "metrics": {"top1": {"value": value, "num_items": 50}, "top5": {"value": value + 0.2, "num_items": 50}},
    }  # fmt: skip


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A run with two moments, and a folder of results."""
    monkeypatch.chdir(tmp_path)
    moments = {"pretrain": 0.3, "anneal": 0.5}
    for moment, value in moments.items():
        (tmp_path / "shop/evaluation" / moment).mkdir(parents=True)
        (tmp_path / "shop/evaluation" / moment / "masked_recovery.json").write_text(json.dumps(result(value)))
    stages = {f"evaluate.{moment}": {"status": "done"} for moment in moments}
    (tmp_path / "shop/run.json").write_text(json.dumps({"status": "done", "stages": stages}))
    (tmp_path / "peer").mkdir()
    (tmp_path / "peer/masked_recovery.json").write_text(json.dumps(result(0.4)))
    return tmp_path


def values(comparison):
    return {(row.evaluator, row.metric): [cell.metric.value for cell in row.cells] for row in comparison.rows}


def test_runs_moments_and_folders_share_one_table(places):
    run = rexplug.open_run("shop")
    comparison = rexplug.compare([run, "before=shop@pretrain", places / "peer"])
    assert list(comparison.models) == ["shop", "before", "peer"]
    assert values(comparison) == {("masked_recovery", "top1"): [0.5, 0.3, 0.4]}
    assert ("masked_recovery", "top5") in values(rexplug.compare([run, "peer"], all_metrics=True))


def test_what_evaluate_returned_and_paths_can_be_mixed(places):
    (measured,) = [api.ModelResults("mine", {"masked_recovery": result(0.9)}, {})]
    assert values(rexplug.compare([measured, "peer", "shop"])) == {("masked_recovery", "top1"): [0.9, 0.4, 0.5]}
    assert list(rexplug.compare([measured, "peer"]).models) == ["mine", "peer"]


def test_a_comparison_is_written_as_a_page_and_as_json(places):
    comparison = rexplug.compare(["shop", "peer"])
    api.write_comparison(comparison, html="out.html", json=places / "out.json", title="Two models")
    assert json.loads((places / "out.json").read_text())["models"] == ["shop", "peer"]
    assert "Two models" in (places / "out.html").read_text()


def test_incomparable_results_are_reported(places):
    with pytest.raises(rexplug.DataError, match="nowhere: there is no such folder; give runs or folders that "):
        rexplug.compare(["shop", "nowhere"])
    with pytest.raises(rexplug.DataError) as error:
        rexplug.compare(["shop@extend"])
    assert str(error.value) == "shop@extend: there is no such moment; there are pretrain, anneal"


@pytest.mark.parametrize(
    ("models", "suite", "options", "message"),
    [
        (
            ["x="],
            "ecommerce",
            {},
            "'x=' does not name a model; write a folder, a hub name, bm25, tfidf or random:FOLDER",
        ),
        (["bm25", "bm25"], "ecommerce", {}, "the model bm25 is named twice"),
        (["bm25"], "ecommerce", {}, "the suite ecommerce reads local data: give its folder with --data DIR"),
        (["bm25"], "ecommerce", {"data": "none"}, "no evaluator has its data; is --data the right folder?"),
        (["bm25"], "none.yaml", {}, "none.yaml: file not found"),
    ],
)
def test_mistakes_are_named_before_anything_is_measured(models, suite, options, message, places):
    with pytest.raises(rexplug.RexplugError) as error:
        rexplug.evaluate(models, suite, **options)
    assert str(error.value) == message
    assert not (places / "evaluation").exists()


def test_a_recipe_without_evaluators_measures_nothing(tokenized_run):
    _, recipe, run = tokenized_run
    with pytest.raises(rexplug.RecipeError) as error:
        rexplug.evaluate(["bm25"], recipe, run_dir=run.root)
    assert str(error.value) == "the recipe 'small' has no evaluators; add some under `evaluators`, or name a suite"
