"""Training and dev pairs of a ranking task, and the score on dev."""

import numpy as np
import pytest

from rexplug import FineTuning, RetrievalCollection
from rexplug.evaluation.ranking_choice import DevRanking, graded_pairs, ranking_of, train_and_dev

BUDGET = FineTuning(dev_examples=30)
CORPUS = {f"d{n}": f"text {n}" for n in range(50)}


def collection(training, dev=None):
    return RetrievalCollection("toy", CORPUS, {"q": "query"}, {"q": {"d1": 1}}, training=training, dev=dev or {})


def pairs(number, documents=2):
    return [(f"query {n}", f"document {n}{m}") for n in range(number) for m in range(documents)]


def test_a_fifth_of_the_training_queries_is_held_out():
    training, dev = train_and_dev(collection(pairs(20)), BUDGET)
    assert len(dev.queries) == 4
    assert not {query for query, _ in training} & set(dev.queries)
    assert len(training) == 32
    assert len(dev.documents) == 30
    assert dev.grades.sum(1).tolist() == [2] * 4
    again = train_and_dev(collection(pairs(20)[::-1]), BUDGET)[1]
    assert (again.queries, again.documents) == (dev.queries, dev.documents)


def test_dev_queries_of_the_collection_leave_all_training_pairs():
    own = {"other": {"d3": 3, "d4": 0}, "another": {"d3": 1}, "without": {"d5": 0}}
    training, dev = train_and_dev(collection(pairs(20), own), BUDGET)
    assert len(training) == 40
    assert set(dev.queries) == {"other", "another"}, "a query without a relevant document says nothing"
    of_other = dev.grades[dev.queries.index("other")]
    assert (of_other[dev.documents.index("text 3")], of_other[dev.documents.index("text 4")]) == (3, 0)
    assert len(dev.documents) == 30


def test_nothing_is_held_out_of_few_queries():
    training, dev = train_and_dev(collection(pairs(9)), BUDGET)
    assert (len(training), dev) == (18, None)


def test_texts_to_rank_are_limited():
    dev = ranking_of(graded_pairs(pairs(20, documents=5)), ["more"] * 40, 12)
    assert (len(dev.queries), len(dev.documents)) == (2, 11)


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean", "manhattan"])
def test_the_score_is_ndcg_at_10(similarity):
    from sklearn.metrics import ndcg_score

    generator = np.random.default_rng(1)
    queries, documents = (generator.normal(size=(n, 3)).astype(np.float32) for n in (6, 15))
    queries, documents = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (queries, documents))
    grades = generator.integers(0, 4, (6, 15)).astype(float)
    distance = np.abs(queries[:, None] - documents[None])
    values = {"euclidean": -((distance**2).sum(-1)), "manhattan": -distance.sum(-1)}.get(
        similarity, queries @ documents.T
    )
    found = DevRanking(list("abcdef"), [str(n) for n in range(15)], grades).score(queries, documents, similarity)
    assert found == pytest.approx(ndcg_score(grades, values, k=10))
