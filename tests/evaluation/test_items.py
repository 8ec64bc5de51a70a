"""Items that evaluators give: rankings, classes, degrees, spans and masked words."""

import pytest

from rexplug import Example, MaskedWord, RankedDocument, RetrievalCollection, Scores, TaggedText
from rexplug.evaluation.items import class_items, degree_items, ranking_items, span_items, word_item


def test_a_ranking_shows_the_first_documents_and_the_relevant_ones_that_are_missing():
    corpus = {f"d{number}": f"document {number}" for number in range(14)}
    relevance = {"q": {"d0": 1, "d12": 2, "d13": 3, "d5": 0}, "r": {"d1": 1}}
    collection = RetrievalCollection("toy", corpus, {"q": "steel kettle", "r": "oak table"}, relevance)
    found = {f"d{number}": 20.0 - number for number in range(13)}
    one, other = ranking_items(collection, {"q": found, "r": {}}, Scores(["q", "r"], [[0.5, 0.0], [0.25, 0.0]]))
    assert (one.id, one.text, one.score, one.correct) == ("q", "steel kettle", 0.375, True)
    assert [document.id for document in one.ranking] == [f"d{number}" for number in range(10)]
    assert one.ranking[0] == RankedDocument("d0", "document 0", 1, 20.0, 1)
    assert [document.grade for document in one.ranking[1:6]] == [None, None, None, None, 0]
    # The highest grade first; one that was not ranked has no rank.
    assert [(d.id, d.grade, d.rank) for d in one.missed] == [("d13", 3, None), ("d12", 2, 13)]
    assert (other.correct, other.ranking, [d.id for d in other.missed]) == (False, [], ["d1"])


def test_documents_of_equal_score_keep_their_order():
    collection = RetrievalCollection("toy", {k: k for k in "abc"}, {"q": "query"}, {"q": {"c": 1}})
    (item,) = ranking_items(collection, {"q": dict.fromkeys("cba", 1.0)}, Scores(["q"], [[1.0]]))
    assert [document.id for document in item.ranking] == ["c", "b", "a"]


def test_classes_are_those_of_the_first_fine_tune_and_scores_means_over_all():
    examples = [Example("a", "toys"), Example("b", "tools", "c")]
    one, other = class_items(["1", "2"], examples, ["toys", "toys"], Scores(["1", "2"], [[1.0, 0.0], [0.0, 1.0]]))
    assert (one.text, one.expected, one.predicted, one.correct, one.score) == ("a", "toys", "toys", True, 0.5)
    assert (other.second, other.expected, other.predicted, other.correct, other.score) == (
        "c",
        "tools",
        "toys",
        False,
        0.5,
    )


def test_degrees_are_compared_by_rank_whatever_their_scale():
    examples = [Example("a", 0.0, "b"), Example("c", 2.5, "d"), Example("e", 5.0, "f")]
    cone = Scores(["1", "2", "3"], [[0.98, 0.99, 0.995]], targets=[0.0, 2.5, 5.0])
    assert [item.score for item in degree_items(["1", "2", "3"], examples, cone)] == [1.0, 1.0, 1.0]
    turned = Scores(["1", "2", "3"], [[0.9, 0.5, 0.1]], targets=[0.0, 2.5, 5.0])
    items = degree_items(["1", "2", "3"], examples, turned)
    assert [item.score for item in items] == [0.0, 1.0, 0.0]
    assert (items[0].second, items[0].expected, items[0].predicted, items[0].correct) == ("b", 0.0, 0.9, None)


def test_spans_are_scored_within_their_text():
    texts = [TaggedText("red oak table", [(0, 3, "colour"), (4, 7, "material")]), TaggedText("a table", [])]
    predicted = [[(0, 3, "colour"), (4, 13, "material")], []]
    scores = Scores(["1", "2"], [[2.0, 0.0]], [[4.0, 0.0]])
    one, other = span_items(texts, lambda number: predicted[number], scores)
    assert (one.score, one.correct, one.predicted_spans) == (0.5, False, predicted[0])
    assert (other.score, other.correct, other.expected_spans) == (1.0, True, [])


def test_masked_words_are_in_the_order_of_the_text():
    words = [MaskedWord(6, 9, "sea", False), MaskedWord(0, 1, "a", True)]
    item = word_item("web/1", "a red tie", words, "web")
    assert item.score == pytest.approx(0.5)
    assert (item.correct, item.part, [word.start for word in item.words]) == (False, "web", [0, 6])
