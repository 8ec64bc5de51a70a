"""The loss: that of transformers, in pieces, with its gradient, whatever is masked."""

import pytest
import torch
import torch.nn.functional as F

from rexplug.model import build_model
from rexplug.model.loss import masked_lm_loss
from rexplug.recipe.schema import Model


class Special:
    cls, sep, pad, vocabulary_size = 0, 1, 2, 1000


@pytest.fixture(scope="module")
def model():
    return build_model(Model(size="nano"), Special(), context=64, seed=1)


def gradients(model, loss, hidden):
    model.zero_grad()
    loss.backward(inputs=[hidden, *model.head.parameters(), *model.decoder.parameters()])
    found = [hidden.grad, *(each.grad for each in [*model.head.parameters(), *model.decoder.parameters()])]
    hidden.grad = None
    return found


@pytest.mark.parametrize("num_masked", [1, 63, 64, 200])
def test_equals_cross_entropy_on_whole_logits(model, num_masked):
    generator = torch.Generator().manual_seed(num_masked)
    hidden = torch.randn(num_masked, 128, generator=generator, requires_grad=True)
    labels = torch.randint(1000, (num_masked,), generator=generator)
    logits = model.decoder(model.head(hidden))
    expected = F.cross_entropy(logits, labels, reduction="none")
    wanted = gradients(model, expected.sum() / num_masked, hidden)
    total, losses, hits = masked_lm_loss(model, hidden, labels, max_logits=64 * 1024)
    assert torch.allclose(losses, expected, atol=1e-5)
    assert float(total.detach()) == pytest.approx(float(expected.detach().sum()), rel=1e-6)
    assert torch.equal(hits, logits.argmax(-1) == labels)
    for ours, theirs in zip(gradients(model, total / num_masked, hidden), wanted, strict=True):
        assert float((ours - theirs).abs().max()) <= 1e-5 * float(theirs.abs().max()) + 1e-9


def test_nothing_masked_is_no_loss_and_no_gradient(model):
    hidden = torch.zeros(0, 128, requires_grad=True)
    total, losses, _ = masked_lm_loss(model, hidden, torch.zeros(0, dtype=torch.long))
    total.backward()
    assert float(total.detach()) == 0
    assert losses.shape == (0,)
    assert hidden.grad.shape == (0, 128)


def test_no_more_logits_are_made_than_allowed(model, monkeypatch):
    """The largest tensor of the loss is a piece of the logits, whatever is masked."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        found = 0

        def __torch_dispatch__(self, function, types, arguments=(), options=None):
            made = function(*arguments, **(options or {}))
            if isinstance(made, torch.Tensor) and made.ndim == 2 and made.shape[1] == model.decoder.weight.shape[0]:
                self.found = max(self.found, made.shape[0])
            return made

    hidden, labels = torch.randn(500, 128), torch.randint(1000, (500,))
    with Largest() as largest:
        masked_lm_loss(model, hidden.requires_grad_(), labels, max_logits=128 * 1024)[0].backward()
    assert 64 <= largest.found <= 128


def test_autocast_gives_the_loss_within_half_precision(model):
    hidden, labels = torch.randn(100, 128, requires_grad=True), torch.randint(1000, (100,))
    exact, _, _ = masked_lm_loss(model, hidden, labels)
    exact_gradients = gradients(model, exact, hidden)
    with torch.autocast("cpu", torch.bfloat16):
        half, _, _ = masked_lm_loss(model, hidden, labels)
    assert float(half.detach()) == pytest.approx(float(exact.detach()), rel=2e-2)
    for ours, theirs in zip(gradients(model, half, hidden), exact_gradients, strict=True):
        assert ours.dtype == theirs.dtype == torch.float32
        assert float((ours - theirs).norm() / theirs.norm()) <= 5e-2
