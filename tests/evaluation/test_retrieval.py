"""Retrieval on mteb, and tasks in folders."""

import json

import numpy as np
import pytest

from rexplug import DataError, RetrievalCollection
from rexplug.evaluation.beir import read_collection
from rexplug.evaluation.evaluators import RetrievalFolder
from rexplug.evaluation.lexical import LexicalModel
from rexplug.evaluation.retrieval import evaluate_retrieval, revision

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
    assert result.metrics["recall_at_10"].value == result.metrics["mrr_at_10"].value == 1.0
    assert result.notes[0].startswith("Embeddings are not fine-tuned for similarity.")
    assert result.notes[1:] == ["The catalogue and the queries are synthetic."]

    # mteb's own file says the same, and names model and data by their hashes.
    written = [json.loads(path.read_text()) for path in tmp_path.glob("results/*/best-raw/*.json")]
    (own,) = [each for each in written if "scores" in each]
    assert own["scores"]["test"][0]["main_score"] == 1.0
    assert own["dataset_revision"] == revision(collection)

    # The same folder, another model: neither its stored result nor its ranking is taken for the first one's.
    worst = evaluate_retrieval(collection, oracle(Oracle, coarse, collection, "worst", -1.0), tmp_path, seed=1)
    found = worst.metrics["ndcg_at_10"]
    assert found.value < 0.3
    assert found.low <= found.value <= found.high < 0.5
    assert worst.scores["ndcg_at_10"].ids == result.scores["ndcg_at_10"].ids


@pytest.mark.slow
def test_bm25_ranks_by_words_and_reranking_ranks_candidates_alone(tmp_path):
    corpus = {"a": "red cotton shirt", "b": "steel kettle", "c": "red kettle made of steel"}
    collection = RetrievalCollection(
        "lexical", corpus, {"q": "steel kettle", "r": "shirt"}, {"q": {"b": 2, "c": 1}, "r": {"a": 1}}
    )
    result = evaluate_retrieval(collection, LexicalModel("bm25"), tmp_path / "all", seed=0)
    assert result.metrics["ndcg_at_10"].value == 1.0
    assert set(result.metrics) == {"ndcg_at_10", "recall_at_10", "recall_at_100", "mrr_at_10"}
    few = RetrievalCollection("few", corpus, {"q": "steel kettle"}, {"q": {"c": 1}}, candidates={"q": ["a", "c"]})
    result = evaluate_retrieval(few, LexicalModel("tfidf"), tmp_path / "few", seed=0)
    assert {name: metric.value for name, metric in result.metrics.items()} == {"ndcg_at_10": 1.0, "map": 1.0}


@pytest.mark.slow
def test_a_fine_tune_comes_before_ranking_and_the_untuned_figures_stand_beside(model_folder, tmp_path):
    from rexplug import FineTuning
    from rexplug.evaluation.encoder import HuggingFaceEncoder

    colours = ["red", "blue", "oak", "steel", "linen", "cotton"]
    corpus = {word: f"a thing of {word} for every day" for word in colours}
    collection = RetrievalCollection(
        "tuned", corpus, {word: f"{word} please" for word in colours}, {word: {word: 1} for word in colours},
        training=[(f"some {word}", f"{word} goods of the best sort") for word in colours] * 2,
    )  # fmt: skip
    model = HuggingFaceEncoder(model_folder)
    tuning = FineTuning(steps=15, batch=6, learning_rates=(1e-3, 3e-3), seeds=2, max_tokens=16)
    before = model.revision
    result = evaluate_retrieval(collection, model, tmp_path, 3, tuning)
    assert {"ndcg_at_10", "raw.ndcg_at_10", "centred.ndcg_at_10", "whitened.ndcg_at_10"} <= set(result.metrics)
    assert result.metrics["ndcg_at_10"].num_seeds == 2
    assert len(result.scores["ndcg_at_10"].values) == 2
    assert result.metrics["ndcg_at_10"].value > result.metrics["raw.ndcg_at_10"].value
    assert result.notes[0].startswith("Fine-tuned before ranking: 15 steps of 6 pairs")
    del model.revision
    assert model.revision == before, "the model under evaluation stays as it is"


def test_other_data_is_another_revision(collection):
    other = RetrievalCollection(
        collection.name, {**collection.corpus, "d0": "changed"}, collection.queries, collection.relevance
    )
    assert revision(other) != revision(collection)
