import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_rows import guided, row

from rexplug import TokenBatch
from rexplug_guided_mlm import Span, WholeWord

rows = st.builds(
    row,
    st.lists(st.integers(3, 60), min_size=1, max_size=6),
    st.lists(st.sampled_from([0, 0, 0, 64, 200, 255]), min_size=1, max_size=50),
    st.lists(st.integers(0, 1), min_size=1, max_size=50),
)
policies = st.one_of(
    st.builds(
        guided, rate=st.floats(0, 1), boost=st.floats(1, 50), cap=st.floats(0.01, 1),
        unit=st.sampled_from(["token", "span"]),
    ),
    st.builds(WholeWord, rate=st.floats(0, 1)),
    st.builds(Span, rate=st.floats(0, 1), p=st.floats(0.05, 0.95), longest=st.integers(1, 12)),
)  # fmt: skip


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


TEXTS_OF_SCRIPTS = {
    "Japanese": "軽くて丈夫な木製テーブルを送料無料でお届けします",
    "Thai": "โต๊ะไม้โอ๊คแข็งแรงและน้ำหนักเบาจัดส่งฟรี",
    "Hindi": "हल्की और मज़बूत लकड़ी की मेज़ मुफ़्त डिलीवरी के साथ",
    "Arabic": "طَاوِلَة خشبية خفيفة ومتينة مع شحن مجاني",
}


@pytest.mark.parametrize("language", TEXTS_OF_SCRIPTS)
@pytest.mark.parametrize("policy", [WholeWord(rate=0.3), Span(rate=0.3)], ids=["whole words", "spans"])
def test_words_of_any_script_are_masked_whole(language, policy):
    from rexplug.text.words import word_spans, word_starts

    text = TEXTS_OF_SCRIPTS[language]
    # Each byte is a token, as in byte-level BPE without merges for the script.
    places = np.repeat(np.arange(len(text)), [len(letter.encode()) for letter in text])
    starts = word_starts(text, np.column_stack([places, places + 1]))
    maskable = np.ones(len(places), np.bool_)
    batch = TokenBatch(
        np.arange(len(places)), np.array([0, len(places)]), maskable, {"word_start": starts.astype(np.uint8)}
    )
    for seed in range(20):
        chosen = policy.choose(batch, 0.0, np.random.default_rng(seed))
        shares = [chosen[(places >= start) & (places < end)].mean() for start, end in word_spans(text)]
        assert sum(0 < share < 1 for share in shares) <= 1, "all but the last word are masked whole"
        assert 1 in shares
