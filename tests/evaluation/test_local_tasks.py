"""mteb tasks in folders: what is read, what is refused, and that mteb runs them."""

import json

import pytest

from rexplug import DataError, RecipeError
from rexplug.evaluation import EvaluationData, ModelSpec, evaluate
from rexplug.evaluation.evaluators import Mteb
from rexplug.evaluation.local_tasks import read_task
from rexplug.progress import Silent

STS = [
    {"sentence1": "red shirt", "sentence2": "red shirt", "score": 5},
    {"sentence1": "red shirt", "sentence2": "steel kettle", "score": 0},
    {"sentence1": "oak table", "sentence2": "a table of oak", "score": 4},
    {"sentence1": "blue dress", "sentence2": "oak door", "score": 1},
]


def write(folder, kind, **files):
    folder.mkdir(exist_ok=True)
    (folder / "task.yaml").write_text(f"type: {kind}\n")
    for name, rows in files.items():
        text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text)
    return folder


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
def test_mteb_runs_a_folder(kind, model_folder, tmp_path):
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
    folder = write(tmp_path / "shop-task", kind, **files)
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


@pytest.mark.parametrize(
    ("kind", "files", "message"),
    [
        (
            "sts",
            {"test": '{"sentence1": "a", "score": 1}\n'},
            "test.jsonl:1: there is no column sentence2; it has sentence1, score",
        ),
        ("sts", {"test": [{**STS[0], "score": "high"}]}, "test.jsonl:1: score is 'high', which is no number"),
        ("sts", {"test": "nonsense\n"}, "test.jsonl:1: not valid JSON: Expecting value: line 1 column 1 (char 0)"),
        ("sts", {"test": "[1]\n"}, 'test.jsonl:1: expected an object like {"text": ...}'),
        ("sts", {"test": ""}, "test.jsonl is empty"),
        (
            "pair_classification",
            {"test": [{**STS[0], "label": 2}]},
            "test.jsonl:1: label is 2; it is 1 for pairs that belong together, else 0",
        ),
        (
            "classification",
            {"train": [{"text": "a", "label": "x"}], "test": [{"text": "a", "label": "y"}]},
            "test.jsonl: the class 'y' does not occur in train",
        ),
        ("classification", {"train": [{"text": " ", "label": "x"}], "test": []}, "train.jsonl:1: text is no text"),
    ],
)
def test_faults_are_named_by_file_and_line(tmp_path, kind, files, message):
    folder = write(tmp_path / "task", kind, **files)
    with pytest.raises(DataError) as caught:
        Mteb(folder=folder).check()
    assert str(caught.value) == f"{folder}/{message}"


def test_the_description_is_strict(tmp_path):
    folder = write(tmp_path / "task", "sts", test=STS)
    (folder / "task.yaml").write_text("type: stss\nlangauge: deu-Latn\n")
    with pytest.raises(RecipeError) as caught:
        read_task(folder)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{folder}/task.yaml has 2 problems:"
    assert lines[1].startswith(f"  {folder}/task.yaml:1: type: Input should be 'retrieval', 'reranking', 'sts'")
    assert lines[2] == f"  {folder}/task.yaml:2: langauge: unknown key; did you mean 'language'?"


def test_missing_files_are_named(tmp_path):
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError) as caught:
        read_task(tmp_path / "bare")
    assert (
        str(caught.value) == f"{tmp_path}/bare/task.yaml is missing; it says what the task is, e.g. 'type: retrieval'"
    )
    folder = write(tmp_path / "task", "classification", test=[{"text": "a", "label": "b"}])
    with pytest.raises(DataError) as caught:
        read_task(folder)
    assert (
        str(caught.value)
        == f"{folder} has no train split; it is one of train.jsonl, train.csv, train.tsv (.gz and .zst may follow)"
    )


def test_one_origin():
    with pytest.raises(ValueError, match="write either 'folder' \\(a local task\\) or 'tasks'"):
        Mteb()


@pytest.mark.slow
def test_an_unknown_task_of_mtebs_is_met_with_the_nearest():
    with pytest.raises(DataError) as caught:
        Mteb(tasks=("ESCIRerankin",)).check()
    assert str(caught.value) == "mteb has no task 'ESCIRerankin'; did you mean 'ESCIReranking'?"
