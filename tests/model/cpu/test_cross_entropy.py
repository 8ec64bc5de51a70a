"""The cross entropy of logits in pieces, and the gradient that logits become."""

import pytest
import torch
from model.helpers import relative_error

from rexplug.model.cpu.cross_entropy import cross_entropy

VOCABULARY = 2**16
"""So that four rows are a piece."""


def logits_and_labels(rows, dtype, scale=3.0):
    generator = torch.Generator().manual_seed(0)
    logits = (torch.randn(rows, VOCABULARY, generator=generator) * scale).to(dtype)
    labels = torch.randint(VOCABULARY, (rows,), generator=generator)
    labels[::3] = logits[::3].argmax(-1)
    return logits, labels


def exact(logits, labels):
    """Losses and gradient in fp64, and hits."""
    fine = logits.double().requires_grad_()
    losses = torch.nn.functional.cross_entropy(fine, labels, reduction="none")
    losses.sum().backward()
    at_labels = logits[torch.arange(len(labels)), labels]
    return losses.detach(), fine.grad, at_labels >= logits.amax(-1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2**-8)])
def test_losses_hits_and_gradient_of_several_pieces(dtype, tolerance):
    logits, labels = logits_and_labels(9, dtype)
    losses, gradient, hits = exact(logits, labels)
    sums = torch.ones(VOCABULARY)
    ours, ours_hits = cross_entropy(logits, labels, with_gradient=True, sums=sums)
    assert torch.allclose(sums.double(), 1 + gradient.sum(0), atol=1e-5)
    assert ours.dtype == torch.float32
    assert torch.allclose(ours.double(), losses, rtol=1e-5, atol=1e-5)
    assert torch.equal(ours_hits, hits)
    assert hits[::3].all()
    assert relative_error(logits, gradient) < tolerance


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_beyond_the_labels_are_ignored(dtype):
    logits, labels = logits_and_labels(6, dtype)
    _, gradient, _ = exact(logits[:5], labels[:5])
    losses, hits = cross_entropy(logits, labels[:5], with_gradient=True)
    assert (len(losses), len(hits)) == (5, 5)
    assert torch.allclose(logits[:5].double(), gradient, atol=4e-3)
    assert not logits[5].any()


def test_without_a_gradient_the_logits_stay():
    logits, labels = logits_and_labels(5, torch.bfloat16)
    before = logits.clone()
    cross_entropy(logits, labels, with_gradient=False)
    assert torch.equal(logits, before)


def test_fp32_has_the_bits_of_torchs_log_softmax():
    logits, labels = logits_and_labels(9, torch.float32)
    log_probabilities = torch.log_softmax(logits, -1)
    expected = -log_probabilities[torch.arange(9), labels]
    losses, _ = cross_entropy(logits, labels, with_gradient=True)
    assert torch.equal(losses, expected)


def test_the_loss_of_a_label_of_vanishing_probability_is_exact():
    logits = torch.zeros(2, VOCABULARY, dtype=torch.bfloat16)
    logits[0, 0] = 300
    losses, hits = cross_entropy(logits, torch.tensor([5, 5]), with_gradient=True)
    assert losses[0].item() == 300
    assert losses[1].item() == pytest.approx(torch.tensor(float(VOCABULARY)).log().item())
    assert hits.tolist() == [False, True]
    assert logits[0, 5].item() == -1
