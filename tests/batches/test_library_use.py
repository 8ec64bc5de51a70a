"""The stream without a recipe and without Composer, as docs/explanations/stream.md shows it."""

import numpy as np
import pytest
import torch

from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import close_store, write_shard


@pytest.fixture
def stores(tmp_path):
    """Two small stores, of the ids 5 to 99."""
    draw = np.random.default_rng(5)
    for name, documents in (("web", 40), ("shop", 30)):
        tokens = [draw.integers(5, 100, int(draw.integers(10, 300))).astype(np.uint32) for _ in range(documents)]
        words = [np.ones(len(ids), np.uint8) for ids in tokens]
        write_shard(
            tmp_path / name, 0, tokens=tokens, channels={"word_start": words},
            documents={"id": [f"{name}-{i}" for i in range(documents)]}, vocabulary_size=100,
        )  # fmt: skip
        close_store(tmp_path / name, 1, ["word_start"], "toy", 100)
    return tmp_path


# -- start stream --
def open_stream(folder, special):
    from rexplug.batches import BatchStream
    from rexplug.tokens.store import TokenStore
    from rexplug_annealing import Linear
    from rexplug_guided_mlm import WholeWord

    return BatchStream(
        stores={name: TokenStore.open(folder / name) for name in ("web", "shop")},
        special=special,
        context=128,
        row_tokens=512,
        batch_tokens=lambda tokens: 2048,
        total_tokens=50_000,
        min_tokens=1,
        mixing=Linear(start={"web": 1}, end={"shop": 1}),
        masking=WholeWord(rate=0.3),
        seed=17,
        phase="anneal",
    )


# -- end stream --


# -- start loop --
def train(stream, step, position=None):
    import torch

    for batch, after in stream.batches(position):
        for row in batch.rows:
            step(
                input_ids=torch.from_numpy(row.token_ids),
                labels=torch.from_numpy(row.labels),
                cu_seqlens=torch.from_numpy(row.cu_seqlens),
                num_items_in_batch=batch.num_masked,
            )
        position = after  # a few integers: save them with the weights to resume
    return position


# -- end loop --


def test_the_code_of_the_page_runs_and_resumes(stores):
    special = SpecialTokens(cls=2, sep=3, pad=0, mask=4, vocabulary_size=100, all=frozenset(range(5)))
    seen = []
    end = train(open_stream(stores, special), lambda **row: seen.append(row))
    assert end.tokens >= 50_000
    rows = [row["input_ids"] for row in seen]
    assert all(len(row) <= 512 for row in rows)
    assert all(row["cu_seqlens"][-1] <= len(row["input_ids"]) for row in seen)
    assert all((row["labels"] >= 0).sum() <= row["num_items_in_batch"] for row in seen)

    stream = open_stream(stores, special)
    batches = stream.batches()
    for _ in range(7):
        _, middle = next(batches)
    done = middle.batch
    first = sum(len(each.rows) for each, _ in zip((b for b, _ in stream.batches()), range(done), strict=False))
    rest = []
    assert train(open_stream(stores, special), lambda **row: rest.append(row), middle) == end
    assert len(rest) == len(seen) - first
    for one, other in zip(rest, seen[first:], strict=True):
        assert torch.equal(one["input_ids"], other["input_ids"])
        assert torch.equal(one["labels"], other["labels"])
