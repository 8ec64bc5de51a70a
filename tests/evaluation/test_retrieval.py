"""Retrieval and reranking on mteb, and the metrics of a ranking."""

import json
from typing import ClassVar

import numpy as np
import pytest

from rexplug import RetrievalCollection
from rexplug.evaluation.lexical import LexicalModel
from rexplug.evaluation.retrieval import evaluate_retrieval, query_scores, revision


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


@pytest.fixture
def judged():
    """Two queries with a ranking each; the second one finds nothing."""
    queries = {"q": "steel kettle", "r": "oak table"}
    relevance = {"q": {"a": 3, "b": 1, "c": 0, "d": -1}, "r": {"a": 1}}
    collection = RetrievalCollection("judged", {key: key for key in "abcd"}, queries, relevance)
    return collection, {"q": {"c": 4.0, "b": 3.0, "d": 2.0, "a": 1.0}, "r": {}}


def test_query_scores_are_those_of_the_textbook(judged):
    collection, ranking = judged
    gain, ideal = 1 / np.log2(3) + 3 / np.log2(5), 3 + 1 / np.log2(3)
    assert query_scores(collection, ranking, "ndcg_cut_10") == [pytest.approx(gain / ideal, abs=1e-6), 0.0]
    assert query_scores(collection, ranking, "recall_10", 2) == [0.5, 0.0]
    assert query_scores(collection, ranking, "recip_rank", 10) == [0.5, 0.0]
    assert query_scores(collection, ranking, "recip_rank", 1) == [0.0, 0.0]
    assert query_scores(collection, ranking, "map") == [(1 / 2 + 2 / 4) / 2, 0.0]


def test_gains_in_place_of_grades(judged):
    collection, ranking = judged
    # Gains of 10 for grade 3 and 1 for grade 1; c and b come first, then d, then a.
    gain, ideal = 1 / np.log2(3) + 10 / np.log2(5), 10 + 1 / np.log2(3)
    assert query_scores(collection, ranking, "ndcg", None, {3: 10, 1: 1})[0] == pytest.approx(gain / ideal, abs=1e-6)
    assert query_scores(collection, ranking, "ndcg", None, {3: 10})[0] == pytest.approx(1 / np.log2(5), abs=1e-6)


def test_documents_of_equal_score_keep_their_order(judged):
    collection, _ = judged
    first, last = ({"q": dict.fromkeys(order, 1.0)} for order in ("abcd", "dcba"))
    assert query_scores(collection, first, "recip_rank")[0] == 1.0
    assert query_scores(collection, last, "recip_rank")[0] == round(1 / 3, 6)


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
    (own,) = [entry for entry in written if "scores" in entry]
    assert own["scores"]["test"][0]["main_score"] == 1.0
    assert own["dataset_revision"] == revision(collection)

    # Another model in the same folder does not get the stored result or ranking of the first.
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
    assert result.headlines == []
    assert set(result.metrics) == {"ndcg_at_10", "recall_at_10", "recall_at_100", "mrr_at_10"}
    few = RetrievalCollection("few", corpus, {"q": "steel kettle"}, {"q": {"c": 1}}, candidates={"q": ["a", "c"]})
    result = evaluate_retrieval(few, LexicalModel("tfidf"), tmp_path / "few", seed=0)
    assert {name: metric.value for name, metric in result.metrics.items()} == {"ndcg_at_10": 1.0, "map": 1.0}


@pytest.mark.slow
def test_a_model_is_fine_tuned_before_ranking_and_also_ranked_untuned(model_folder, tmp_path):
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
    assert result.headlines == ["untuned.ndcg_at_10"]
    assert {"ndcg_at_10", "untuned.ndcg_at_10", "raw.ndcg_at_10", "centred.ndcg_at_10", "whitened.ndcg_at_10"} <= set(
        result.metrics
    )
    assert result.metrics["ndcg_at_10"].num_seeds == 2
    assert len(result.scores["ndcg_at_10"].values) == 2
    assert result.metrics["ndcg_at_10"].value > result.metrics["raw.ndcg_at_10"].value
    assert result.notes[0].startswith("Fine-tuned before ranking: 15 steps of 6 pairs")
    del model.revision
    assert model.revision == before, "the model under evaluation stays as it is"


@pytest.mark.slow
def test_a_fine_tune_is_chosen_on_a_fifth_of_the_training_queries(model_folder, tmp_path):
    from rexplug import FineTuning
    from rexplug.evaluation.encoder import HuggingFaceEncoder

    words = [f"{colour} {thing}" for colour in ("red", "blue", "oak") for thing in ("shirt", "kettle", "door", "belt")]
    collection = RetrievalCollection(
        "chosen", {word: f"a {word} for every day" for word in words}, {word: f"{word} please" for word in words},
        {word: {word: 1} for word in words}, training=[(f"some {word}", f"{word} goods") for word in words],
    )  # fmt: skip
    model, tuning = HuggingFaceEncoder(model_folder), FineTuning(steps=8, batch=6, seeds=1, learning_rates=(30.0,))
    result = evaluate_retrieval(collection, model, tmp_path, 3, tuning)
    assert result.notes[0].startswith(
        "Fine-tuned before ranking: 8 steps of 6 pairs with in-batch negatives, 10 pairs;"
    )
    assert "chosen on dev" in result.notes[1]
    assert result.notes[2].startswith("Fine-tuning did not help on dev (")
    assert result.metrics["ndcg_at_10"] == result.metrics["untuned.ndcg_at_10"]
    scores = {row["steps"]: row["dev"] for row in result.tables["fine-tuning, on dev"]}
    assert max(scores, key=scores.get) == 0


def test_other_data_is_another_revision(collection):
    other = RetrievalCollection(
        collection.name, {**collection.corpus, "d0": "changed"}, collection.queries, collection.relevance
    )
    assert revision(other) != revision(collection)


@pytest.fixture
def asked(model_folder):
    """An encoder with 256 positions that states 64 tokens, and the (role, limit, longest input) of each call."""
    from rexplug.evaluation.encoder import HuggingFaceEncoder
    from rexplug.recipe.evaluation import ModelOptions

    class Asked(HuggingFaceEncoder):
        calls: ClassVar = []

        def encode(self, texts, max_tokens=512, *, role=None, prompt=None):
            self.calls.append((role, max_tokens, self.max_tokens))
            return super().encode(texts, max_tokens, role=role, prompt=prompt)

    encoder = Asked(model_folder, options=ModelOptions(max_tokens=64, query_prompt="red ", similarity="dot"))
    encoder.calls.clear()
    return encoder


def predicted(folder):
    (path,) = (folder / "predictions").glob("*-raw-*/**/*.json")
    return json.loads(path.read_text())["default"]["test"]


def test_queries_and_documents_have_their_prompts_and_similarity(asked, collection, tmp_path):
    evaluate_retrieval(collection, asked, tmp_path, seed=0)
    assert set(asked.calls) == {("document", 512, 64), ("query", 512, 64)}
    query, document = next((query, document) for query, found in predicted(tmp_path).items() for document in found)
    texts = [f"red {collection.queries[query]}", collection.corpus[document]]
    one, two = asked.encode(texts)
    assert predicted(tmp_path)[query][document] == pytest.approx(float(one @ two), rel=1e-5)


def test_texts_are_read_up_to_max_tokens(asked, collection, tmp_path):
    evaluate_retrieval(collection, asked, tmp_path / "asked", seed=0, max_tokens=128)
    assert set(asked.calls) == {("document", 128, 128), ("query", 128, 128)}
    asked.calls.clear()
    evaluate_retrieval(collection, asked, tmp_path / "more", seed=0, max_tokens=2048)
    assert set(asked.calls) == {("document", 2048, 256), ("query", 2048, 256)}
