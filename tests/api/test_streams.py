"""`rexplug.open_stream`: the batches of a phase as numpy arrays, at any step."""

import shutil

import numpy as np
import pytest

import rexplug
from rexplug import api
from rexplug.batches import IGNORED, PositionLog
from rexplug.batches.history import FILE
from rexplug.phase_stream import phase_stream
from rexplug.run_directory import RunDirectory


@pytest.fixture
def stream(tokenized_run):
    return rexplug.open_stream(tokenized_run[2].root, "anneal")


def test_rows_are_packed_samples_between_cls_and_sep(stream, tokenized_run):
    tokenizer = rexplug.open_run(tokenized_run[2].root).load_tokenizer()
    batch = stream.batch(1)
    assert (batch.step, batch.progress) == (1, 0.0)
    assert batch.tokens == batch.num_tokens == sum(row.num_tokens for row in batch.rows)
    assert batch.num_masked == sum(row.num_masked for row in batch.rows)
    assert sum(batch.tokens_of.values()) == batch.num_tokens
    for row in batch.rows:
        starts, ends = row.cu_seqlens[:-1], row.cu_seqlens[1:]
        assert row.token_ids.shape == row.labels.shape == row.masked.shape == row.position_ids.shape
        assert (row.original_ids[starts] == tokenizer.cls_token_id).all()
        assert (row.original_ids[ends - 1] == tokenizer.sep_token_id).all()
        assert (row.original_ids[row.num_tokens :] == tokenizer.pad_token_id).all()
        assert (row.position_ids[starts] == 0).all()
        assert int(row.cu_seqlens[-1]) == row.num_tokens
        assert len(row.sources) == len(row.documents) == len(starts)


def test_labels_mark_the_predicted_tokens(stream):
    (row, *_) = stream.batch(1).rows
    assert row.masked.sum() == row.num_masked > 0
    assert (row.labels[~row.masked] == IGNORED).all()
    assert (row.original_ids[row.masked] == row.labels[row.masked]).all()
    assert (row.original_ids[~row.masked] == row.token_ids[~row.masked]).all()


def test_sources_and_documents_are_named(stream, tokenized_run):
    stores = {store.folder.name: store for store in api.open_token_stores(tokenized_run[2].root)}
    row = stream.batch(1).rows[0]
    assert set(row.sources) <= set(stores) == set(stream.sources)
    for source, document in zip(row.sources, row.documents, strict=True):
        (number,) = stores[source].find(document)
        begin, *_ = stores[source].document(number).tolist()
        place = list(zip(row.sources, row.documents, strict=True)).index((source, document))
        if int(row.cu_seqlens[place + 1] - row.cu_seqlens[place]) == int(stores[source].lengths[number]) + 2:
            assert row.original_ids[row.cu_seqlens[place] + 1] == begin


def test_a_step_is_the_same_wherever_the_stream_begins(stream):
    first = list(stream)
    assert [batch.step for batch in first] == list(range(1, len(first) + 1))
    assert first[-1].tokens >= stream.total_tokens == 20_000
    for step in (1, 2, len(first) // 2, len(first)):
        again = stream.batch(step)
        for row, other in zip(again.rows, first[step - 1].rows, strict=True):
            assert np.array_equal(row.token_ids, other.token_ids)
            assert np.array_equal(row.labels, other.labels)
            assert row.documents == other.documents


def test_steps_that_do_not_exist(stream, tokenized_run):
    last = sum(1 for _ in stream)
    with pytest.raises(rexplug.DataError) as error:
        stream.batch(last + 1)
    assert str(error.value) == f"phase 'anneal' has no step {last + 1}: it ends after step {last}"
    with pytest.raises(rexplug.DataError, match="phase 'anneal' has no step 0: steps are counted from 1"):
        stream.batch(0)
    with pytest.raises(rexplug.RecipeError, match="--phase pretrain: unknown phase; the phases are anneal"):
        rexplug.open_stream(tokenized_run[2].root, "pretrain")


def test_recorded_steps_are_the_ones_that_were_trained(tokenized_run, tmp_path):
    _, recipe, where = tokenized_run
    root = tmp_path / "run"
    for name in ("tokens", "tokenizer"):
        shutil.copytree(where.root / name, root / name)
    for name in ("recipe.yaml", "run.json"):
        shutil.copyfile(where.root / name, root / name)
    run = RunDirectory(root)
    batches = phase_stream(recipe, recipe.phases[0], run)
    position = batches.start
    with PositionLog(run.checkpoints / "anneal" / FILE, batches) as log:
        for _ in range(5):
            _, position = batches.plan(position)
            log.append(position)
    stream = rexplug.open_stream(rexplug.open_run(root), "anneal")
    documents = rexplug.open_run(root).documents_of_step(4, "anneal")
    batch = stream.batch(4)
    assert [row["id"] for row in documents.rows] == [name for row in batch.rows for name in row.documents]
    assert [row["source"] for row in documents.rows] == [name for row in batch.rows for name in row.sources]
    assert (documents.num_tokens, documents.num_rows) == (batch.num_tokens, len(batch.rows))
    seen = rexplug.open_run(root).steps_of_document(documents.rows[0]["id"])
    assert any((row["step"], row["seen"]) == (4, True) for row in seen.rows)
    assert stream.batch(6).tokens > batch.tokens  # beyond what was trained
