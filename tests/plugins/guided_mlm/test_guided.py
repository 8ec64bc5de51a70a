import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from packed_rows import NothingSalient, guided, row
from pydantic import ValidationError

import rexplug
from rexplug.batches.policies import RandomMasking
from rexplug_guided_mlm import Guided

units = st.sampled_from(["token", "span", {"start": "span", "end": "token"}])


def draws(policy, batch, number, progress=0.5):
    """Masks of a row, `[number, num_tokens]`."""
    return np.array([policy.choose(batch, progress, np.random.default_rng(seed)) for seed in range(number)])


def spread(size, share, seed=0):
    """A row of one sample in which this share of the tokens is salient."""
    salient = np.zeros(size, np.uint8)
    salient[np.random.default_rng(seed).permutation(size)[: max(1, round(share * size))]] = 255
    return row([size + 2], salience=[0, *salient, 0])


def samples_of(batch):
    return [slice(a, b) for a, b in itertools.pairwise(batch.cu_seqlens)]


@pytest.mark.parametrize("level", [0, 7, 255])
def test_uniform_salience_is_random_masking_in_distribution(level):
    batch = row([6, 8], salience=[level])
    policy = guided(rate=0.4, boost=10)
    draws = np.array([policy.choose(batch, 0.5, np.random.default_rng(i)) for i in range(4000)], float)
    inside = draws[:, batch.maskable]
    # 4 of 10: every token is binomial with 1600 expected (deviation 31), every pair 4 * 3 / 90 of the draws (22).
    assert np.abs(inside.sum(0) - 1600).max() < 5 * 31
    pairs = (inside.T @ inside)[np.triu_indices(10, 1)]
    assert np.abs(pairs - 4000 * 12 / 90).max() < 5 * 22


@given(st.integers(0, 255), st.integers(0, 2**32), st.floats(1, 30), units)
def test_without_differences_in_salience_the_mask_is_that_of_random(level, seed, boost, unit):
    batch = row([30, 50, 8], salience=[level])
    masks = [
        policy.choose(batch, 0.5, np.random.default_rng(seed))
        for policy in (guided(boost=boost, unit=unit), guided(boost=1, unit=unit), RandomMasking())
    ]
    assert np.array_equal(masks[0], masks[2])
    assert np.array_equal(masks[1], masks[2])


@settings(max_examples=40, deadline=None)
@given(st.floats(0.001, 0.6), st.floats(1.5, 12), st.sampled_from([0.05, 0.15, 0.3]), st.integers(0, 2**32))
def test_salient_tokens_are_masked_boost_times_as_often_as_plain_ones(share, boost, rate, seed):
    batch = spread(2000, share, seed)
    salient = batch.channels["salience"] > 0
    plain = batch.maskable & ~salient
    masks = draws(guided(rate=rate, boost=boost), batch, 40)
    masked_salient, masked_plain = masks[:, salient].mean(), masks[:, plain].mean()
    expected = rate * boost / (boost * salient.sum() + plain.sum()) * 2000
    if expected <= 0.5:
        # The number of salient tokens is drawn by rounding: 40 draws of at most one token more or less.
        assert masked_salient == pytest.approx(expected, abs=0.5 / np.sqrt(40) * 4 / salient.sum())
        assert masked_salient / masked_plain == pytest.approx(
            boost, rel=2.5 / (np.sqrt(40) * expected * salient.sum()) + 0.02
        )
    else:
        assert masked_salient <= 0.5
        assert masked_salient / masked_plain < boost


@settings(max_examples=100)
@given(
    st.lists(st.integers(3, 300), min_size=1, max_size=8),
    st.lists(st.sampled_from([0, 0, 0, 40, 254, 255]), min_size=2, max_size=60),
    st.floats(0.01, 0.9), st.floats(1.1, 40), st.floats(0.05, 1), units, st.integers(0, 2**32),
)  # fmt: skip
def test_samples_have_equal_rates_and_the_cap_is_kept(lengths, salience, rate, boost, cap, unit, seed):
    batch = row(lengths, salience=salience)
    salient = (batch.channels["salience"] > 0) & batch.maskable
    assume(0 < salient.sum() < batch.maskable.sum())
    policy = guided(rate=rate, boost=boost, cap=cap, unit=unit)
    chosen = policy.choose(batch, 0.0, np.random.default_rng(seed))
    share = policy.budget(batch, 0.0) / batch.maskable.sum()
    for sample in samples_of(batch):
        maskable, masked = int(batch.maskable[sample].sum()), int(chosen[sample].sum())
        assert abs(masked - share * maskable) < 1
        num_salient = int(salient[sample].sum())
        longest = max([1, *(len(places) for places in spans(batch.channels["salience"][sample]))])
        one = 1 if unit == "token" else longest
        # One token or span may always be masked, and the budget is met where plain tokens are too few.
        most = max(cap * num_salient, one, masked - (maskable - num_salient))
        assert chosen[sample][salient[sample]].sum() <= most + 1e-9


def test_samples_without_salient_tokens_are_masked_at_the_same_rate():
    retail = np.where(np.arange(402) % 5 == 0, 255, 0)
    batch = row([402, 402], salience=[*retail, *np.zeros(402, int)])
    masks = draws(guided(rate=0.15, boost=8), batch, 30)
    assert [set(masks[:, sample].sum(1).tolist()) for sample in samples_of(batch)] == [{60}, {60}]


def test_short_samples_get_their_share_on_average():
    # 3 tokens at 15 % are 0.45 of a token: rounding to the nearest number would never mask one.
    batch = row([5, 9, 202, 5], salience=[0, 255, 0, 0, 255, 0, 0])
    masks = draws(guided(rate=0.15), batch, 2000)
    for sample in samples_of(batch):
        assert masks[:, sample][:, batch.maskable[sample]].mean() == pytest.approx(0.15, abs=0.01)


@pytest.mark.parametrize("unit", ["token", "span"])
def test_a_single_salient_token_is_masked_with_the_capped_probability(unit):
    batch = row([302], salience=[0] * 100 + [255] + [0] * 300)
    shares = {
        boost: draws(guided(rate=0.1, boost=boost, unit=unit), batch, 1200)[:, 100].mean() for boost in (1, 4, 50)
    }
    # 30 of 300 tokens, one of weight `boost` among 299 others.
    expected = {boost: min(0.5, 30 * boost / (299 + boost)) for boost in shares}
    assert shares == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("unit", ["token", "span"])
def test_levels_weigh(unit):
    # Never two salient tokens side by side, so that spans are single tokens.
    levels = np.zeros(3000, np.uint8)
    levels[5::15], levels[10::15] = 255, 40
    batch = row([3000], salience=levels)
    chosen = draws(guided(rate=0.15, boost=4, unit=unit), batch, 60)
    rates = {level: chosen[:, (batch.channels["salience"] == level) & batch.maskable].mean() for level in (0, 40, 255)}
    assert rates[255] / rates[0] == pytest.approx(4, rel=0.05)
    assert rates[40] / rates[0] == pytest.approx(1 + 3 * 40 / 255, rel=0.05)


def test_the_boost_changes_over_the_phase():
    batch = spread(4000, 0.13)
    salient = batch.channels["salience"] > 0
    policy = guided(rate=0.15, boost={"start": 1, "end": 5})
    odds = []
    for progress in (0.0, 0.5, 1.0):
        masks = draws(policy, batch, 30, progress)
        odds.append(masks[:, salient].mean() / masks[:, batch.maskable & ~salient].mean())
    assert odds == pytest.approx([1, 3, 5], rel=0.05)


def test_within_a_group_every_token_and_every_pair_is_equally_likely():
    batch = row([14], salience=[0] + [0, 255] * 6)
    salient = np.flatnonzero(batch.channels["salience"])
    masks = draws(guided(rate=0.5, boost=3, cap=1), batch, 4000)
    for places in (salient, np.setdiff1d(np.flatnonzero(batch.maskable), salient)):
        inside = masks[:, places].astype(float)
        single = inside.mean(0)
        assert np.abs(single - single.mean()).max() < 5 * np.sqrt(0.25 / 4000)
        pairs = (inside.T @ inside)[np.triu_indices(len(places), 1)] / 4000
        assert np.abs(pairs - pairs.mean()).max() < 5 * np.sqrt(0.25 / 4000)


def spans(salience):
    """The places of each run of equal salience above 0."""
    edges = np.flatnonzero(np.diff(salience.astype(int), prepend=-1, append=-1))
    return [np.arange(a, b) for a, b in itertools.pairwise(edges) if salience[a] > 0]


@given(st.integers(0, 2**32), st.floats(0.1, 0.3), st.floats(1.5, 8))
def test_spans_are_masked_whole_but_for_tokens_that_random_masks_take(seed, rate, boost):
    batch = row([200, 150], salience=[0, 0, 0, 90, 90, 90, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0])
    chosen = guided(rate=rate, boost=boost, unit="span").choose(batch, 0.0, np.random.default_rng(seed))
    for sample in samples_of(batch):
        inside = [chosen[sample][places].mean() for places in spans(batch.channels["salience"][sample])]
        assert sum(0 < share < 1 for share in inside) == 0


def test_spans_have_the_odds_of_tokens_on_average():
    pattern = [0, 0, 0, 255, 255, 255, 0, 0, 0, 0, 254, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0]
    batch = row([600, 300, 96], salience=pattern)
    salient = batch.channels["salience"] > 0
    masks = draws(guided(rate=0.15, boost=3, unit="span"), batch, 400)
    odds = masks[:, salient].mean() / masks[:, batch.maskable & ~salient].mean()
    assert odds == pytest.approx(3, rel=0.04)
    by_length = {
        length: masks[
            :, np.concatenate([places for places in spans(batch.channels["salience"]) if len(places) == length])
        ]
        for length in (1, 2, 3)
    }
    rates = [inside.mean() for inside in by_length.values()]
    assert max(rates) / min(rates) < 1.25, "short and long spans are about as likely"


def test_a_span_longer_than_the_count_of_its_sample_is_cut():
    # 3 of 20 tokens; the brand has 8.
    batch = row([22], salience=[0] * 5 + [255] * 8 + [0] * 20)
    masks = draws(guided(rate=0.15, boost=4, unit="span"), batch, 300)
    inside = masks[:, 5:13].sum(1)
    assert set(inside.tolist()) == {0, 3}
    assert masks[inside == 3][:, 5:8].all(), "the first tokens are masked"


def test_more_and_more_samples_are_masked_by_spans():
    batch = row([102] * 20, salience=[0, 0, 0, 0, 0, 0, 255, 255, 255, 255])
    policy = guided(rate=0.15, boost=4, unit={"start": "token", "end": "span"})
    whole = []
    for progress in (0.0, 0.5, 1.0):
        masks = draws(policy, batch, 30, progress)
        inside = np.array(
            [masks[:, places].mean(1) for places in spans(batch.channels["salience"]) if len(places) == 4]
        )
        whole.append(((inside > 0) & (inside < 1)).mean())
        salient = batch.channels["salience"] > 0
        assert masks[:, salient].mean() / masks[:, batch.maskable & ~salient].mean() == pytest.approx(4, rel=0.05)
    # The share of spans that are masked in part: most of them by tokens, hardly any by spans.
    assert whole[0] > 0.5
    assert whole[2] < 0.1
    assert whole[1] == pytest.approx((whole[0] + whole[2]) / 2, abs=0.05)


def test_a_unit_is_one_name_or_two():
    assert guided(unit="span").dump()["unit"] == "span"
    assert guided(unit={"start": "token", "end": "span"}).dump()["unit"] == {"start": "token", "end": "span"}
    assert Guided.model_validate(guided(unit="span").model_dump() | {"scorer": NothingSalient()}) == guided(unit="span")


def test_the_same_generator_gives_the_same_mask_and_another_another():
    batch = spread(1000, 0.2)
    for unit in ("token", "span"):
        policy = guided(unit=unit)
        first, again, other = (policy.choose(batch, 0.3, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


@pytest.mark.parametrize("unit", ["token", "span"])
def test_the_salient_subset_is_what_is_masked_of_the_salient_tokens(unit):
    batch = spread(500, 0.2)
    policy = guided(unit=unit)
    chosen = policy.choose(batch, 0.3, np.random.default_rng(1))
    by_salience = policy.salient_subset(batch, 0.3, np.random.default_rng(1))
    assert np.array_equal(by_salience, chosen & (batch.channels["salience"] > 0))
    assert not guided(boost=1).salient_subset(batch, 0.3, np.random.default_rng(1)).any()


@pytest.mark.parametrize(
    ("guidance", "instead"),
    [
        (0.3, "boost: 4"),
        ({"start": 0.3, "end": 0.6}, "boost: {start: 4, end: 5}"),
        (0, "boost: 1"),
        (1, "boost: 5"),
        ("high", "boost: 4"),
    ],
)
def test_guidance_is_refused_with_what_to_write_instead(guidance, instead):
    with pytest.raises(ValidationError) as refused:
        Guided(scorer=NothingSalient(), guidance=guidance)
    (problem,) = refused.value.errors()
    assert problem["msg"] == (
        "guidance, a share of the budget, was replaced by boost, which is how many times as likely a salient token is masked as "
        f"a plain one; write '{instead}' for about the same masks in product text"
    )


@pytest.mark.parametrize(
    ("options", "where", "message"),
    [
        ({"boost": 0.5}, ("boost", "start"), "Input should be greater than or equal to 1"),
        ({"boost": {"start": 2, "end": 0}}, ("boost", "end"), "Input should be greater than or equal to 1"),
        ({"cap": 0}, ("cap",), "Input should be greater than 0"),
        ({"cap": 1.5}, ("cap",), "Input should be less than or equal to 1"),
        ({"unit": "word"}, ("unit", "start"), "Input should be 'token' or 'span'"),
    ],
)
def test_options_out_of_range_are_refused(options, where, message):
    with pytest.raises(ValidationError) as refused:
        Guided(scorer=NothingSalient(), **options)
    assert (refused.value.errors()[0]["loc"], refused.value.errors()[0]["msg"]) == (where, message)


def test_a_boost_is_one_number_or_two():
    policy = guided(boost={"start": 2, "end": 4})
    assert policy.dump()["boost"] == {"start": 2.0, "end": 4.0}
    assert guided(boost=3).dump()["boost"] == 3.0
    assert isinstance(policy.boost, rexplug.Ramp)
