import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rexplug_annealing import Constant, Cosine, Curriculum, Linear, OneMinusSqrt, Stepwise, Temperature

ENDS = {"start": {"web": 8, "retail": 2}, "end": {"retail": 0.9, "web": 0.1}}


@pytest.mark.parametrize("schedule", [Linear, Cosine, OneMinusSqrt])
def test_curves_begin_at_the_start_and_stop_at_the_end(schedule):
    assert schedule(**ENDS).weights(0.0) == pytest.approx({"web": 0.8, "retail": 0.2})
    assert schedule(**ENDS).weights(1.0) == pytest.approx({"web": 0.1, "retail": 0.9})
    assert schedule(**ENDS).weights(1.5) == schedule(**ENDS).weights(1.0)


@pytest.mark.parametrize(
    ("schedule", "way"), [(Linear, 0.25), (Cosine, (1 - math.cos(math.pi / 4)) / 2), (OneMinusSqrt, 0.5)]
)
def test_a_quarter_of_the_phase(schedule, way):
    assert schedule(**ENDS).weights(0.25)["retail"] == pytest.approx(0.2 + 0.7 * way)


@given(st.sampled_from([Linear, Cosine, OneMinusSqrt]), st.floats(0, 1), st.floats(0, 1))
def test_shares_add_up_to_one_and_are_monotonic(schedule, first, second):
    first, second = sorted((first, second))
    early, late = schedule(**ENDS).weights(first), schedule(**ENDS).weights(second)
    assert sum(early.values()) == pytest.approx(1)
    assert early["retail"] <= late["retail"] + 1e-12


def test_a_source_that_one_end_leaves_out_fades():
    schedule = Linear(start={"web": 1}, end={"retail": 1})
    assert schedule.weights(0.25) == pytest.approx({"web": 0.75, "retail": 0.25})


def test_constant_is_constant():
    assert Constant(shares={"web": 3, "retail": 1}).weights(0.7) == {"web": 3, "retail": 1}


def test_steps_hold_until_the_next_one_and_always_name_all_sources():
    schedule = Stepwise(steps=[{"from": 0, "shares": {"web": 1}}, {"from": 0.5, "shares": {"retail": 2}}])
    assert schedule.weights(0.499) == {"web": 1, "retail": 0}
    assert schedule.weights(0.5) == schedule.weights(1.0) == {"web": 0, "retail": 2}


def test_a_curriculum_holds_the_domain_s_share_and_raises_it_in_the_last_phase():
    groups = {"general": {"web": 3, "books": 1}, "domain": "retail", "start": 0.2, "end": 0.8}
    for phase in ("general", "extend"):
        for progress in (0.0, 0.6, 1.0):
            assert Curriculum(phase=phase, **groups).weights(progress) == pytest.approx(
                {"web": 0.6, "books": 0.2, "retail": 0.2}
            )
    anneal = Curriculum(phase="anneal", **groups)
    assert anneal.weights(0.0) == pytest.approx({"web": 0.6, "books": 0.2, "retail": 0.2})
    assert anneal.weights(0.5) == pytest.approx({"web": 0.375, "books": 0.125, "retail": 0.5})
    assert anneal.weights(1.0) == pytest.approx({"web": 0.15, "books": 0.05, "retail": 0.8})


def test_a_curriculum_is_written_once_for_all_phases(tmp_path):
    from rexplug.recipe import load_recipe

    phase = "batch_tokens: 2k, tokens: 10k, context: 64, learning_rate: {peak: 1e-3}, masking: random"
    (tmp_path / "recipe.yaml").write_text(
        f"""
name: small
sources: {{web: {{use: text, paths: web}}, retail: {{use: text, paths: retail}}}}
tokenizer: {{use: train}}
model: {{size: nano}}
defaults:
  mixing: {{use: annealing.curriculum, general: web, domain: retail}}
phases:
  - {{name: pretrain, mixing: {{phase: general}}, {phase}}}
  - {{name: anneal, mixing: {{phase: anneal, end: 1}}, {phase}}}
"""
    )
    first, last = load_recipe(tmp_path / "recipe.yaml").phases
    assert first.mixing.weights(1.0)["retail"] == pytest.approx(0.2)
    assert last.mixing.weights(1.0) == pytest.approx({"web": 0.0, "retail": 1.0})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Curriculum(phase="anneal", general="web", domain="web"), "'web' is in both general and domain"),
        (
            lambda: Curriculum(phase="anneal", general={"web": 0}, domain="shop"),
            "general gives every source a share of 0",
        ),
        (lambda: Curriculum(phase="annael", general="web", domain="shop"), "'general', 'extend' or 'anneal'"),
        (lambda: Constant(shares={"web": 0}), "shares gives every source a share of 0; at least one must be above 0"),
        (lambda: Linear(start={"web": 1}, end={"web": 0}), "end gives every source a share of 0"),
        (lambda: Constant(shares={"web": -1}), "greater than or equal to 0"),
        (lambda: Constant(shares={"web": float("inf")}), "finite"),
        (lambda: Constant(shares={}), "at least 1"),
        (lambda: Stepwise(steps=[{"from": 0.1, "shares": {"web": 1}}]), "these begin at [0.1]"),
        (
            lambda: Stepwise(steps=[{"from": x, "shares": {"web": 1}} for x in (0, 0.5, 0.5)]),
            "steps begin at 0 and rise; these begin at [0.0, 0.5, 0.5]",
        ),
        (lambda: Linear(start={"web": 1}, end={"web": 1}, sped=2), "Extra inputs are not permitted"),
    ],
)
def test_invalid_schedules_are_refused(make, message):
    with pytest.raises(ValidationError) as refused:
        make()
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "schedule",
    [
        Linear(**ENDS),
        Stepwise(steps=[{"from": 0, "shares": {"web": 1}}]),
        Curriculum(phase="anneal", general="web", domain="shop"),
    ],
)
def test_schedules_write_themselves_back(schedule):
    entry = schedule.dump()
    assert entry.pop("use") == schedule.name
    assert type(schedule).model_validate(entry) == schedule


SIZES = {"en": "1B", "de": "100M", "hi": "1M"}


def test_temperature_takes_sources_by_a_power_of_their_size():
    assert Temperature(tokens=SIZES, exponent=1).weights(0.3) == pytest.approx(
        {"en": 1000 / 1101, "de": 100 / 1101, "hi": 1 / 1101}
    )
    assert Temperature(tokens=SIZES, exponent=0).weights(0.3) == pytest.approx(dict.fromkeys(SIZES, 1 / 3))
    half = Temperature(tokens=SIZES, exponent=0.5).weights(0)
    assert half["en"] / half["hi"] == pytest.approx(1000**0.5)


def test_temperature_changes_linearly():
    schedule = Temperature(tokens=SIZES, exponent={"start": 0.7, "end": 0.3})
    for progress, exponent in ((0, 0.7), (0.5, 0.5), (1, 0.3), (1.5, 0.3)):
        assert schedule.weights(progress) == pytest.approx(Temperature(tokens=SIZES, exponent=exponent).weights(0))


def test_temperature_within_the_domain_and_within_the_rest():
    sizes = {"en": 1000, "en_shop": 40, "de": 10, "de_shop": 10}
    schedule = Temperature(
        tokens=sizes, exponent=0.5, domain=["en_shop", "de_shop"], domain_share={"start": 0.3, "end": 0.9}
    )
    for progress, share in ((0, 0.3), (0.5, 0.6), (1, 0.9)):
        weights = schedule.weights(progress)
        assert list(weights) == list(sizes)
        assert sum(weights.values()) == pytest.approx(1)
        assert weights["en_shop"] + weights["de_shop"] == pytest.approx(share)
        assert weights["en_shop"] / weights["de_shop"] == pytest.approx(2)
        assert weights["en"] / weights["de"] == pytest.approx(10)


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**15), min_size=1),
    st.floats(0, 1), st.floats(0, 1), st.floats(0, 1),
)  # fmt: skip
def test_a_lower_exponent_never_reduces_the_share_of_the_smallest_source(sizes, first, second, progress):
    low, high = sorted((first, second))
    smallest = min(sizes, key=lambda name: sizes[name])
    even, steep = (Temperature(tokens=sizes, exponent=exponent).weights(progress) for exponent in (low, high))
    assert sum(even.values()) == pytest.approx(1)
    assert even[smallest] >= steep[smallest] - 1e-12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"domain": ["fr"], "domain_share": 0.5}, "'fr' is in domain and has no size in tokens"),
        ({"domain": ["de"]}, "'domain' and 'domain_share' go together: write both or neither"),
        ({"domain_share": 0.5}, "'domain' and 'domain_share' go together: write both or neither"),
        (
            {"domain": ["en", "de", "hi"], "domain_share": 0.5},
            "all sources are in the domain; leave out 'domain' and 'domain_share'",
        ),
    ],
)
def test_a_domain_that_does_not_fit_the_sizes(options, message):
    with pytest.raises(ValidationError) as error:
        Temperature(tokens=SIZES, **options)
    assert [problem["msg"] for problem in error.value.errors()] == [message]


@pytest.mark.parametrize("tokens", [{}, {"en": 0}, {"en": -1}])
def test_sizes_are_above_zero(tokens):
    with pytest.raises(ValidationError):
        Temperature(tokens=tokens)
