"""Retrieval tasks in folders: what is read, and what is refused."""

import pytest

from rexplug import DataError
from rexplug.evaluation.beir import RetrievalFolder, read_collection

CORPUS = '{"_id": "a", "title": "Red", "text": "shirt"}\n{"_id": "b", "text": "kettle\u2028steel"}\n'
QUERIES = '{"_id": "q", "text": "something red"}\n{"_id": "unjudged", "text": "oak"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq\ta\t1\nq\tb\t0\n"


def write(folder, corpus=CORPUS, queries=QUERIES, qrels=QRELS, candidates=None, train=None):
    files = {"corpus.jsonl": corpus, "queries.jsonl": queries, "qrels.tsv": qrels}
    files |= {"candidates.jsonl": candidates, "train.jsonl": train}
    for name, text in files.items():
        if text is not None:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_folder_is_read(tmp_path):
    found = read_collection(write(tmp_path))
    # Line separators of Unicode are part of a text: only a line feed ends an entry.
    assert found.corpus == {"a": "Red shirt", "b": "kettle\u2028steel"}
    assert found.queries == {"q": "something red"}, "queries without a relevant document are left out"
    assert found.relevance == {"q": {"a": 1, "b": 0}}
    assert RetrievalFolder(folder=tmp_path).inputs() == tuple(
        tmp_path / name for name in ("corpus.jsonl", "queries.jsonl", "qrels.tsv")
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corpus": '{"_id": "a", "text": "x"}\n{"id": 3}\n'}, 'corpus.jsonl:2: expected {"_id": ..., "text": ...}'),
        ({"corpus": CORPUS * 2}, "corpus.jsonl:3: the _id 'a' occurs twice"),
        ({"qrels": "q a 1\n"}, "qrels.tsv:1: expected query-id, corpus-id and a whole number, separated by tabs"),
        ({"qrels": "q\ta\t--1\n"}, "qrels.tsv:1: expected query-id, corpus-id and a whole number, separated by tabs"),
        ({"qrels": QRELS + "r\ta\t1\n"}, "qrels.tsv:4: there is no query 'r' in queries.jsonl"),
        ({"qrels": QRELS + "q\tc\t1\n"}, "qrels.tsv:4: there is no document 'c' in corpus.jsonl"),
        ({"qrels": "q\tb\t0\n"}, "qrels.tsv: no query has a relevant document"),
        ({"candidates": '{"query-id": "q"}\n'}, 'candidates.jsonl:1: expected {"query-id": ..., "corpus-ids": [...]}'),
        (
            {"candidates": '{"query-id": "q", "corpus-ids": []}\n'},
            "candidates.jsonl:1: corpus-ids is a list of at least one document",
        ),
        (
            {"candidates": '{"query-id": "q", "corpus-ids": ["z"]}\n'},
            "candidates.jsonl:1: there is no document 'z' in corpus.jsonl",
        ),
        (
            {"candidates": '{"query-id": "unjudged", "corpus-ids": ["a"]}\n'},
            "candidates.jsonl: the query 'q' has no candidates",
        ),
        (
            {"train": '{"query": "something red", "text": "x"}\n'},
            "train.jsonl:1: the query 'something red' is among those that are measured",
        ),
    ],
)
def test_faults_are_named_by_file_and_line(tmp_path, change, message):
    with pytest.raises(DataError) as caught:
        RetrievalFolder(folder=write(tmp_path, **change)).check()
    assert str(caught.value) == f"{tmp_path}/{message}"


def test_a_missing_file_is_named(tmp_path):
    write(tmp_path)
    (tmp_path / "qrels.tsv").unlink()
    with pytest.raises(DataError, match=r"retrieval: .*qrels.tsv is missing; a task is corpus.jsonl, queries.jsonl"):
        RetrievalFolder(folder=tmp_path).check()
