"""Products in bf16: near those in fp64, with fp32 weights, gradients and residual."""

import pytest
import torch
from model.helpers import linear_inputs, random_tensor, relative_error

from rexplug.model.cpu.bf16_products import in_bf16
from rexplug.model.cpu.onednn import linear
from rexplug.model.precision import autocast_of

CPU = torch.device("cpu")


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("rows", [1, 130])
def test_products_and_gradients_are_near_fp64(rows, bias, residual):
    inputs = linear_inputs(rows, 96, 160, bias=bias, residual=residual)
    given = [tensor for tensor in inputs if tensor is not None]
    with autocast_of(CPU, "bf16"):
        ours = linear(*inputs)
    assert ours.dtype == (torch.float32 if residual else torch.bfloat16)
    exact = [None if tensor is None else tensor.detach().double().requires_grad_() for tensor in inputs]
    expected = torch.nn.functional.linear(*exact[:3]) + (exact[3] if residual else 0)
    # Rounding to bf16 is off by 2^-9 at most, each of both factors and the result.
    assert relative_error(ours, expected) < 4e-3
    weight = random_tensor(*expected.shape, seed=4).detach()
    gradients = torch.autograd.grad((ours.float() * weight).sum(), given)
    wanted = torch.autograd.grad((expected * weight).sum(), [tensor for tensor in exact if tensor is not None])
    for got, want in zip(gradients, wanted, strict=True):
        assert got.dtype == torch.float32
        assert relative_error(got, want) < 5e-3


def test_the_residual_is_neither_rounded_nor_changed():
    residual = random_tensor(4, 40)
    before = residual.detach().clone()
    with autocast_of(CPU, "bf16"):
        result = linear(random_tensor(4, 24), torch.zeros(40, 24), residual=residual)
    assert torch.equal(result, before)
    assert torch.equal(residual, before)


def test_only_inside_the_context_of_bf16():
    x = random_tensor(2, 8)
    assert not in_bf16(x)
    with autocast_of(CPU, "fp32"):
        assert not in_bf16(x)
    with autocast_of(CPU, "bf16"):
        assert in_bf16(x)
        assert not in_bf16(x.to("meta"))
