"""What rows contain, and where a phase ends."""

import json
from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import rexplug
from rexplug.batches import IGNORED, BatchStream, Position
from rexplug.batches.policies import RandomMasking
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore, close_store, write_shard

SPECIAL = SpecialTokens(cls=1, sep=2, pad=3, mask=4, vocabulary_size=5000, all=frozenset(range(5)))


class Slope(rexplug.MixingSchedule):
    """`first` for source a at the start, `last` at the end, the rest for b."""

    name: ClassVar[str] = "toy.slope"

    first: float = 0.5
    last: float = 0.5

    def weights(self, progress: float) -> Mapping[str, float]:
        share = self.first + (self.last - self.first) * progress
        return {"a": share, "b": 1 - share}


class Parity(rexplug.SalienceScorer):
    name: ClassVar[str] = "toy.parity"

    def score(self, document: rexplug.TokenizedDocument) -> NDArray[np.uint8]:
        return (document.token_ids % 2 * 255).astype(np.uint8)


class Seeing(RandomMasking):
    """Random masking that checks the channels it gets first."""

    name: ClassVar[str] = "toy.seeing"
    channels: ClassVar[tuple[str, ...]] = ("word_start", "salience")

    scorer: Annotated[rexplug.SalienceScorer, rexplug.Use()]

    def choose(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        salience, starts = batch.channels["salience"], batch.channels["word_start"]
        assert np.array_equal(salience > 0, batch.maskable & (batch.token_ids % 2 == 1))
        assert np.array_equal(starts > 0, batch.maskable & (batch.token_ids % 3 == 0))
        return super().choose(batch, progress, generator)


def write_store(folder, lengths, shards=1):
    """Documents that count upwards, so that each token says which place it came from."""
    channel = Parity().channel
    for shard, part in enumerate(np.array_split(np.asarray(lengths, np.int64), shards)):
        tokens = [np.asarray(5 + (np.arange(n) + 7 * i) % 4995, np.uint32) for i, n in enumerate(part)]
        channels = {
            "word_start": [(ids % 3 == 0).astype(np.uint8) for ids in tokens],
            channel: [(ids % 2 * 255).astype(np.uint8) for ids in tokens],
        }
        write_shard(
            folder, shard, tokens=tokens, channels=channels,
            documents={"id": [f"{shard}-{i}" for i in range(len(part))]}, vocabulary_size=5000,
        )  # fmt: skip
    close_store(folder, shards, ["word_start", channel], "toy", 5000)
    return TokenStore.open(folder)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    root = tmp_path_factory.mktemp("stores")
    lengths = np.random.default_rng(0).lognormal(4.3, 0.9, (2, 300)).astype(int).clip(1, 2000)
    return {"a": write_store(root / "a", lengths[0], shards=3), "b": write_store(root / "b", lengths[1, :90])}


def make(stores, **changes):
    options = {
        "special": SPECIAL, "context": 128, "row_tokens": 256, "batch_tokens": lambda tokens: 512,
        "total_tokens": 20_000, "min_tokens": 1, "mixing": Slope(), "masking": RandomMasking(rate=0.3), "seed": 1,
        "phase": "pretrain",
    }  # fmt: skip
    return BatchStream(stores, **(options | changes))


configurations = st.fixed_dictionaries(
    {
        "context": st.sampled_from([16, 33, 128]),
        "row_tokens": st.sampled_from([128, 256, 700]),
        "seed": st.integers(0, 2**32),
        "min_tokens": st.sampled_from([1, 8, 60]),
        "total_tokens": st.integers(1, 4000),
        "mixing": st.builds(Slope, first=st.floats(0, 1), last=st.floats(0, 1)),
        "phase": st.text(max_size=5),
    }
)


@settings(max_examples=20, deadline=None)
@given(configurations)
def test_rows_are_whole_samples_with_their_borders_positions_and_labels(stores, options):
    stream = make(stores, batch_tokens=lambda tokens: 2 * options["row_tokens"], **options)
    names = stream.sources
    for batch, _ in stream.batches():
        assert batch.num_tokens == sum(row.num_tokens for row in batch.rows) == sum(batch.tokens_of.values()) > 0
        for row in batch.rows:
            assert row.token_ids.shape == row.labels.shape == row.position_ids.shape == (options["row_tokens"],)
            assert row.cu_seqlens.dtype == np.int32
            assert row.cu_seqlens[0] == 0
            assert row.cu_seqlens[-1] == row.num_tokens
            assert row.max_length == np.diff(row.cu_seqlens).max() <= options["context"]
            assert (row.token_ids[row.num_tokens :] == SPECIAL.pad).all()
            assert (row.labels[row.num_tokens :] == IGNORED).all()
            assert (row.position_ids[row.num_tokens :] == 0).all()
            text = np.where(row.labels == IGNORED, row.token_ids, row.labels)
            unseen = 0
            for number, sample in enumerate(row.samples):
                start, end = row.cu_seqlens[number : number + 2]
                tokens = stores[names[row.sources[number]]].document(sample.document)
                assert len(tokens) >= options["min_tokens"]
                # Masked tokens are right in the labels; a kept or random token cannot be distinguished from the others.
                assert text[start:end].tolist() == [SPECIAL.cls, *tokens[sample.start : sample.end], SPECIAL.sep]
                assert row.position_ids[start:end].tolist() == list(range(end - start))
                assert row.labels[start] == row.labels[end - 1] == IGNORED
                unseen += 2
            assert row.num_masked == (row.labels != IGNORED).sum() == max(1, round(0.3 * (row.num_tokens - unseen)))


@pytest.mark.parametrize("total", [1, 2, 3, 130, 513, 514, 1025])
def test_a_phase_ends_whatever_is_left_of_it(stores, total):
    stream = make(stores, total_tokens=total)
    position = stream.start
    for number in range(100):
        if stream.done(position):
            break
        batch, position = stream.next(position)
        assert batch.number == number
        assert batch.num_tokens > 0
    assert total <= position.tokens < total + 128 + 256 // 2


def test_progress_is_what_was_consumed_before_the_batch(stores):
    stream = make(stores)
    position = stream.start
    while not stream.done(position):
        batch, after = stream.next(position)
        assert batch.progress == position.tokens / 20_000
        assert after.tokens == position.tokens + batch.num_tokens
        assert Position.from_json(json.loads(json.dumps(after.to_json()))) == after
        position = after


def test_a_warm_up_of_the_batch_size_takes_effect(stores):
    stream = make(stores, batch_tokens=lambda tokens: 256 if tokens < 3000 else 1024)
    before, after = set(), []
    for batch, position in stream.batches():
        if position.tokens - batch.num_tokens < 3000:
            before.add(len(batch.rows))
        else:
            after.append(len(batch.rows))
    assert before == {1}
    assert set(after[:-2]) == {4}


def test_channels_lie_on_their_tokens(stores):
    assert len(list(make(stores, masking=Seeing(rate=0.2, scorer=Parity())).batches())) > 30


def test_a_source_with_a_temporary_share_but_no_documents_is_named(stores, tmp_path):
    class Late(rexplug.MixingSchedule):
        name: ClassVar[str] = "toy.late"

        def weights(self, progress: float) -> Mapping[str, float]:
            return {"a": 1.0, "empty": 1.0 if 0.2 < progress < 0.3 else 0.0}

    stream = make({"a": stores["a"], "empty": write_store(tmp_path / "empty", [])}, mixing=Late())
    with pytest.raises(rexplug.DataError) as refused:
        list(stream.batches())
    assert str(refused.value) == (
        "phase 'pretrain': source 'empty' has no document of at least 1 tokens (min_tokens); its longest has 0, of 0"
    )


def test_a_channel_that_is_not_there_is_named(tmp_path):
    write_shard(tmp_path, 0, tokens=[np.arange(5, 9)], channels={}, documents={"id": ["x"]}, vocabulary_size=50)
    close_store(tmp_path, 1, [], "toy", 50)
    with pytest.raises(rexplug.DataError) as refused:
        make({"a": TokenStore.open(tmp_path)}, masking=Seeing(scorer=Parity()), mixing=Slope(first=1, last=1))
    assert str(refused.value) == f"{tmp_path} has no channel '{Parity().channel}'; run again --from tokenize"
