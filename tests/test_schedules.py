"""Learning rate and batch size: warm-up, decay and final value of each shape."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rexplug.schedules import Ramp, batch_size, learning_rate_factor

SHAPES = ["constant", "linear", "cosine", "wsd", "one_minus_sqrt"]


@pytest.mark.parametrize("schedule", SHAPES)
def test_warmup_rises_linearly_from_zero(schedule):
    factors = [learning_rate_factor(t, total=1000, schedule=schedule, warmup=100) for t in (0, 25, 50, 100)]
    assert factors == [0.0, 0.25, 0.5, 1.0]


@pytest.mark.parametrize("schedule", SHAPES[1:])
def test_ends_at_the_final_share_and_stays_there(schedule):
    for tokens in (1000, 1200):
        assert learning_rate_factor(tokens, total=1000, schedule=schedule, warmup=100, final=0.2) == pytest.approx(0.2)


def test_constant_stays_at_the_peak():
    assert {learning_rate_factor(t, total=1000, schedule="constant") for t in (0, 500, 1000)} == {1.0}


@pytest.mark.parametrize("schedule", ["wsd", "one_minus_sqrt"])
def test_a_decay_of_zero_means_no_decay(schedule):
    assert learning_rate_factor(1000, total=1000, schedule=schedule, decay=0) == 1.0


@pytest.mark.parametrize("schedule", ["wsd", "one_minus_sqrt"])
def test_holds_the_peak_until_the_decay(schedule):
    assert learning_rate_factor(600, total=1000, schedule=schedule, warmup=100, decay=400) == 1.0
    assert learning_rate_factor(601, total=1000, schedule=schedule, warmup=100, decay=400) < 1.0


def test_values_halfway():
    def half(schedule, final=0.0):
        return learning_rate_factor(800, total=1000, schedule=schedule, decay=400, final=final)

    assert half("wsd") == pytest.approx(0.5)
    assert half("one_minus_sqrt") == pytest.approx(1 - math.sqrt(0.5))
    assert half("one_minus_sqrt", final=0.5) == pytest.approx(0.5 + 0.5 * (1 - math.sqrt(0.5)))
    assert learning_rate_factor(550, total=1000, schedule="cosine", warmup=100) == pytest.approx(0.5)
    assert learning_rate_factor(325, total=1000, schedule="linear", warmup=100) == pytest.approx(0.75)


@given(
    tokens=st.integers(0, 2000), schedule=st.sampled_from(SHAPES), warmup=st.integers(0, 500),
    decay=st.none() | st.integers(0, 500), final=st.floats(0, 1),
)  # fmt: skip
def test_is_always_a_share_of_the_peak(tokens, schedule, warmup, decay, final):
    factor = learning_rate_factor(tokens, total=1000, schedule=schedule, warmup=warmup, decay=decay, final=final)
    assert -1e-12 <= factor <= 1 + 1e-12


def test_batch_grows_linearly_and_is_full_after_the_warmup():
    sizes = [batch_size(t, full=1000, start=200, warmup=400) for t in (0, 200, 400, 9999)]
    assert sizes == [200, 600, 1000, 1000]
    assert batch_size(0, full=1000) == 1000


def test_ramp_is_one_number_or_two():
    assert Ramp.model_validate(0.3).at(0.7) == 0.3
    ramp = Ramp.model_validate({"start": 0.3, "end": 0.1})
    assert ramp.at(0.5) == pytest.approx(0.2)
    assert (ramp.at(-1), ramp.at(2)) == (0.3, 0.1)
    assert Ramp.model_validate(0.3).model_dump() == 0.3


GOLDEN = {
    # Factors at 0, 50, 100, 250, 500, 700, 850, 1000 tokens: warm-up 100, the last 300 fall (linear and cosine: all) to 0.1.
    "constant": [0, 0.5, 1, 1, 1, 1, 1, 1],
    "linear": [0, 0.5, 1, 0.85, 0.6, 0.4, 0.25, 0.1],
    "cosine": [0, 0.5, 1, 0.939711, 0.628142, 0.325000, 0.160289, 0.1],
    "wsd": [0, 0.5, 1, 1, 1, 1, 0.55, 0.1],
    "one_minus_sqrt": [0, 0.5, 1, 1, 1, 1, 0.363604, 0.1],
}


@pytest.mark.parametrize("schedule", SHAPES)
def test_golden_curves(schedule):
    """Computed by hand from the formulas of ModernBERT's `src/scheduler.py`, to six places."""
    decay = 300 if schedule in ("wsd", "one_minus_sqrt") else None
    final = 0.0 if schedule == "constant" else 0.1
    curve = [
        learning_rate_factor(t, total=1000, schedule=schedule, warmup=100, decay=decay, final=final)
        for t in (0, 50, 100, 250, 500, 700, 850, 1000)
    ]
    assert curve == pytest.approx(GOLDEN[schedule], abs=1e-6)
