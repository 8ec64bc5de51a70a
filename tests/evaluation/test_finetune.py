"""The losses of fine-tunes."""

import pytest
import torch

from rexplug.evaluation.finetune import cosent


def test_cosent_is_that_of_sentence_transformers():
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    generator = torch.Generator().manual_seed(0)
    similarity, labels = torch.rand(12, generator=generator), torch.randint(0, 3, (12,), generator=generator).float()
    theirs = CoSENTLoss(model=None, similarity_fct=lambda a, b: similarity)
    expected = theirs.compute_loss_from_embeddings([similarity, similarity], labels)
    assert cosent(similarity, labels).item() == pytest.approx(expected.item(), rel=1e-5)
