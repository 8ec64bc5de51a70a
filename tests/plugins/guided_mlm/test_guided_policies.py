import itertools
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import rexplug
from rexplug_guided_mlm import Guided, Span, WholeWord


class Scorer(rexplug.SalienceScorer):
    name: ClassVar[str] = "toy.scorer"

    def score(self, document: rexplug.TokenizedDocument) -> NDArray[np.uint8]:
        return np.zeros(len(document.token_ids), np.uint8)


def guided(**options):
    return Guided(scorer=Scorer(), **options)


def row(lengths, salience=None, starts=None):
    """Samples of these lengths ([CLS] and [SEP] included) in one row."""
    cu_seqlens = np.concatenate([[0], np.cumsum(lengths)])
    size = int(cu_seqlens[-1])
    maskable = np.ones(size, np.bool_)
    maskable[cu_seqlens[:-1]] = maskable[cu_seqlens[1:] - 1] = False

    def channel(values, default):
        values = np.full(size, default, np.uint8) if values is None else np.resize(np.asarray(values, np.uint8), size)
        return np.where(maskable, values, 0).astype(np.uint8)

    channels = {"salience": channel(salience, 0), "word_start": channel(starts, 1)}
    return rexplug.TokenBatch(np.arange(size) + 10, cu_seqlens, maskable, channels)


rows = st.builds(
    row,
    st.lists(st.integers(3, 60), min_size=1, max_size=6),
    st.lists(st.sampled_from([0, 0, 0, 64, 200, 255]), min_size=1, max_size=50),
    st.lists(st.integers(0, 1), min_size=1, max_size=50),
)
policies = st.one_of(
    st.builds(guided, rate=st.floats(0, 1), guidance=st.floats(0, 1)),
    st.builds(WholeWord, rate=st.floats(0, 1)),
    st.builds(Span, rate=st.floats(0, 1), p=st.floats(0.05, 0.95), longest=st.integers(1, 12)),
)


@settings(max_examples=200)
@given(rows, policies, st.floats(0, 1), st.integers(0, 2**32))
def test_the_budget_is_exact_and_special_tokens_are_spared(batch, policy, progress, seed):
    before = batch.maskable.copy(), {name: values.copy() for name, values in batch.channels.items()}
    chosen = policy.choose(batch, progress, np.random.default_rng(seed))
    assert chosen.dtype == np.bool_
    assert chosen.shape == batch.token_ids.shape
    assert chosen.sum() == policy.budget(batch, progress)
    assert not (chosen & ~batch.maskable).any()
    assert np.array_equal(chosen, policy.choose(batch, progress, np.random.default_rng(seed)))
    assert np.array_equal(batch.maskable, before[0])
    assert all(np.array_equal(batch.channels[name], values) for name, values in before[1].items())


@pytest.mark.parametrize("level", [0, 7, 255])
def test_uniform_salience_is_random_masking_in_distribution(level):
    batch = row([6, 8], salience=[level])
    policy = guided(rate=0.4, guidance=1.0)
    draws = np.array([policy.choose(batch, 0.5, np.random.default_rng(i)) for i in range(4000)], float)
    inside = draws[:, batch.maskable]
    # 4 of 10: every token is binomial with 1600 expected (deviation 31), every pair 4 * 3 / 90 of the draws (22).
    assert np.abs(inside.sum(0) - 1600).max() < 5 * 31
    pairs = (inside.T @ inside)[np.triu_indices(10, 1)]
    assert np.abs(pairs - 4000 * 12 / 90).max() < 5 * 22


def spans(salience):
    """The places of each run of equal salience above 0."""
    edges = np.flatnonzero(np.diff(salience.astype(int), prepend=-1, append=-1))
    return [np.arange(a, b) for a, b in itertools.pairwise(edges) if salience[a] > 0]


@given(st.integers(0, 2**32))
def test_salient_spans_are_masked_whole_but_for_the_last(seed):
    batch = row([200], salience=[0, 0, 0, 90, 90, 90, 0, 0, 255, 255, 0])
    chosen = guided(rate=0.2, guidance=1.0).choose(batch, 0.0, np.random.default_rng(seed))
    shares = [chosen[places].mean() for places in spans(batch.channels["salience"])]
    assert sum(0 < share < 1 for share in shares) <= 1
    assert not chosen[batch.channels["salience"] == 0].any()


def test_guidance_is_the_share_of_the_budget_and_grows_with_progress():
    batch = row([1000], salience=[0] * 15 + [200])
    salient = batch.channels["salience"] > 0
    policy = guided(rate=0.1, guidance={"start": 0.0, "end": 0.4})
    counts = {
        progress: np.mean([policy.choose(batch, progress, np.random.default_rng(i))[salient].sum() for i in range(60)])
        for progress in (0.0, 0.5, 1.0)
    }
    # 100 masked of 998, 62 salient: guided ones first, then chance over the rest.
    for progress, guided_tokens in ((0.0, 0), (0.5, 20), (1.0, 40)):
        expected = guided_tokens + (100 - guided_tokens) * (62 - guided_tokens) / (998 - guided_tokens)
        assert counts[progress] == pytest.approx(expected, abs=1.5)


def test_more_salient_spans_are_chosen_more_often():
    batch = row([100], salience=[0, 50, 0, 250])
    counts = np.zeros(100)
    for seed in range(400):
        counts += guided(rate=0.1, guidance=1.0).choose(batch, 0.0, np.random.default_rng(seed))
    salience = batch.channels["salience"]
    assert counts[salience == 250].mean() > 3 * counts[salience == 50].mean()


def test_plain_tokens_are_never_left_out_altogether():
    batch = row([300], salience=[255, 0])
    chosen = guided(rate=0.3, guidance=0.5).choose(batch, 0.0, np.random.default_rng(0))
    assert 20 < chosen[batch.channels["salience"] == 0].sum() < 60


@given(st.integers(0, 2**32))
def test_whole_word_masks_all_tokens_of_a_word_but_for_the_last(seed):
    batch = row([40, 61], starts=[1, 0, 0, 1, 1, 0])
    chosen = WholeWord(rate=0.3).choose(batch, 0.0, np.random.default_rng(seed))
    begins = batch.channels["word_start"].astype(bool)
    begins[1:] |= ~batch.maskable[:-1]
    number = np.cumsum(begins)
    partial = 0
    for word in np.unique(number[batch.maskable]):
        inside = chosen[(number == word) & batch.maskable]
        partial += 0 < inside.mean() < 1
    assert partial <= 1


def test_spans_are_longer_than_chance_and_stay_within_a_sample():
    batch = row([500, 500])

    def mean_run(chosen):
        edges = np.diff(np.concatenate([[0], chosen.astype(int), [0]]))
        return chosen.sum() / (edges == 1).sum()

    spans_ = np.mean([mean_run(Span(rate=0.15, p=0.2).choose(batch, 0, np.random.default_rng(i))) for i in range(30)])
    one = np.mean([mean_run(Span(rate=0.15, longest=1).choose(batch, 0, np.random.default_rng(i))) for i in range(30)])
    # The mean of a geometric length with p = 0.2, cut at ten, is 4.5; neighbours that both fall lengthen the runs.
    assert 4 < spans_ < 6.5
    assert one < 1.5


@given(st.integers(0, 2**32), st.floats(0.02, 0.6), st.floats(0, 1))
def test_guided_tokens_are_whole_spans_within_their_part_of_the_budget_and_the_rest_is_random(seed, rate, guidance):
    batch = row([120, 80], salience=[0, 0, 90, 90, 90, 0, 255, 255, 0, 0, 0, 64])
    policy = guided(rate=rate, guidance=guidance)
    chosen = policy.choose(batch, 0.0, np.random.default_rng(seed))
    by_choice = policy.salient_subset(batch, 0.0, np.random.default_rng(seed))
    salience = batch.channels["salience"]
    assert not (by_choice & ~chosen).any()
    assert not by_choice[salience == 0].any()
    assert by_choice.sum() == min(round(guidance * policy.budget(batch, 0.0)), (salience > 0).sum())
    cut = [places for places in spans(salience) if 0 < by_choice[places].mean() < 1]
    assert len(cut) <= 1
    # What is cut is cut at the end: the beginning of the span is masked.
    assert all(by_choice[places].astype(int).tolist() == sorted(by_choice[places], reverse=True) for places in cut)


def test_a_floor_of_random_masking_remains_below_full_guidance():
    batch = row([2000], salience=[200, 200, 0, 0, 0, 0])
    policy = guided(rate=0.3, guidance=0.6)
    plain = batch.maskable & (batch.channels["salience"] == 0)
    shares = [policy.choose(batch, 0.5, np.random.default_rng(i))[plain].mean() for i in range(30)]
    # 40 % of 599 tokens fall by chance on the 1,640 that are not guided, 1,332 of them plain.
    assert np.mean(shares) == pytest.approx(0.4 * 599 / (1998 - 0.6 * 599), rel=0.03)


def test_random_policies_guide_nothing():
    batch = row([50], salience=[255, 0])
    for policy in (WholeWord(rate=0.3), Span(rate=0.3)):
        assert not policy.salient_subset(batch, 0.0, np.random.default_rng(0)).any()


@pytest.mark.parametrize(
    "policy", [WholeWord(rate={"start": 0.1, "end": 0.4}), guided(rate={"start": 0.1, "end": 0.4})]
)
def test_the_rate_moves_with_progress(policy):
    batch = row([1002], salience=[0, 9, 9], starts=[1, 0])
    counts = [policy.choose(batch, at, np.random.default_rng(0)).sum() for at in (0.0, 0.5, 1.0)]
    assert counts == [100, 250, 400]


def test_words_are_chosen_evenly_whatever_their_length():
    # Words of one and of four tokens: as often, so four times the tokens.
    batch = row([1002], starts=[1, 1, 0, 0, 0])
    begins = batch.channels["word_start"].astype(bool)
    short = begins & np.roll(begins, -1) & batch.maskable
    long_ = begins & ~np.roll(begins, -1) & batch.maskable
    counts = np.zeros((2,))
    for seed in range(40):
        chosen = WholeWord(rate=0.3).choose(batch, 0.0, np.random.default_rng(seed))
        counts += [chosen[short].mean(), chosen[long_].mean()]
    assert counts[0] == pytest.approx(counts[1], rel=0.1)


def test_span_lengths_are_geometric_in_words():
    batch = row([4002])
    lengths = []
    for seed in range(60):
        chosen = Span(rate=0.02, p=0.5, longest=4).choose(batch, 0.0, np.random.default_rng(seed))
        edges = np.flatnonzero(np.diff(chosen.astype(int), prepend=0, append=0))
        lengths += (edges[1::2] - edges[::2]).tolist()
    # At 2 % few spans touch. Chances of 1, 2, 3 and 4 words at p = 0.5, cut at 4: 1/2, 1/4, 1/8, 1/8.
    found = np.bincount(lengths, minlength=5)[1:5] / len(lengths)
    assert found == pytest.approx([0.5, 0.25, 0.125, 0.125], abs=0.04)
