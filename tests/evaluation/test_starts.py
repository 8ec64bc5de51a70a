"""The embeddings that a fine-tune starts from."""

import numpy as np
import pytest

from rexplug.evaluation.starts import choose_start, spread_sample, transformed

CONE = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32) * [5, 1, 1, 1] + np.float32(100)
SAMPLE = CONE.astype(np.float32)


def score_of(**scores):
    """Scores by what the transform does: nothing, a shift, or a shift and a matrix."""
    return lambda t: scores["raw" if t is None else "centred" if t.matrix is None else "whitened"]


def test_the_best_start_on_dev_is_chosen():
    start = choose_start("auto", SAMPLE, score_of(raw=0.2, centred=0.3, whitened=0.1))
    assert (start.name, start.score) == ("centred", 0.3)
    assert start.note == "Start of the fine-tune: centred (chosen on dev: raw 0.200, centred 0.300, whitened 0.100)."
    np.testing.assert_allclose(transformed(SAMPLE, start.transform), SAMPLE - SAMPLE.mean(0), atol=1e-4)


def test_embeddings_stay_as_they_are_where_nothing_is_better():
    start = choose_start("auto", SAMPLE, score_of(raw=0.3, centred=0.3, whitened=0.3))
    assert (start.name, start.transform) == ("raw", None)
    assert transformed(SAMPLE, None) is SAMPLE


def test_a_gain_that_may_be_chance_changes_nothing():
    start = choose_start("auto", SAMPLE, score_of(raw=0.74, centred=0.75, whitened=0.78))
    assert (start.name, start.score) == ("raw", 0.74)
    assert choose_start("auto", SAMPLE, score_of(raw=0.74, centred=0.75, whitened=0.80)).name == "whitened"


def test_a_start_that_was_asked_for_is_used():
    start = choose_start("whitened", SAMPLE, score_of(raw=0.9, centred=0.9, whitened=0.1))
    assert (start.name, start.score) == ("whitened", 0.1)
    assert start.note == "Start of the fine-tune: whitened (as the option `start` says; on dev: whitened 0.100)."
    np.testing.assert_allclose(np.cov(transformed(SAMPLE, start.transform).T), np.eye(4), atol=0.05)


@pytest.mark.parametrize(("limit", "expected"), [(3, [0, 3, 6]), (10, list(range(10)))])
def test_samples_are_spread(limit, expected):
    assert spread_sample(range(10), limit) == expected
