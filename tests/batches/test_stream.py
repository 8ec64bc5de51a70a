"""Properties of the stream that hold for any input."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rexplug.batches import IGNORED, BatchStream, Position
from rexplug.batches.order import permute
from rexplug.batches.packing import LOOK_AHEAD
from rexplug.batches.policies import RandomMasking
from rexplug.components import MaskingPolicy, MixingSchedule
from rexplug.errors import DataError, PluginError
from rexplug.schedules import Ramp
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import WORD_START, TokenStore, close_store, write_shard

SPECIAL = SpecialTokens(cls=2, sep=3, pad=0, mask=4, vocabulary_size=1000, all=frozenset(range(5)))


class Fade(MixingSchedule):
    """Moves from source a to source b."""

    name = "test.fade"

    def weights(self, progress):
        return {"a": 1 - progress, "b": progress}


def store(folder, lengths, seed=0):
    folder.mkdir(parents=True)
    draw = np.random.default_rng(seed)
    tokens = [draw.integers(5, 1000, n).astype(np.uint32) for n in lengths]
    half = len(lengths) // 2
    for number, part in enumerate((slice(None, half), slice(half, None))):
        chosen = tokens[part]
        write_shard(
            folder, number, tokens=chosen, channels={WORD_START: [np.ones(len(t), np.uint8) for t in chosen]},
            documents={"id": [f"{seed}-{number}-{i}" for i in range(len(chosen))]}, vocabulary_size=1000,
        )  # fmt: skip
    close_store(folder, 2, [WORD_START], "t", 1000)
    return TokenStore.open(folder)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    root = tmp_path_factory.mktemp("stores")
    draw = np.random.default_rng(7)
    return {
        name: store(root / name, np.clip(draw.lognormal(4, 1, 400), 1, 900).astype(int).tolist(), seed)
        for seed, name in enumerate("ab")
    }


def stream(stores, **changes):
    options = {
        "special": SPECIAL, "context": 128, "row_tokens": 256, "batch_tokens": lambda tokens: 1024, "total_tokens": 40_000,
        "min_tokens": 0, "mixing": Fade(), "masking": RandomMasking(), "seed": 1, "phase": "p",
    }  # fmt: skip
    return BatchStream(stores, **(options | changes))


def flat(batch):
    return [(row.token_ids.tolist(), row.labels.tolist(), row.cu_seqlens.tolist()) for row in batch.rows]


@given(st.integers(1, 5000), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_the_order_is_a_permutation(size, key):
    assert sorted(permute(np.arange(size), size, key).tolist()) == list(range(size))


def test_the_order_is_uniform():
    # Where sample 0 goes over many keys: each of 8 places about 250 times (chi-square, 7 degrees of freedom, p = 0.001).
    places = Counter(int(permute(np.array([0]), 8, key)[0]) for key in range(2000))
    assert sum((count - 250) ** 2 / 250 for count in places.values()) < 24.3


def test_each_sample_once_per_epoch(stores):
    source = stream(stores).samples[0]
    shuffled = [source.at_index(i) for i in range(2 * len(source))]
    places = [
        sorted((s.document, s.start, s.end) for s in part)
        for part in (shuffled[: len(source)], shuffled[len(source) :])
    ]
    assert (
        places[0] == places[1] == [(s.document, s.start, s.end) for s in map(source.in_store_order, range(len(source)))]
    )
    covered = sum(sample.end - sample.start for sample in shuffled[: len(source)])
    assert covered == stores["a"].num_tokens, "no token lost or doubled"


@given(st.integers(0, 100), st.sampled_from([64, 128, 256]))
@settings(max_examples=8, deadline=None)
def test_resuming_anywhere_continues_the_same_stream(stores, seed, context):
    whole = stream(stores, seed=seed, context=context, total_tokens=12_000)
    pairs = list(whole.batches())
    at = len(pairs) // 2
    position = Position.from_json(pairs[at][1].to_json())
    rest = list(stream(stores, seed=seed, context=context, total_tokens=12_000).batches(position))
    assert [flat(batch) for batch, _ in rest] == [flat(batch) for batch, _ in pairs[at + 1 :]]
    assert rest[-1][1] == pairs[-1][1]


def test_shares_follow_the_schedule_within_one_sample(stores):
    fading = stream(stores, total_tokens=60_000)
    owed, longest = 0.0, 128
    waiting = LOOK_AHEAD * longest
    for batch, _ in fading.batches():
        owed += batch.planned["b"] * batch.num_tokens - batch.tokens_of["b"]
        assert abs(owed) <= longest + waiting
    shuffled = stream(stores).next(stream(stores).start)[1]
    total = sum(shuffled.credits)
    assert abs(total) < 2**32 * longest
    assert all(abs(credit) <= 2**32 * longest for credit in shuffled.credits)


def test_rows_are_full(stores):
    batches = [batch for batch, _ in stream(stores).batches()][:-1]
    fill = sum(batch.num_tokens for batch in batches) / sum(
        len(row.token_ids) for batch in batches for row in batch.rows
    )
    assert fill > 0.99


def test_masks_meet_the_rate_and_spare_special_tokens(stores):
    for batch, _ in stream(stores, masking=RandomMasking(rate=Ramp(start=0.15, end=0.4))).batches():
        for row in batch.rows:
            body = row.token_ids[: row.num_tokens]
            starts, ends = row.cu_seqlens[:-1], row.cu_seqlens[1:] - 1
            assert (body[starts] == SPECIAL.cls).all()
            assert (body[ends] == SPECIAL.sep).all()
            maskable = row.num_tokens - 2 * len(starts)
            expected = round(Ramp(start=0.15, end=0.4).at(batch.progress) * maskable)
            assert row.num_masked == max(1, expected)
            assert (row.labels[row.num_tokens :] == IGNORED).all()
            chosen = row.labels != IGNORED
            assert not np.isin(row.labels[chosen], list(SPECIAL.all)).any()
            replaced = row.token_ids[chosen]
            assert not np.isin(replaced[replaced != SPECIAL.mask], list(SPECIAL.all)).any()


def test_replacement_is_80_10_10(stores):
    kinds = Counter()
    for batch, _ in stream(stores, total_tokens=200_000).batches():
        for row in batch.rows:
            chosen = row.labels != IGNORED
            shown, true = row.token_ids[chosen], row.labels[chosen]
            kinds["mask"] += int((shown == SPECIAL.mask).sum())
            kinds["same"] += int((shown == true).sum())
            kinds["all"] += int(chosen.sum())
    assert abs(kinds["mask"] / kinds["all"] - 0.8) < 0.01
    assert abs(kinds["same"] / kinds["all"] - 0.1) < 0.01


def test_a_policy_that_breaks_its_rate_is_named(stores):
    class Greedy(MaskingPolicy):
        """Masks every token, more than its rate allows."""

        name = "test.greedy"

        def choose(self, batch, progress, generator):
            return batch.maskable.copy()

    broken = stream(stores, masking=Greedy())
    with pytest.raises(PluginError, match=r"^test.greedy.choose\(\) chose \d+ tokens, but its rate asks for \d+$"):
        broken.next(broken.start)


def test_documents_that_are_too_short_for_the_phase(stores):
    with pytest.raises(DataError) as caught:
        stream(stores, min_tokens=5000)
    assert str(caught.value).startswith(
        "phase 'p': source 'a' has no document of at least 5000 tokens (min_tokens); its longest has "
    )


def test_a_truncated_shard_is_named(tmp_path):
    store(tmp_path / "s", [10, 20, 30])
    path = tmp_path / "s" / "tokens-00001.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match="tokens-00001.npy is missing or truncated"):
        TokenStore.open(tmp_path / "s")
