"""Invariants of every stream, whatever its sources, shares, contexts and batches (design, section 7)."""

import itertools
import json
from collections import Counter
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rexplug
from rexplug.batches import IGNORED, BatchStream, Position, rank_rows
from rexplug.batches.packing import LOOK_AHEAD
from rexplug.batches.policies import RandomMasking
from rexplug.batches.position import row_cost
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore, close_store, write_shard

SPECIAL = SpecialTokens(cls=1, sep=2, pad=3, mask=4, vocabulary_size=60_000, all=frozenset(range(5)))


class Lines(rexplug.MixingSchedule):
    """Shares that change linearly from `first` to `last`."""

    name: ClassVar[str] = "toy.lines"

    first: tuple[float, ...]
    last: tuple[float, ...]

    def weights(self, progress: float) -> Mapping[str, float]:
        shares = [a + (b - a) * progress for a, b in zip(self.first, self.last, strict=True)]
        return dict(zip("abcde", shares, strict=False))


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Five sources; a document's first token is its number, the others count its places."""
    root = tmp_path_factory.mktemp("stores")
    made = {}
    for number, (name, documents) in enumerate(zip("abcde", (300, 90, 500, 1, 40), strict=True)):
        lengths = np.random.default_rng(number).lognormal(4, 1, documents).astype(int).clip(1, 900)
        folder = root / name
        for shard, part in enumerate(np.array_split(np.arange(documents), 3)):
            tokens = [np.concatenate([[5 + i], 1000 + np.arange(1, lengths[i])])[: lengths[i]] for i in part]
            write_shard(
                folder, shard, tokens=tokens, channels={}, documents={"id": [f"{name}{i}" for i in part]},
                vocabulary_size=60_000,
            )  # fmt: skip
        close_store(folder, 3, [], "toy", 60_000)
        made[name] = TokenStore.open(folder)
    return made


@st.composite
def options(draw, most=4):
    number = draw(st.integers(1, most))
    share = st.floats(0.02, 1)
    first = draw(st.lists(share, min_size=number, max_size=number))
    last = draw(st.one_of(st.just(first), st.lists(share, min_size=number, max_size=number)))
    context = draw(st.sampled_from([16, 33, 128]))
    row = context * draw(st.sampled_from([1, 2, 5]))
    return {
        "sources": "abcde"[:number], "mixing": Lines(first=tuple(first), last=tuple(last)), "context": context,
        "row_tokens": row, "batch": row * draw(st.sampled_from([1, 3, 8])), "seed": draw(st.integers(0, 2**40)),
        "total_tokens": draw(st.integers(1, 12_000)), "min_tokens": draw(st.sampled_from([0, 1, 20])),
    }  # fmt: skip


def make(stores, sources="ab", batch=1024, **changes):
    chosen = {
        "special": SPECIAL, "context": 128, "row_tokens": 256, "batch_tokens": lambda tokens: batch, "min_tokens": 0,
        "total_tokens": 20_000, "mixing": Lines(first=(1, 1), last=(1, 1)), "masking": RandomMasking(), "seed": 1,
        "phase": "p",
    }  # fmt: skip
    kept = {name: stores[name] for name in sources if changes.get("min_tokens", 0) <= stores[name].lengths.max()}
    return BatchStream(kept, **(chosen | changes))


def same(one, other):
    assert (one.number, one.progress, one.num_tokens, one.tokens_of) == (
        other.number, other.progress, other.num_tokens, other.tokens_of,
    )  # fmt: skip
    for a, b in zip(one.rows, other.rows, strict=True):
        same_row(a, b)


def same_row(a, b):
    for name in ("token_ids", "labels", "position_ids", "cu_seqlens", "sources", "documents"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


@settings(max_examples=25, deadline=None)
@given(options(most=4))
def test_each_sample_once_per_epoch_and_no_token_lost_or_doubled(stores, chosen):
    stream = make(stores, **chosen)
    counts = [Counter() for _ in stream.sources]
    position = stream.start
    while not stream.done(position):
        batch, position = stream.next(position)
        for row in batch.rows:
            for sample in row.samples:
                counts[sample.source][sample.sample_index] += 1
    for source, seen in enumerate(counts):
        assert set(seen.values()) <= {1}
        deferred = {index for each, index in position.deferred if each == source}
        # Samples are taken without a gap: what is missing below the highest is deferred.
        assert set(seen) | deferred == set(range(position.next_indices[source]))
        assert len(deferred) < LOOK_AHEAD
        samples = stream.samples[source]
        if samples.size > 1500:
            continue
        for epoch in range(2):
            shuffled = [samples.at_index(epoch * samples.size + i) for i in range(samples.size)]
            covered = Counter((sample.document, at) for sample in shuffled for at in range(sample.start, sample.end))
            lengths = samples.store.lengths
            assert set(covered.values()) <= {1}
            assert len(covered) == lengths[lengths >= chosen["min_tokens"]].sum()


@settings(max_examples=60, deadline=None)
@given(options(most=4))
def test_realised_shares_are_within_one_sample_of_the_schedule(stores, chosen):
    stream = make(stores, **chosen)
    names, longest = stream.sources, chosen["context"]
    owed = dict.fromkeys(names, 0.0)
    errors = [owed.copy()]
    position = stream.start
    while not stream.done(position):
        plan, position = stream.plan(position)
        for row in plan.rows:
            for sample in row:
                for name in names:
                    owed[name] += plan.planned[name] * sample.length
                owed[names[sample.source]] -= sample.length
                errors.append(owed.copy())
    for name in names:
        course = np.array([error[name] for error in errors])
        # From the start of the phase to any sample: one sample. Between any two samples: one at either end.
        assert np.abs(course).max() <= longest + 1e-6
        assert course.max() - course.min() <= 2 * longest + 1e-6


@settings(max_examples=25, deadline=None)
@given(options(), st.data())
def test_a_resumed_stream_is_the_stream(stores, chosen, data):
    pairs = list(make(stores, **chosen).batches())
    at = data.draw(st.integers(0, len(pairs) - 1))
    text = json.dumps(pairs[at][1].to_json())
    assert len(text) < 200 + len(chosen["sources"]) * (60 + 20 * LOOK_AHEAD)
    rest = list(make(stores, **chosen).batches(Position.from_json(json.loads(text))))
    assert [after for _, after in rest] == [after for _, after in pairs[at + 1 :]]
    for (one, _), (other, _) in zip(rest, pairs[at + 1 :], strict=True):
        same(one, other)


@settings(max_examples=20, deadline=None)
@given(options(most=2), st.integers(1, 5))
def test_workers_in_turn_give_the_batches_of_one(stores, chosen, workers):
    alone = list(make(stores, **chosen).batches())
    parts = [list(make(stores, **chosen).batches(worker=i, workers=workers)) for i in range(workers)]
    together = [pair for turn in itertools.zip_longest(*parts) for pair in turn if pair is not None]
    for (one, after), (other, also) in zip(together, alone, strict=True):
        assert after == also
        same(one, other)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(options(most=2), st.integers(1, 6))
def test_ranks_share_the_rows_of_the_same_batches(stores, chosen, world):
    alone = list(make(stores, **chosen).batches())
    ranks = [list(make(stores, **chosen).batches(rank=rank, world=world)) for rank in range(world)]
    for number, (whole, after) in enumerate(alone):
        mine = [batches[number][0] for batches in ranks]
        assert all(batches[number][1] == after for batches in ranks)
        assert all((part.num_tokens, part.num_rows) == (whole.num_tokens, len(whole.rows)) for part in mine)
        assert sum(part.num_masked for part in mine) == whole.num_masked
        rows = sorted((row for part in mine for row in part.rows), key=lambda row: row.number)
        for one, other in zip(rows, whole.rows, strict=True):
            same_row(one, other)


@given(st.lists(st.integers(1, 1000), max_size=60), st.integers(1, 9))
def test_ranks_have_equal_work(costs, world):
    parts = [rank_rows(costs, rank, world) for rank in range(world)]
    assert sorted(row for part in parts for row in part) == list(range(len(costs)))
    counts = [len(part) for part in parts]
    assert max(counts) - min(counts) <= 1
    for part in parts:
        assert [costs[row] for row in part] == sorted((costs[row] for row in part), reverse=True)
    for one, following in itertools.pairwise(zip(*([costs[row] for row in part] for part in parts), strict=False)):
        assert min(one) >= max(following), "rows at the same time are neighbours in cost"
    if len(costs) % (2 * world) == 0:
        loads = [sum(costs[row] for row in part) for part in parts]
        assert max(loads) - min(loads) <= max(costs, default=0)
    with pytest.raises(ValueError, match=f"rank {world} of {world}"):
        rank_rows(costs, world, world)


def test_a_row_of_long_documents_costs_more_than_one_of_short_documents():
    short, mixed, long = [512] * 128, [512] * 64 + [8192] * 4, [8192] * 8
    assert row_cost(long) / row_cost(short) == pytest.approx(2 / (1 + 1 / 16))
    assert rank_rows([row_cost(row) for row in (short, long, mixed, short)], 0, 2) == [1, 3]
    assert rank_rows([row_cost(row) for row in (short, long, mixed, short)], 1, 2) == [2, 0]


@settings(max_examples=30, deadline=None)
@given(options(), st.floats(0, 1), st.floats(0, 1))
def test_masks_meet_the_rate_exactly_in_every_row(stores, chosen, first, last):
    masking = RandomMasking(rate={"start": first, "end": last})
    for batch, _ in make(stores, masking=masking, **chosen).batches():
        rate = first + (last - first) * batch.progress
        for row in batch.rows:
            maskable = row.num_tokens - 2 * len(row.sources)
            expected = min(maskable, max(1, round(rate * maskable)))
            assert (row.labels != IGNORED).sum() == row.num_masked == expected


def test_the_seed_and_the_phase_change_order_and_masks(stores):
    first = [next(make(stores, **each).batches())[0].rows[0] for each in ({}, {"seed": 2}, {"phase": "q"})]
    assert len({tuple(row.documents) for row in first}) == 3
    assert len({tuple(np.flatnonzero(row.labels != IGNORED)) for row in first}) == 3


def test_stores_of_different_tokenizers_do_not_mix(stores, tmp_path):
    write_shard(tmp_path, 0, tokens=[np.arange(9)], channels={}, documents={"id": ["x"]}, vocabulary_size=60_000)
    close_store(tmp_path, 1, [], "another", 60_000)
    with pytest.raises(rexplug.DataError) as refused:
        make({"a": stores["a"], "b": TokenStore.open(tmp_path)})
    assert str(refused.value) == (
        f"{stores['a'].folder} and {tmp_path} were made with different tokenizers; run again --from tokenize"
    )
