"""Products and GeGLU: torch's numbers and gradients."""

import pytest
import torch
import torch.nn.functional as F
from model.helpers import linear_inputs, random_tensor

from rexplug.model.cpu.onednn import geglu, has_onednn, linear, pad_rows


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("rows", [1, 65])
def test_linear_and_its_gradients(rows, bias, residual):
    inputs = linear_inputs(rows, 24, 40, bias=bias, residual=residual)
    given = [tensor for tensor in inputs if tensor is not None]
    expected = F.linear(*inputs[:3]) + (inputs[3] if residual else 0)
    ours = linear(*inputs)
    assert torch.allclose(ours, expected, atol=1e-5)
    weight = torch.randn_like(expected)
    for got, wanted in zip(
        torch.autograd.grad((ours * weight).sum(), given),
        torch.autograd.grad((expected * weight).sum(), given),
        strict=True,
    ):
        assert got.shape == wanted.shape
        assert torch.allclose(got, wanted, atol=2e-5)


def test_the_residual_is_not_changed():
    residual = random_tensor(4, 40)
    before = residual.detach().clone()
    linear(random_tensor(4, 24), random_tensor(40, 24), residual=residual)
    assert torch.equal(residual, before)


def test_geglu_and_its_gradient():
    x = random_tensor(7, 12)
    gate, value = x.chunk(2, -1)
    expected = F.gelu(gate) * value
    assert torch.allclose(geglu(x), expected, atol=1e-6)
    got, wanted = (torch.autograd.grad(each.square().sum(), x)[0] for each in (geglu(x), expected))
    assert torch.allclose(got, wanted, atol=1e-5)


def test_half_precision_is_left_to_torch():
    x = torch.ones(4, 8, dtype=torch.bfloat16)
    assert not has_onednn(x)
    assert linear(x, torch.ones(3, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(torch.ones(4, 8), torch.ones(3, 8)).dtype == torch.bfloat16


def test_rows_are_filled_up_to_a_multiple_of_64():
    assert pad_rows(torch.ones(65, 2)).shape == (128, 2)
    assert pad_rows(torch.ones(64, 2)).shape == (64, 2)
    assert float(pad_rows(torch.ones(1, 2)).sum()) == 2
