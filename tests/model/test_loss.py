"""The loss: that of transformers, in pieces, with its gradient, whatever is masked."""

import copy
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from model.helpers import Special

from rexplug.model import build_model
from rexplug.model.loss import choose_loss, masked_lm_loss
from rexplug.recipe.schema import Model


@pytest.fixture(scope="module")
def model():
    return build_model(Model(size="nano"), Special(1000), context=64, seed=1)


def gradients(model, loss, hidden):
    model.zero_grad()
    loss.backward(inputs=[hidden, *model.head.parameters(), *model.decoder.parameters()])
    computed = [hidden.grad, *(parameter.grad for parameter in [*model.head.parameters(), *model.decoder.parameters()])]
    hidden.grad = None
    return computed


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
    for ours, reference in zip(gradients(model, total / num_masked, hidden), wanted, strict=True):
        assert float((ours - reference).abs().max()) <= 1e-5 * float(reference.abs().max()) + 1e-9


def test_nothing_masked_gives_zero_loss_and_gradient(model):
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
        num_rows = 0

        def __torch_dispatch__(self, function, types, arguments=(), options=None):
            output = function(*arguments, **(options or {}))
            if (
                isinstance(output, torch.Tensor)
                and output.ndim == 2
                and output.shape[1] == model.decoder.weight.shape[0]
            ):
                self.num_rows = max(self.num_rows, output.shape[0])
            return output

    hidden, labels = torch.randn(500, 128), torch.randint(1000, (500,))
    with Largest() as largest:
        masked_lm_loss(model, hidden.requires_grad_(), labels, max_logits=128 * 1024)[0].backward()
    assert 64 <= largest.num_rows <= 128


def test_autocast_gives_the_loss_within_half_precision(model):
    hidden, labels = torch.randn(100, 128, requires_grad=True), torch.randint(1000, (100,))
    exact, _, _ = masked_lm_loss(model, hidden, labels)
    exact_gradients = gradients(model, exact, hidden)
    with torch.autocast("cpu", torch.bfloat16):
        half, _, _ = masked_lm_loss(model, hidden, labels)
    assert float(half.detach()) == pytest.approx(float(exact.detach()), rel=2e-2)
    for ours, reference in zip(gradients(model, half, hidden), exact_gradients, strict=True):
        assert ours.dtype == reference.dtype == torch.float32
        assert float((ours - reference).norm() / reference.norm()) <= 5e-2


def assert_near_fp64(kernel):
    """The loss in half precision, in pieces of which the last is shorter, compared with that on whole logits in fp64."""
    generator = torch.Generator().manual_seed(5)
    model = build_model(Model(size="nano"), Special(1000), context=64, seed=1)
    with torch.no_grad():
        model.decoder.weight.mul_(20)  # some tokens are likely
        model.decoder.bias.normal_(generator=generator)
    hidden = torch.randn(150, 128, generator=generator, requires_grad=True)
    exact = copy.deepcopy(model).double()
    hidden64 = hidden.detach().double().requires_grad_()
    logits = exact.decoder(exact.head(hidden64))
    # Every third token is predicted right, and by so much that half precision changes nothing about it.
    likeliest = logits.argmax(-1)
    labels = torch.where(torch.arange(150) % 3 == 0, likeliest, torch.randint(1000, (150,), generator=generator))
    expected = F.cross_entropy(logits, labels, reduction="none")
    wanted = gradients(exact, expected.sum(), hidden64)
    with torch.autocast("cpu", torch.bfloat16):
        total, losses, hits = masked_lm_loss(model, hidden, labels, max_logits=64 * 1000, kernel=kernel)
        nothing, none, _ = masked_lm_loss(model, hidden[:0], labels[:0], kernel=kernel)
    assert (losses.dtype, hits.dtype) == (torch.float32, torch.bool)
    assert (float(nothing.detach()), none.shape) == (0, (0,))
    assert float((losses - expected).detach().norm() / expected.detach().norm()) <= 1e-2
    assert float(total.detach()) == pytest.approx(float(losses.double().sum()), rel=1e-6)
    top = logits.detach().topk(2).values
    sure = top[:, 0] - top[:, 1] > 0.1
    assert int((sure & (labels == likeliest)).sum()) > 30
    assert int((sure & (labels != likeliest)).sum()) > 60
    assert torch.equal(hits[sure], (labels == likeliest)[sure])
    computed = gradients(model, total, hidden)
    assert len(computed) == len(wanted)
    for ours, reference in zip(computed, wanted, strict=True):
        assert ours.dtype == torch.float32
        assert float((ours - reference).norm() / reference.norm()) <= 2e-2


def test_pieces_in_half_precision_are_near_fp64():
    assert_near_fp64("pieces")


@pytest.mark.slow  # seconds to load torch's compiler
def test_the_compiled_kernel_is_near_fp64():
    # What torch would compile runs as it is written: a compiler for this machine takes half a minute.
    with torch.compiler.set_stance("force_eager"):
        assert_near_fp64("compiled")


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("liger_kernel") is None or find_spec("triton") is None, reason="liger-kernel or triton is not installed"
)
def test_ligers_kernel_is_near_fp64_in_tritons_interpreter():
    """The kernel that a GPU runs, statement by statement on a CPU."""
    code = (
        "import sys, types, triton\n"
        "# liger-kernel asks for a GPU's driver when it is imported; the interpreter never calls it.\n"
        "triton.runtime.driver.set_active(types.SimpleNamespace(get_benchmarker=lambda: None))\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from model.test_loss import assert_near_fp64\n"
        "assert_near_fp64('liger')\n"
        "print('near')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parents[1])],
        env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.stdout.endswith("near\n"), done.stderr[-2000:]


def test_the_kernel_of_the_loss_is_chosen_and_explained():
    if find_spec("liger_kernel") is not None and find_spec("triton") is not None:
        expected = [("liger", "liger-kernel is installed")] * 2
    else:
        expected = [
            ("compiled", "liger-kernel is not installed"),
            ("pieces", "liger-kernel is not installed, and nothing is compiled"),
        ]
    assert [choose_loss(compiled=compiled) for compiled in (True, False)] == expected
