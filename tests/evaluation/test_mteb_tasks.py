"""mteb runs tasks in folders and its own."""

import json

import pytest

from rexplug import DataError
from rexplug.evaluation import EvaluationData, ModelSpec, evaluate
from rexplug.evaluation.mteb_tasks import Mteb
from rexplug.progress import Silent

STS = [
    {"sentence1": "red shirt", "sentence2": "red shirt", "score": 5},
    {"sentence1": "red shirt", "sentence2": "steel kettle", "score": 0},
    {"sentence1": "oak table", "sentence2": "a table of oak", "score": 4},
    {"sentence1": "blue dress", "sentence2": "oak door", "score": 1},
]


def run(folder, model_folder, tmp_path):
    evaluator = Mteb(folder=folder)
    evaluator.check()
    found = evaluate(
        [evaluator], ModelSpec("m", str(model_folder)).load, EvaluationData({}, 1), name="m", folder=tmp_path / "out",
        progress=Silent(),
    )  # fmt: skip
    return found[f"mteb.{folder.name}"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sts", "pair_classification", "classification", "reranking"])
def test_mteb_runs_a_folder(kind, model_folder, tmp_path, write_task):
    files = {
        "sts": {"test": STS},
        "pair_classification": {"test": [{**row, "label": int(row["score"] > 2)} for row in STS]},
        "classification": {
            split: [{"text": f"{c} thing {n}", "label": c} for n in range(10) for c in ("red", "oak")]
            for split in ("train", "test")
        },
        "reranking": {
            "corpus": [{"_id": "a", "text": "red shirt"}, {"_id": "b", "text": "kettle"}, {"_id": "c", "text": "oak"}],
            "queries": [{"_id": "q", "text": "red shirt"}],
            "candidates": [{"query-id": "q", "corpus-ids": ["a", "b"]}],
        },
    }[kind]
    folder = write_task(tmp_path / "shop-task", kind, **files)
    if kind == "reranking":
        (folder / "qrels.tsv").write_text("q\ta\t1\n")
    result = run(folder, model_folder, tmp_path)
    main = {
        "sts": "cosine_spearman",
        "pair_classification": "max_ap",
        "classification": "accuracy",
        "reranking": "ndcg_at_10",
    }[kind]
    assert result["main"] == main
    assert 0.2 <= result["metrics"][main]["value"] <= 1.0
    written = [json.loads(path.read_text()) for path in (tmp_path / "out").rglob("ShopTask.json")]
    if kind != "reranking":
        assert written[0]["scores"]["test"][0]["main_score"] == pytest.approx(
            result["metrics"][main]["value"], abs=1e-4
        )


def test_one_origin():
    with pytest.raises(ValueError, match="write either 'folder' \\(a local task\\) or 'tasks'"):
        Mteb()


@pytest.mark.slow
def test_an_unknown_mteb_task_suggests_the_nearest():
    with pytest.raises(DataError) as caught:
        Mteb(tasks=("ESCIRerankin",)).check()
    assert str(caught.value) == "mteb has no task 'ESCIRerankin'; did you mean 'ESCIReranking'?"
