"""What the budgets quick, standard and full change in evaluators and their results."""

from typing import ClassVar

import numpy as np
import pytest

from rexplug import DataError, EvaluationResult, Evaluator, FineTuning, RexplugError, Scores, api
from rexplug.evaluation import EvaluationData, ModelSpec, evaluate
from rexplug.evaluation.long_documents import LongDocuments
from rexplug.evaluation.statistics import bootstrap_metric, resamples_of
from rexplug.evaluation.value_recovery import ValueRecovery
from rexplug.progress import Silent

WRITTEN = FineTuning(steps=100, seeds=2, examples=4000)


def test_fine_tunes_are_scaled():
    assert WRITTEN.at_budget("standard") == WRITTEN
    quick, full = WRITTEN.at_budget("quick"), WRITTEN.at_budget("full")
    assert (quick.steps, quick.seeds, quick.modes, quick.examples) == (33, 1, ("full",), 500)
    assert (full.steps, full.seeds, full.modes, full.examples) == (300, 5, ("full", "probe"), 20000)
    assert (quick.dev_examples, quick.checkpoints) == (200, 2)
    many = FineTuning(dev_examples=500).at_budget("quick")
    assert many.dev_examples == 500, "an evaluator that asks for more than the default needs them to choose by"
    assert (full.dev_examples, full.checkpoints) == (WRITTEN.dev_examples, WRITTEN.checkpoints)
    for scaled in (quick, full):
        assert (scaled.batch, scaled.learning_rates, scaled.max_tokens) == (32, WRITTEN.learning_rates, 128)


def test_items_are_scaled():
    def documents(budget):
        return LongDocuments(documents=10).at_budget(budget).documents

    def values(limit, budget):
        return ValueRecovery(paths="x.csv", limit=limit).at_budget(budget).limit

    assert [documents(budget) for budget in ("quick", "standard", "full")] == [4, 10, 30]
    assert [values(100, budget) for budget in ("quick", "standard", "full")] == [34, 100, 300]
    assert [values(None, budget) for budget in ("quick", "standard", "full")] == [500, None, None]


class Measured(Evaluator):
    """Reports the steps of its fine-tune, with an interval."""

    name: ClassVar[str] = "toy.measured"
    tuning: FineTuning = WRITTEN

    def evaluate(self, context):
        scores = Scores([str(n) for n in range(50)], [np.linspace(0, self.tuning.steps, 50).tolist()])
        return EvaluationResult({"steps": bootstrap_metric(scores, context.seed)}, "steps", scores={"steps": scores})


def run(tmp_path, budget):
    results = evaluate(
        [Measured()], ModelSpec("bm25", "bm25"), EvaluationData({}, 3), name="bm25", folder=tmp_path, progress=Silent(),
        budget=budget,
    )  # fmt: skip
    return results["toy.measured"]


def test_results_of_budgets_are_kept_apart(tmp_path):
    results = {budget: run(tmp_path, budget) for budget in ("quick", "standard", "full")}
    assert [result["budget"] for result in results.values()] == ["quick", "standard", "full"]
    assert len({result["key"] for result in results.values()}) == 3
    assert [result["options"]["tuning"]["steps"] for result in results.values()] == [33, 100, 300]
    assert [result["metrics"]["steps"]["value"] for result in results.values()] == pytest.approx([16.5, 50, 150])


def test_intervals_have_as_many_resamples_as_the_budget_says(monkeypatch):
    scores = Scores([str(n) for n in range(30)], [np.random.default_rng(0).random(30).tolist()])
    drawn = []
    quantile = np.quantile
    monkeypatch.setattr(np, "quantile", lambda values, *rest: drawn.append(len(values)) or quantile(values, *rest))
    for budget in ("quick", "standard", "full"):
        with resamples_of(budget):
            bootstrap_metric(scores, 0)
    assert drawn == [300, 1000, 5000]


def test_an_unknown_budget_is_refused(tmp_path):
    with pytest.raises(RexplugError) as caught:
        api.evaluate("bm25", "suite.yaml", budget="fast", out=tmp_path)
    assert str(caught.value) == "budget is quick, standard or full, not 'fast'"
    (tmp_path / "suite.yaml").write_text("budget: fast\nevaluators: [{use: mteb, tasks: [STS12]}]\n")
    with pytest.raises(RexplugError, match="Input should be 'quick', 'standard' or 'full'"):
        api.evaluate("bm25", tmp_path / "suite.yaml", out=tmp_path)


def test_a_suite_names_its_budget(tmp_path):
    (tmp_path / "t.csv").write_text(
        "text,label\n" + "".join(f"{c} {n},{c}\n" for n in range(40) for c in ("red", "oak"))
    )
    (tmp_path / "suite.yaml").write_text(
        f"budget: quick\nevaluators: [{{use: classification, train: {tmp_path}/t.csv}}]\n"
    )
    for budget, expected in ((None, "quick"), ("standard", "standard")):
        (model,) = api.evaluate("tfidf", tmp_path / "suite.yaml", out=tmp_path / "out", budget=budget)
        assert model.results["classification"]["budget"] == expected


def test_models_at_different_budgets_are_noted(tmp_path):
    folders = {budget: tmp_path / budget for budget in ("quick", "standard")}
    for budget, folder in folders.items():
        run(folder, budget)
    comparison = api.compare([f"{budget}={folder}" for budget, folder in folders.items()])
    assert (
        "toy.measured was evaluated at different budgets, which are not comparable: quick at quick, standard at standard."
        in comparison.notes
    )
    assert "Budget: quick." in api.compare([str(folders["quick"])]).notes
    with pytest.raises(DataError):
        api.compare([str(tmp_path / "nothing")])
