"""How full rows are, on lengths of real text and on synthetic ones."""

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import zstandard

import rexplug
from rexplug.batches import BatchStream
from rexplug.batches.policies import RandomMasking
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore, close_store, write_shard

DATA = Path(os.environ.get("REXPLUG_DATA", Path(__file__).parents[2] / "../shared/data"))
SPECIAL = SpecialTokens(cls=1, sep=2, pad=3, mask=4, vocabulary_size=5000, all=frozenset(range(5)))
CHARACTERS = 4.4
"""Mean number of characters per token of English text."""


class Even(rexplug.MixingSchedule):
    name: ClassVar[str] = "toy.even"

    sources: int

    def weights(self, progress: float) -> Mapping[str, float]:
        return {str(i): 1.0 for i in range(self.sources)}


def filled(folder, sources, *, context, row_tokens, rows=600):
    """Share of tokens that are not padding, over many rows of batches of 16."""
    stores = {}
    for number, lengths in enumerate(sources):
        write_shard(
            folder / str(number), 0, tokens=[np.zeros(n, np.uint32) for n in lengths], channels={},
            documents={"id": [str(i) for i in range(len(lengths))]}, vocabulary_size=5000,
        )  # fmt: skip
        close_store(folder / str(number), 1, [], "toy", 5000)
        stores[str(number)] = TokenStore.open(folder / str(number))
    stream = BatchStream(
        stores, special=SPECIAL, context=context, row_tokens=row_tokens, batch_tokens=lambda tokens: 16 * row_tokens,
        total_tokens=10**12, min_tokens=1, mixing=Even(sources=len(sources)), masking=RandomMasking(), seed=1, phase="p",
    )  # fmt: skip
    position, used, room = stream.start, 0, 0
    while room < rows * row_tokens:
        plan, position = stream.plan(position)
        used += plan.num_tokens
        room += 16 * row_tokens
        assert len(plan.rows) == 16
    return used / room


SETTINGS = [(1024, 1024), (1024, 8192), (8192, 8192), (8192, 65_536)]


@pytest.mark.parametrize(("context", "row_tokens"), SETTINGS)
@pytest.mark.parametrize("sources", [1, 2])
def test_rows_are_full_where_lengths_are_log_normal(tmp_path, context, row_tokens, sources):
    draw = np.random.default_rng(0)
    lengths = [draw.lognormal(5.5 + i, 1.2, 3000).astype(int).clip(8, 20_000) for i in range(sources)]
    assert filled(tmp_path, lengths, context=context, row_tokens=row_tokens, rows=200) >= 0.995


def lengths_of(path, field):
    found = []
    with path.open("rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8"):
            text = json.loads(line)
            found.append(int(sum(len(text.get(name) or "") for name in field) / CHARACTERS) + 1)
    return found


@pytest.fixture(scope="module")
def real():
    if not (DATA / "general-text").is_dir():
        pytest.skip(f"no {DATA / 'general-text'} (set REXPLUG_DATA)")
    names = ("stackexchange-devops", "wikipedia-en-short", "factbook", "openstax")
    web = [n for name in names for n in lengths_of(DATA / "general-text" / f"{name}.jsonl.zst", ("text",))]
    retail = lengths_of(DATA / "esci-us-sample" / "products.jsonl.zst", ("title", "description", "bullet_points"))
    return web, retail


@pytest.mark.slow
@pytest.mark.parametrize(("context", "row_tokens"), SETTINGS)
def test_rows_are_full_on_real_text(real, tmp_path, context, row_tokens):
    assert filled(tmp_path, real, context=context, row_tokens=row_tokens) >= 0.995


@pytest.mark.slow
@pytest.mark.parametrize("source", [0, 1])
@pytest.mark.parametrize(("context", "row_tokens"), [(1024, 1024), (8192, 8192)])
def test_rows_are_full_on_each_source_alone(real, tmp_path, context, row_tokens, source):
    assert filled(tmp_path, [real[source]], context=context, row_tokens=row_tokens) >= 0.995
