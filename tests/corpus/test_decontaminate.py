"""Training documents with texts of evaluators are found and listed, and no others."""

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rexplug import Document, Evaluator
from rexplug.corpus.decontaminate import Decontaminate, build_index, evaluators_with_texts
from rexplug.corpus.ngram_index import Index, Thresholds, ngram_hashes, word_hashes
from rexplug.recipe.schema import Decontamination

LONG = "the quick brown fox jumps over the lazy dog while seven wizards box with twelve liquor jugs at dawn"
SHORT = "a red steel kettle with a whistle for gas"


class Asks(Evaluator):
    """An evaluator with test texts of three lengths."""

    name: ClassVar[str] = "toy.asks"

    def evaluate(self, context):
        raise NotImplementedError

    def test_texts(self):
        return {"long": LONG, "short": SHORT, "tiny": "red kettle"}


class Silent(Evaluator):
    """An evaluator without test texts."""

    name: ClassVar[str] = "toy.silent"

    def evaluate(self, context):
        raise NotImplementedError


@pytest.fixture
def index(tmp_path):
    return build_index([Asks()], Decontamination(), tmp_path / "index")


def test_copies_are_dropped_whatever_their_case_and_punctuation(index):
    judge = Decontaminate(index=index).judge
    assert judge(Document("1", f"Before. {LONG.upper()}, after")).reason == "text of toy.asks"
    assert judge(Document("2", "We sell " + SHORT.replace(" ", ", ") + " stoves")).reason == "text of toy.asks"
    assert judge(Document("3", "red kettle")).keep
    assert judge(Document("4", " ".join(LONG.split()[:12]))).keep, "twelve words are less than thirteen"
    assert judge(Document("5", " ".join(reversed(LONG.split())))).keep
    assert judge(Document("6", "")).keep


def test_ngrams_do_not_run_over_the_border_of_two_documents(index):
    words = LONG.split()
    first, second = " ".join(words[:9]), " ".join(words[9:])
    assert [v.keep for v in Decontaminate(index=index).judge_batch([Document("1", first), Document("2", second)])] == [
        True,
        True,
    ]


def test_hits_name_the_text_the_length_and_the_place(index):
    [[match]] = Index(index).matches(["So: " + LONG + " and so on"], Thresholds())
    assert (match.evaluator, match.text) == ("toy.asks", "long")
    assert match.num_hits == len(LONG.split()) - 12
    assert match.excerpt == " ".join(LONG.split()[:13])
    assert 0 < match.share <= 1
    assert Index(index).matches([LONG], Thresholds(hits=99)) == [[]]


def test_which_evaluators_are_compared():
    both = [Asks(), Silent()]
    assert evaluators_with_texts(both, "evaluators") == [both[0]]
    assert evaluators_with_texts(both, "none") == []
    assert evaluators_with_texts(both, ("toy.silent",)) == []


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from("abcdef"), max_size=60), st.integers(3, 13))
def test_windows_are_equal_where_the_words_are(words, length):
    hashes = ngram_hashes(word_hashes(" ".join(words)), length)
    grams = [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]
    assert len(hashes) == max(0, len(grams))
    assert len(set(hashes.tolist())) == len(set(grams))
    assert hashes.dtype == np.uint64
