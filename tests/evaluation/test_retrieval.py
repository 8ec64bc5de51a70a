"""Retrieval on mteb, and tasks in folders."""

import numpy as np
import pytest

from rexplug import DataError, RetrievalCollection
from rexplug.evaluation.evaluators import RetrievalFolder
from rexplug.evaluation.folder import read_collection
from rexplug.evaluation.mteb_task import evaluate_retrieval, revision
from rexplug.evaluation.statistics import mean, ratio

CORPUS = '{"_id": "a", "title": "Red", "text": "shirt"}\n{"_id": "b", "text": "kettle\u2028steel"}\n'
QUERIES = '{"_id": "q", "text": "something red"}\n{"_id": "unjudged", "text": "oak"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq\ta\t1\nq\tb\t0\n"


def write(folder, corpus=CORPUS, queries=QUERIES, qrels=QRELS):
    for name, text in (("corpus.jsonl", corpus), ("queries.jsonl", queries), ("qrels.tsv", qrels)):
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


@pytest.fixture(scope="module")
def collection():
    generator = np.random.default_rng(5)
    corpus = {f"d{n}": f"document {n}" for n in range(40)}
    queries = {f"q{n}": f"query {n}" for n in range(12)}
    relevance = {
        query: {f"d{n}": int(grade) for grade, n in enumerate(generator.permutation(40)[:4])} for query in queries
    }
    return RetrievalCollection("toy.search", corpus, queries, relevance, synthetic=True)


def oracle(Oracle, coarse, collection, revision, sign=1.0):
    """Queries and documents on axes so that the grades are the similarities."""
    keys = list(collection.queries)
    vectors = dict(zip(collection.queries.values(), np.eye(len(keys)), strict=True))
    for key, text in collection.corpus.items():
        grades = np.array([collection.relevance[query].get(key, 0) for query in keys], float)
        # An axis of no query gives all documents the same length, so that the cosine orders by grade.
        vectors[text] = np.array([*(sign * grades), (100 - (grades**2).sum()) ** 0.5])
    vectors |= {text: np.append(vectors[text], 0.0) for text in collection.queries.values()}
    return Oracle(coarse, vectors=vectors, revision=revision, num_dimensions=len(keys) + 1)


@pytest.mark.slow
def test_mteb_on_known_answers(Oracle, coarse, collection, tmp_path, capfd):
    best = oracle(Oracle, coarse, collection, "best")
    result = evaluate_retrieval(collection, best, tmp_path, seed=1)
    assert "".join(capfd.readouterr()) == "", "mteb draws bars in our terminal"
    metric = result.metrics["ndcg_at_10"]
    assert result.main == "ndcg_at_10"
    assert (metric.value, metric.low, metric.high, metric.num_items) == (1.0, 1.0, 1.0, 12)
    assert result.metrics["recall_at_10"].value == 1.0
    assert result.notes[0].startswith("Mean-pooled embeddings, not fine-tuned for similarity.")
    assert result.notes[1:] == ["The catalogue and the queries are synthetic."]

    # The same folder, another model: neither its stored result nor its ranking is taken for the first one's.
    worst = evaluate_retrieval(collection, oracle(Oracle, coarse, collection, "worst", -1.0), tmp_path, seed=1)
    found = worst.metrics["ndcg_at_10"]
    assert found.value < 0.3
    assert found.low <= found.value <= found.high < 0.5

    # The first model again: nothing is computed twice, and the figures are the same.
    cached = oracle(Oracle, coarse, collection, "best")
    assert evaluate_retrieval(collection, cached, tmp_path, seed=1) == result
    assert not cached.encoded


def test_other_data_is_another_revision(collection):
    other = RetrievalCollection(
        collection.name, {**collection.corpus, "d0": "changed"}, collection.queries, collection.relevance
    )
    assert revision(other) != revision(collection)


def test_intervals_cover_and_are_reproducible():
    values = np.random.default_rng(0).random(400)
    metric = mean(values, 3)
    assert metric == mean(values, 3)
    assert metric.low < metric.value < metric.high
    # 1.96 standard errors on both sides.
    assert metric.high - metric.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_units_without_items_do_not_count():
    metric = ratio(np.array([1.0, 0.0, 3.0]), np.array([2.0, 0.0, 4.0]), 0)
    assert (metric.value, metric.num_items) == (4 / 6, 6)
    assert ratio(np.zeros(2), np.zeros(2), 0).num_items == 0
