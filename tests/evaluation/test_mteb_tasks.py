"""mteb runs tasks in folders and its own."""

import json
from typing import ClassVar

import numpy as np
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
        [evaluator], ModelSpec("m", str(model_folder)), EvaluationData({}, 1), name="m", folder=tmp_path / "out",
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


@pytest.fixture
def prompted(model_folder):
    """An encoder that states 64 tokens, with prompts for kinds of tasks, and a record of its calls."""
    from rexplug.evaluation.encoder import HuggingFaceEncoder
    from rexplug.evaluation.model_usage import ModelUsage

    class Asked(HuggingFaceEncoder):
        calls: ClassVar = []

        def encode(self, texts, max_tokens=512, *, role=None, prompt=None):
            self.calls.append((role, prompt, max_tokens, self.max_tokens))
            return super().encode(texts, max_tokens, role=role, prompt=prompt)

    encoder = Asked(model_folder)
    encoder.usage = ModelUsage(prompt="the ", named={"STS": "alike? ", "query": "find "}, similarity="euclidean")
    encoder._max_tokens = 64
    encoder.calls.clear()
    return encoder


def measure(evaluator, encoder, tmp_path):
    class Loaded(ModelSpec):
        """The model that is loaded already."""

        def load(self, tokenizer=None):
            return encoder

    return evaluate(
        [evaluator], Loaded("m", str(encoder.folder)), EvaluationData({}, 1), name="m", folder=tmp_path / "out", progress=Silent()
    )[evaluator.label]  # fmt: skip


def test_prompts_by_kind_of_task_and_similarity_of_the_model(prompted, tmp_path, write_task):
    folder = write_task(tmp_path / "alike", "sts", test=STS)
    result = measure(Mteb(folder=folder), prompted, tmp_path)
    assert set(prompted.calls) == {(None, "alike? ", 512, 64)}
    one, two = prompted.encode([f"alike? {STS[1][side]}" for side in ("sentence1", "sentence2")], prompt="")
    stored = json.loads((tmp_path / "out/mteb.alike.scores").read_text())["scores"][result["main"]]["values"][0]
    assert stored[1] == pytest.approx(-float(np.linalg.norm(one - two)), abs=1e-5)


@pytest.mark.parametrize(("asked", "read"), [(None, (512, 64)), (128, (128, 128)), (2048, (2048, 256))])
def test_texts_are_read_up_to_max_tokens(asked, read, prompted, tmp_path, write_task):
    folder = write_task(tmp_path / "alike", "sts", test=STS)
    measure(Mteb(folder=folder, max_tokens=asked), prompted, tmp_path)
    assert {call[2:] for call in prompted.calls} == {read}
