"""Rows as tensors: a batch of them is sent as five tensors and is the same after it."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rexplug.batches import IGNORED, PackedRow
from rexplug.engine.tensor_row import (
    FIELDS,
    TensorRow,
    concatenate,
    idle_row,
    pack_fields,
    to_tensor_row,
    unpack_fields,
)

CLS, PAD = 1, 3


def made(lengths, padding, seed):
    """A row as the batch stream makes it; of some documents nothing is masked."""
    draw = np.random.default_rng(seed)
    total = sum(lengths)
    tokens = np.concatenate([draw.integers(5, 64, total), np.full(padding, PAD)]).astype(np.int64)
    labels = np.full(total + padding, IGNORED, np.int64)
    chosen = np.flatnonzero(draw.random(total) < draw.choice([0.0, 0.3]))
    labels[chosen] = draw.integers(5, 64, len(chosen))
    cu_seqlens = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    documents = np.arange(len(lengths))
    return PackedRow(
        number=0, token_ids=tokens, labels=labels, position_ids=np.zeros_like(tokens), cu_seqlens=cu_seqlens,
        max_length=max(lengths), num_tokens=total, num_masked=len(chosen), sources=documents % 3, documents=documents,
        samples=[],
    )  # fmt: skip


ROWS = st.lists(
    st.builds(
        made,
        st.lists(st.integers(2, 40), min_size=1, max_size=8),
        st.integers(0, 30),
        st.integers(0, 2**16),
    ),
    min_size=1,
    max_size=5,
)


def assert_equal(one, other):
    for name in FIELDS:
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype
        assert torch.equal(a, b), name
    assert list(one.lengths) == list(other.lengths)
    assert (one.num_tokens, one.num_masked) == (other.num_tokens, other.num_masked)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_a_row_holds_what_the_stream_gave(rows):
    for row in rows:
        packed = to_tensor_row(row)
        assert packed.token_ids.tolist() == row.token_ids.tolist()
        assert packed.cu_seqlens.tolist() == row.cu_seqlens.tolist()
        assert packed.cu_seqlens.dtype == torch.int32
        assert packed.lengths == np.diff(row.cu_seqlens).tolist()
        assert (packed.num_tokens, packed.num_masked) == (row.num_tokens, row.num_masked)
        assert packed.masked.tolist() == np.flatnonzero(row.labels != IGNORED).tolist()
        assert packed.labels.tolist() == row.labels[packed.masked.numpy()].tolist()
        document = np.searchsorted(row.cu_seqlens[1:], packed.masked.numpy(), side="right")
        assert packed.sources.tolist() == row.sources[document].tolist()


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(0, 2))
def test_a_batch_is_five_tensors_and_comes_back_equal(rows, idle):
    before = [to_tensor_row(row) for row in rows] + [idle_row(CLS, PAD, 50, 16)] * idle
    packed = pack_fields(before)
    tensors = [leaf for leaf in torch.utils._pytree.tree_leaves(packed) if isinstance(leaf, torch.Tensor)]
    assert len(tensors) == 5
    after = unpack_fields(packed)
    assert len(after) == len(before)
    for one, other in zip(before, after, strict=True):
        assert_equal(one, other)
    storages = {name: packed["fields"][name].untyped_storage().data_ptr() for name in FIELDS}
    for row in after:
        assert all(getattr(row, name).untyped_storage().data_ptr() == storages[name] for name in FIELDS), "a copy"


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_concatenated_rows_hold_their_samples_in_order(rows):
    before = [to_tensor_row(row) for row in rows]
    whole = concatenate(before)
    total = sum(row.num_tokens for row in before)
    assert whole.num_tokens == total
    assert whole.num_masked == sum(row.num_masked for row in before)
    documents = [part.tolist() for row in before for part in row.token_ids[: row.num_tokens].split(list(row.lengths))]
    begins, ends = whole.cu_seqlens[:-1].tolist(), whole.cu_seqlens[1:].tolist()
    assert [whole.token_ids[a:b].tolist() for a, b in zip(begins, ends, strict=True)] == documents
    assert whole.lengths == [len(document) for document in documents]
    assert whole.cu_seqlens.dtype == torch.int32
    tail = len(before[-1].token_ids) - before[-1].num_tokens
    assert whole.token_ids[total:].tolist() == [PAD] * tail, "the padding of the last row, and of no other"
    assert whole.labels.tolist() == [label for row in rows for label in row.labels[row.labels != IGNORED].tolist()]
    assert whole.token_ids[whole.masked].tolist() == [
        token for row in before for token in row.token_ids[row.masked].tolist()
    ]


@pytest.mark.parametrize(("width", "context"), [(64, 64), (100, 32), (96, 32), (50, 64)])
def test_an_idle_row_is_as_wide_and_as_cheap_as_others_and_weighs_nothing(width, context):
    row = idle_row(CLS, PAD, width, context)
    assert row.token_ids.tolist() == [CLS] + [PAD] * (width - 1)
    assert sum(row.lengths) == width
    assert max(row.lengths) == min(context, width)
    assert row.cu_seqlens.tolist() == [0, *np.cumsum(row.lengths).tolist()]
    assert row.cu_seqlens.dtype == torch.int32
    assert (row.num_tokens, row.num_masked) == (0, 0)
    assert len(row.masked) == len(row.labels) == len(row.sources) == 0


def test_rows_are_never_copied():
    row = idle_row(CLS, PAD, 64, 32)
    assert copy.deepcopy({"rows": [row]})["rows"][0] is row
    assert row.to(torch.device("cpu")) is row
    there = row.to(torch.device("meta"))
    assert isinstance(there, TensorRow)
    assert {getattr(there, name).device.type for name in FIELDS} == {"meta"}
    assert there.lengths == row.lengths
