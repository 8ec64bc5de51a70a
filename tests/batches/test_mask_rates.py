import numpy as np
import pytest
from packed_rows import NothingSalient, guided, row

from rexplug.batches.mask_rates import NO_TOKENS, MaskRates, rates_by_source, rates_in_store
from rexplug.batches.policies import RandomMasking
from rexplug.tokens.store import TokenStore, close_store, write_shard


def test_rates_are_counted_by_sample():
    batch = row([6, 5], salience=[0, 9, 0, 9, 0, 0, 0, 9, 9, 9, 0])
    masked = np.array([0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0], bool)
    assert list(rates_by_source(batch, masked, [3, 1])) == [(3, MaskRates(2, 2, 1, 1)), (1, MaskRates(3, 0, 2, 0))]


def test_rates_are_shares():
    rates = MaskRates(10, 30, 5, 3) + MaskRates(10, 50, 1, 5)
    assert (rates.share_salient, rates.salient, rates.plain) == (0.2, 0.3, 0.1)
    assert (NO_TOKENS.share_salient, NO_TOKENS.salient, NO_TOKENS.plain) == (0, None, None)


@pytest.fixture
def store(tmp_path):
    """400 documents of 50 to 300 tokens, a fifth of them salient."""
    draw = np.random.default_rng(2)
    tokens = [np.full(int(draw.integers(50, 300)), 7, np.uint32) for _ in range(400)]
    salience = [np.where(draw.random(len(ids)) < 0.2, 255, 0).astype(np.uint8) for ids in tokens]
    channel = NothingSalient().channel
    write_shard(
        tmp_path, 0, tokens=tokens, channels={channel: salience}, documents={"id": [str(i) for i in range(400)]},
        vocabulary_size=100,
    )  # fmt: skip
    close_store(tmp_path, 1, [channel], "toy", 100)
    return TokenStore.open(tmp_path)


def test_the_rates_of_a_store_are_those_of_the_boost(store):
    policy = guided(rate=0.15, boost={"start": 1, "end": 4})
    first, last = (rates_in_store(policy, store, 128, at, seed=0) for at in (0.0, 1.0))
    assert first.share_salient == last.share_salient == pytest.approx(0.2, abs=0.01)
    assert (first.salient, first.plain) == pytest.approx((0.15, 0.15), abs=0.01)
    assert (last.salient, last.plain) == pytest.approx((0.375, 0.094), abs=0.01)


def test_masks_that_are_not_guided_have_no_rates(store, tmp_path):
    assert rates_in_store(RandomMasking(), store, 128, 0.0, seed=0) is None
    write_shard(tmp_path / "bare", 0, tokens=[np.arange(9)], channels={}, documents={"id": ["x"]}, vocabulary_size=100)
    close_store(tmp_path / "bare", 1, [], "toy", 100)
    assert rates_in_store(guided(), TokenStore.open(tmp_path / "bare"), 128, 0.0, seed=0) is None
