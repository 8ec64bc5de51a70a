"""The Hugging Face encoder: batching changes no number."""

import numpy as np
import pytest
import torch

from rexplug import DataError
from rexplug.evaluation.encoder import HuggingFaceEncoder


@pytest.fixture(scope="module")
def encoder(model_folder):
    return HuggingFaceEncoder(model_folder)


def test_embeddings_are_means_over_the_text_alone(encoder):
    texts = ["steel", "the red shirt fits well " * 5, "oak table"]
    together = encoder.encode(texts)
    assert together.shape == (3, 32)
    assert together.dtype == np.float32
    for text, row in zip(texts, together, strict=True):
        ids = torch.tensor([encoder.tokenizer(text)["input_ids"]])
        with torch.no_grad():
            plain = encoder._model.base_model(input_ids=ids).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(row, plain.numpy(), atol=1e-5)


def test_long_texts_are_cut(encoder):
    long = "kettle " * 2000
    assert encoder.max_tokens == 256
    np.testing.assert_allclose(encoder.encode([long]), encoder.encode([long + "dress " * 50]), atol=1e-6)


def test_fill_gives_the_models_own_best_tokens(encoder):
    texts = ["the red cotton shirt", "a small steel kettle with a wooden handle", "oak"]
    rows = [np.array(encoder.tokenizer(text)["input_ids"], np.int64) for text in texts]
    positions = [np.array([1, 2]), np.array([4, 1, 3]), np.array([], np.int64)]
    found = encoder.fill(rows, positions, 3)
    assert [each.shape for each in found] == [(2, 3), (3, 3), (0, 3)]
    for row, places, guess in zip(rows[:2], positions, found, strict=False):
        with torch.no_grad():
            logits = encoder._model(input_ids=torch.from_numpy(row)[None]).logits[0]
        np.testing.assert_array_equal(guess, logits[places].topk(3).indices.numpy())


def test_the_revision_follows_the_weights(model_folder, encoder):
    again = HuggingFaceEncoder(model_folder)
    assert again.revision == encoder.revision
    fresh = HuggingFaceEncoder(model_folder)
    with torch.no_grad():
        next(fresh._model.parameters()).add_(1e-3)
    assert fresh.revision != encoder.revision


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(DataError, match="is no model that can be evaluated"):
        HuggingFaceEncoder(tmp_path)
