from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rexplug
from rexplug.batches import mixing


class Fixed(rexplug.MixingSchedule):
    name: ClassVar[str] = "toy.fixed"

    values: dict[str, float]

    def weights(self, progress: float) -> Mapping[str, float]:
        return self.values


def run(weights, lengths):
    """Draw a sample of each length in turn; returns the error of each source in tokens after every draw."""
    credits = [0] * len(weights)
    spent = np.zeros(len(weights))
    share = np.array(weights) / sum(weights)
    errors = []
    for length in lengths:
        source = mixing.next_source(credits, weights, 1024)
        mixing.charge(credits, weights, source, length)
        spent[source] += length
        errors.append(spent - share * spent.sum())
    return np.array(errors)


@given(st.floats(0.001, 0.999), st.lists(st.integers(3, 1024), min_size=1, max_size=300))
def test_the_realised_share_of_two_sources_is_right_within_one_sample(share, lengths):
    weights = mixing.integer_weights(Fixed(values={"a": share, "b": 1 - share}), 0.0, ("a", "b"))
    assert np.abs(run(weights, lengths)).max() <= 1024


@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=8), st.lists(st.integers(3, 1024), min_size=1, max_size=200))
def test_no_source_deviates_by_more_than_the_longest_sample(values, lengths):
    sources = tuple("abcdefgh"[: len(values)])
    weights = mixing.integer_weights(Fixed(values=dict(zip(sources, values, strict=True))), 0.0, sources)
    assert np.abs(run(weights, lengths)).max() <= 1024


def test_a_source_without_a_share_is_never_drawn():
    weights = mixing.integer_weights(Fixed(values={"b": 2.0}), 0.0, ("a", "b"))
    assert weights == (0, 2**32)
    assert mixing.next_source([10**12, -(10**12)], weights, 3) == 1


@pytest.mark.parametrize("bad", [{"a": -1.0, "b": 2.0}, {"a": float("nan")}, {"a": float("inf")}, {"a": 0.0}])
def test_weights_that_are_not_shares_are_refused(bad):
    with pytest.raises(rexplug.PluginError) as refused:
        mixing.integer_weights(Fixed.model_construct(values=bad), 0.25, ("a", "b"))
    assert str(refused.value) == f"toy.fixed.weights(0.25) returned {bad}; weights are finite, at least 0 and not all 0"


def test_an_unknown_source_is_refused_by_name():
    with pytest.raises(rexplug.PluginError) as refused:
        mixing.integer_weights(Fixed(values={"wbe": 1}), 0.5, ("web", "retail"))
    assert str(refused.value) == "toy.fixed.weights(0.5) names 'wbe'; the sources are web, retail"
