"""mteb tasks in folders: what is read, and what is refused."""

import pytest

from rexplug import DataError, RecipeError
from rexplug.evaluation.local_tasks import read_task
from rexplug.evaluation.mteb_tasks import Mteb

PAIR = {"sentence1": "red shirt", "sentence2": "steel kettle", "score": 0}


@pytest.mark.parametrize(
    ("kind", "files", "message"),
    [
        (
            "sts",
            {"test": '{"sentence1": "a", "score": 1}\n'},
            "test.jsonl:1: there is no column sentence2; it has sentence1, score",
        ),
        ("sts", {"test": [{**PAIR, "score": "high"}]}, "test.jsonl:1: score is 'high', which is not a number"),
        ("sts", {"test": "nonsense\n"}, "test.jsonl:1: not valid JSON: Expecting value: line 1 column 1 (char 0)"),
        ("sts", {"test": "[1]\n"}, 'test.jsonl:1: expected an object like {"text": ...}'),
        ("sts", {"test": ""}, "test.jsonl is empty"),
        (
            "pair_classification",
            {"test": [{**PAIR, "label": 2}]},
            "test.jsonl:1: label is 2; it is 1 for pairs that belong together, else 0",
        ),
        (
            "classification",
            {"train": [{"text": "a", "label": "x"}], "test": [{"text": "a", "label": "y"}]},
            "test.jsonl: the class 'y' does not occur in train",
        ),
        ("classification", {"train": [{"text": " ", "label": "x"}], "test": []}, "train.jsonl:1: text is not a text"),
    ],
)
def test_faults_are_named_by_file_and_line(tmp_path, write_task, kind, files, message):
    folder = write_task(tmp_path / "task", kind, **files)
    with pytest.raises(DataError) as caught:
        Mteb(folder=folder).check()
    assert str(caught.value) == f"{folder}/{message}"


def test_the_description_is_strict(tmp_path, write_task):
    folder = write_task(tmp_path / "task", "sts", test=[PAIR])
    (folder / "task.yaml").write_text("type: stss\nlangauge: deu-Latn\n")
    with pytest.raises(RecipeError) as caught:
        read_task(folder)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{folder}/task.yaml has 2 problems:"
    assert lines[1].startswith(f"  {folder}/task.yaml:1: type: Input should be 'retrieval', 'reranking', 'sts'")
    assert lines[2] == f"  {folder}/task.yaml:2: langauge: unknown key; did you mean 'language'?"


def test_missing_files_are_named(tmp_path, write_task):
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError) as caught:
        read_task(tmp_path / "bare")
    assert (
        str(caught.value) == f"{tmp_path}/bare/task.yaml is missing; it says what the task is, e.g. 'type: retrieval'"
    )
    folder = write_task(tmp_path / "task", "classification", test=[{"text": "a", "label": "b"}])
    with pytest.raises(DataError) as caught:
        read_task(folder)
    assert (
        str(caught.value)
        == f"{folder} has no train split; it is one of train.jsonl, train.csv, train.tsv (.gz, .bz2, .zst and .xz may follow)"
    )
