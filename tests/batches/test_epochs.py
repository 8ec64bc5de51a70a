"""How often a sample is seen: once per epoch, exactly in small sources, within one in larger ones (docs/explanations/stream.md)."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rexplug
from rexplug.batches import BatchStream
from rexplug.batches.packing import SMALL
from rexplug.batches.policies import RandomMasking
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore, close_store, write_shard

SPECIAL = SpecialTokens(cls=1, sep=2, pad=3, mask=4, vocabulary_size=60_000, all=frozenset(range(5)))
SIZES = {"a": 1, "b": 2, "c": 7, "d": 30, "e": 100, "f": SMALL - 1, "g": SMALL, "h": 400}
"""Documents of each source; none is cut at a context of 64."""


class Shares(rexplug.MixingSchedule):
    """Shares that change linearly."""

    name: ClassVar[str] = "toy.shares"

    first: Mapping[str, float]
    last: Mapping[str, float]

    def weights(self, progress: float) -> Mapping[str, float]:
        return {name: share + (self.last[name] - share) * progress for name, share in self.first.items()}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Documents of 1 to 62 tokens: most short, and every fifth as long as a sample may be."""
    root, draw = tmp_path_factory.mktemp("stores"), np.random.default_rng(2)
    made = {}
    for name, size in SIZES.items():
        lengths = np.where(draw.random(size) < 0.2, 62, draw.lognormal(2, 1, size).astype(int).clip(1, 62))
        write_shard(
            root / name, 0, tokens=[np.full(n, 7) for n in lengths], channels={},
            documents={"id": [f"{name}{i}" for i in range(size)]}, vocabulary_size=60_000,
        )  # fmt: skip
        close_store(root / name, 1, [], "toy", 60_000)
        made[name] = TokenStore.open(root / name)
    return made


@st.composite
def streams(draw):
    names = draw(st.lists(st.sampled_from(list(SIZES)), min_size=1, max_size=3, unique=True))
    share = st.floats(0.02, 1)
    first, last = ({name: draw(share) for name in names} for _ in range(2))
    row = 64 * draw(st.sampled_from([1, 2, 6]))
    batch = row * draw(st.sampled_from([1, 3]))
    # Batches that no long sample fits into, as in a warm-up; then full ones.
    start = draw(st.sampled_from([batch, 24]))
    return {
        "names": names, "mixing": Shares(first=first, last=last), "row_tokens": row, "seed": draw(st.integers(0, 2**30)),
        "batch_tokens": lambda tokens: start if tokens < 3000 else batch,
    }  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(streams())
def test_no_sample_is_seen_more_often_than_the_epochs_allow(stores, chosen):
    names = chosen.pop("names")
    stream = BatchStream(
        {name: stores[name] for name in names}, special=SPECIAL, context=64, min_tokens=0, total_tokens=12_000,
        masking=RandomMasking(), phase="p", **chosen,
    )  # fmt: skip
    seen = {name: Counter(dict.fromkeys(range(SIZES[name]), 0)) for name in names}
    position = stream.start
    while not stream.done(position):
        plan, position = stream.plan(position)
        for row in plan.rows:
            for sample in row:
                seen[names[sample.source]][sample.document] += 1
        for name, counts in seen.items() if position.batch % 4 == 0 or stream.done(position) else ():
            epochs = counts.total() / SIZES[name]
            slack = 0 if SIZES[name] < SMALL else 1
            assert min(counts.values()) >= math.floor(epochs) - slack, name
            assert max(counts.values()) <= math.ceil(epochs) + slack, name
