"""Masked-word recovery in long documents, by position."""

import numpy as np
import pytest

from rexplug import DataError, Document, NotApplicable
from rexplug.evaluation.long_documents import LongDocuments


class Nearsighted:
    """Predicts a masked token correctly if its position is before `reach`."""

    def __init__(self, tokenizer, texts, reach, max_tokens=8192):
        self.tokenizer, self.texts, self.reach, self.max_tokens = tokenizer, texts, reach, max_tokens

    def predict_masked(self, rows, positions, top=1):
        found = []
        for text, places in zip(self.texts, positions, strict=True):
            truth = np.array(self.tokenizer(text)["input_ids"])
            found.append(np.where(places < self.reach, truth[places], 0)[:, None])
        return found


@pytest.fixture
def long(fine):
    return [Document(f"d{n}", " ".join(f"w{n}x{i}" for i in range(400))) for n in range(3)]


def test_recovery_is_reported_by_position(Setting, fine, long):
    encoder = Nearsighted(fine, [d.text for d in long], 512)
    evaluator = LongDocuments(min_words=100, edges=(0, 512, 1024, 2048))
    result = evaluator.evaluate(Setting(encoder, {"web": long}))
    assert list(result.metrics) == ["0-512", "512-1024", "1024-2048"]
    # A word that straddles the reach is lost, hence not quite one.
    assert result.metrics["0-512"].value > 0.95
    assert result.metrics["512-1024"].value == result.metrics["1024-2048"].value == 0.0
    assert result.main == "1024-2048"
    assert sum(m.num_items for m in result.metrics.values()) <= 3 * 60


def test_ranges_beyond_a_models_longest_input_are_left_out(Setting, fine, long):
    evaluator = LongDocuments(min_words=100, edges=(0, 256, 512, 1024))
    result = evaluator.evaluate(Setting(Nearsighted(fine, [d.text for d in long], 0, max_tokens=600), {"web": long}))
    assert list(result.metrics) == ["0-256", "256-512"]
    with pytest.raises(NotApplicable) as caught:
        evaluator.evaluate(Setting(Nearsighted(fine, [], 0, max_tokens=300), {"web": long}))
    assert str(caught.value) == "the model reads 300 tokens at most, less than two of the ranges"
    with pytest.raises(DataError) as caught:
        LongDocuments(min_words=9000).evaluate(Setting(Nearsighted(fine, [], 0), {"web": long}))
    assert str(caught.value) == "long_documents: no document has 9,000 words; lower min_words"


def test_edges_are_ascending():
    with pytest.raises(ValueError, match="edges must be at least three ascending numbers"):
        LongDocuments(edges=(0, 512, 256))
