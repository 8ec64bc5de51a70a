"""Batches of rows on a device: nothing is read from it in between, and padded rows are the same as packed ones."""

import numpy as np
import pytest
import torch

from rexplug.components import FineTuning
from rexplug.evaluation import device_batches, finetune
from rexplug.evaluation.device_batches import Results, TokenRows, batch_tokens, similar_lengths
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.masked_head import best_tokens

CPU, META = torch.device("cpu"), torch.device("meta")
ROWS = [np.arange(n, dtype=np.int64) for n in (5, 1, 9, 3)]
POSITIONS = [np.array([0, 4]), np.array([], np.int64), np.array([8]), np.array([1])]


def test_rows_are_one_after_the_other_with_their_positions():
    batch = TokenRows.on(CPU, ROWS, POSITIONS)
    assert batch.ids.tolist() == np.concatenate(ROWS).tolist()
    assert batch.cu_seqlens.tolist() == [0, 5, 6, 15, 18]
    assert batch.cu_seqlens.dtype == torch.int32
    assert batch.positions.tolist() == [0, 4, 14, 16]
    assert TokenRows.on(CPU, ROWS).positions.tolist() == []


def test_padding_can_be_undone():
    batch = TokenRows.on(CPU, ROWS)
    values = torch.randn(18, 3)
    padded = batch.pad(values, fill=7)
    assert padded.shape == (4, 9, 3)
    assert batch.mask.sum(1).tolist() == [5, 1, 9, 3]
    assert (padded[~batch.mask] == 7).all()
    torch.testing.assert_close(batch.unpad(padded), values)
    means = batch.means(values)
    for row, mean in zip(values.split([5, 1, 9, 3]), means, strict=True):
        torch.testing.assert_close(mean, row.mean(0))


def test_results_are_read_together(monkeypatch):
    monkeypatch.setattr(device_batches, "_VALUES_PER_READ", 20)
    reads = []
    cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: reads.append(self.numel()) or cpu(self))
    results = Results()
    values = [torch.full((n, 4), float(n)) for n in (3, 0, 3, 1)]
    for number, value in enumerate(values):
        results.add([number], value)
    arrays = results.arrays()
    assert reads == [24, 4]
    assert [indices for indices, _ in arrays] == [[0], [1], [2], [3]]
    for (_, array), value in zip(arrays, values, strict=True):
        np.testing.assert_array_equal(array, value.numpy())


@pytest.mark.parametrize(
    ("lengths", "groups"),
    [
        ([], [[]]),
        ([7, 7, 8], [[0, 1, 2]]),
        ([5, 100, 6, 98, 5], [[0, 4, 2], [3, 1]]),
        ([1, 1000, 2, 200, 3, 210], [[0, 2, 4], [3, 5], [1]]),
    ],
)
def test_rows_of_similar_length_are_padded_together(lengths, groups):
    assert similar_lengths(lengths) == groups


def test_groups_of_rows_are_put_together_again():
    batch = TokenRows.on(CPU, ROWS)
    groups = [[1, 3], [0, 2]]
    parts = [batch.select(group) for group in groups]
    assert [part.lengths for part in parts] == [[1, 3], [5, 9]]
    assert parts[0].ids.tolist() == [*ROWS[1], *ROWS[3]]
    assert batch.joined([part.ids for part in parts], groups).tolist() == batch.ids.tolist()


def test_a_cpu_takes_small_batches():
    assert batch_tokens(None, CPU, padded=False) == 8192
    assert batch_tokens(None, CPU, padded=True) == 2048


@pytest.fixture
def without_values(model_folder):
    """An encoder without a device to read from: on "meta" tensors have shapes alone, and reading one is an error."""
    encoder = HuggingFaceEncoder(model_folder)
    encoder._model.to(META)
    encoder.device, encoder._backend = META, "sdpa"
    return encoder


def test_embeddings_and_predictions_read_nothing_from_the_device(without_values):
    rows = [np.arange(5, 5 + n, dtype=np.int64) for n in (9, 200, 4)]
    assert without_values.pooled(rows).shape == (3, 32)
    batch = TokenRows.on(META, rows, [np.array([2]), np.array([5, 100]), np.array([], np.int64)])
    states = without_values._states(batch, chosen=True)
    assert best_tokens(without_values.module, states, 2, without_values._autocast).shape == (3, 2)


def test_fine_tunes_read_nothing_from_the_device(without_values):
    rows = [np.arange(5, 5 + n, dtype=np.int64) for n in range(3, 11)]
    budget = FineTuning(steps=2, batch=4)
    options = {"learning_rate": 1e-3, "seed": 1}
    finetune.tune_similarity(without_values, rows, rows, np.linspace(0, 1, 8), budget, **options).run()
    pairs = list(zip("aabcdefg", "hijklmno", strict=True))
    finetune.tune_ranking(without_values, rows, rows, pairs, budget, **options).run()
    finetune.tune_classifier(without_values, rows, np.arange(8) % 2, 2, budget, **options).run()
    tags = [np.arange(len(row)) % 3 for row in rows]
    fixed = without_values.token_vectors(rows)
    tagger = finetune.probe_tagger(without_values, fixed, tags, 3, batch=4, seed=1).run()
    finetune.tune_tagger(without_values, rows, tags, tagger.head, budget, **options).run()
