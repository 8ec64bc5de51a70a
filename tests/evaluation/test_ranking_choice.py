"""Training and dev pairs of a ranking task, and the score on dev."""

import numpy as np
import pytest

from rexplug import FineTuning, RetrievalCollection
from rexplug.evaluation.ranking_choice import DevRanking, ranking_of, train_and_dev

BUDGET = FineTuning(dev_examples=30)


def collection(training, dev=()):
    return RetrievalCollection("toy", {"d": "text"}, {"q": "query"}, {"q": {"d": 1}}, training=training, dev=dev)


def pairs(number, documents=2):
    return [(f"query {n}", f"document {n}{m}") for n in range(number) for m in range(documents)]


def test_a_fifth_of_the_training_queries_is_held_out():
    training, dev = train_and_dev(collection(pairs(20)), BUDGET)
    assert len(dev.queries) == 4
    assert not {query for query, _ in training} & set(dev.queries)
    assert len(training) == 32
    assert len(dev.documents) == 30
    assert dev.relevant.sum(1).tolist() == [2] * 4
    again = train_and_dev(collection(pairs(20)[::-1]), BUDGET)[1]
    assert (again.queries, again.documents) == (dev.queries, dev.documents)


def test_dev_pairs_of_the_collection_leave_all_training_pairs():
    own = [("other", "of its own"), ("another", "of its own")]
    training, dev = train_and_dev(collection(pairs(20), own), BUDGET)
    assert len(training) == 40
    assert set(dev.queries) == {"other", "another"}
    assert dev.relevant[:, dev.documents.index("of its own")].all()


def test_nothing_is_held_out_of_few_queries():
    training, dev = train_and_dev(collection(pairs(9)), BUDGET)
    assert (len(training), dev) == (18, None)


def test_texts_to_rank_are_limited():
    dev = ranking_of(pairs(20, documents=5), ["more"] * 40, 12)
    assert (len(dev.queries), len(dev.documents)) == (2, 11)


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean", "manhattan"])
def test_the_score_is_the_mean_average_precision(similarity):
    from sklearn.metrics import average_precision_score

    generator = np.random.default_rng(1)
    queries, documents = (generator.normal(size=(n, 3)).astype(np.float32) for n in (6, 15))
    queries, documents = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (queries, documents))
    relevant = generator.random((6, 15)) < 0.3
    relevant[:, 0] = True
    distance = np.abs(queries[:, None] - documents[None])
    values = {"euclidean": -((distance**2).sum(-1)), "manhattan": -distance.sum(-1)}.get(
        similarity, queries @ documents.T
    )
    expected = np.mean([average_precision_score(relevant[n], values[n]) for n in range(6)])
    found = DevRanking(list("abcdef"), [str(n) for n in range(15)], relevant).score(queries, documents, similarity)
    assert found == pytest.approx(expected)
