"""Attention of queries, keys and values in bf16 against the full matrix of scores in fp64."""

import pytest
import torch
from model.helpers import relative_error

from rexplug.model.attention import rotate
from rexplug.model.cpu.block_attention import attend_blocks
from rexplug.model.document_groups import AttentionPlan
from rexplug.model.precision import autocast_of

HEADS, SIZE, SCALE = 2, 64, 0.125


def angles(length):
    positions = torch.arange(length).double()[:, None]
    return positions * 10_000.0 ** (-torch.arange(0, SIZE, 2).double() / SIZE)


def exact(qkv, lengths, half_window, rotated):
    documents = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    positions = torch.cat([torch.arange(length) for length in lengths])
    query, key, value = qkv.unbind(1)
    if not rotated:
        query, key = (rotated_in_fp64(states, positions) for states in (query, key))
    visible = documents[:, None] == documents
    if half_window is not None:
        visible &= (positions[:, None] - positions).abs() <= half_window
    scores = torch.einsum("qhd,khd->hqk", query, key) * SCALE
    return torch.einsum("hqk,khd->qhd", scores.masked_fill(~visible, float("-inf")).softmax(-1), value)


def rotated_in_fp64(states, positions):
    of_tokens = angles(int(positions.max()) + 1)[positions][:, None]
    first, second = states.chunk(2, -1)
    cosines, sines = of_tokens.cos(), of_tokens.sin()
    return torch.cat([first * cosines - second * sines, second * cosines + first * sines], -1)


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("half_window", [None, 64, 8])
@pytest.mark.parametrize("lengths", [[5, 7, 6, 30, 31, 33, 60, 64, 58], [100, 128, 97, 256, 200], [300, 9, 280]])
def test_results_and_gradients_are_near_fp64(lengths, half_window, rotated):
    generator = torch.Generator().manual_seed(1)
    shape = (sum(lengths), 3, HEADS, SIZE)
    qkv = torch.randn(shape, generator=generator).bfloat16().requires_grad_()
    weight = torch.randn(shape[0], HEADS, SIZE, generator=generator).bfloat16()
    rotation = None if rotated else tuple(f(angles(max(lengths))).float() for f in (torch.cos, torch.sin))
    with autocast_of(torch.device("cpu"), "bf16"):
        ours = attend_blocks(qkv, rotation, AttentionPlan(lengths), SCALE, half_window)
    assert ours.dtype == torch.bfloat16
    in_fp64 = qkv.detach().double().requires_grad_()
    wanted = exact(in_fp64, lengths, half_window, rotated)
    assert relative_error(ours, wanted) < 4e-3
    (got,) = torch.autograd.grad((ours * weight).sum(), qkv)
    (want,) = torch.autograd.grad((wanted * weight.double()).sum(), in_fp64)
    assert relative_error(got, want) < 6e-3


def test_scores_are_not_rounded_to_bf16():
    """Large scores that differ by less than bf16 resolves."""
    qkv = torch.zeros(2, 3, 1, SIZE, dtype=torch.bfloat16)
    qkv[:, 0, :, 0], qkv[:, 1, :, 0] = 64, 64
    qkv[1, 1, :, 1], qkv[:, 0, :, 1] = 1, 8  # scores 512 and 513, which bf16 does not distinguish
    qkv[1, 2] = 1
    with autocast_of(torch.device("cpu"), "bf16"):
        attended = attend_blocks(qkv, None, AttentionPlan([2]), SCALE, None)
    assert attended.float().mean().item() == pytest.approx(torch.tensor(1.0).sigmoid().item(), rel=4e-3)


def test_rotation_is_in_fp32_at_late_positions():
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(200, 2, HEADS, SIZE, generator=generator).bfloat16()
    cosines, sines = (f(angles(200)).float() for f in (torch.cos, torch.sin))
    value = torch.randn(200, 1, HEADS, SIZE, generator=generator).bfloat16()
    fine = attend_blocks(
        torch.cat([rotate(states.float(), cosines, sines), value.float()], 1), None, AttentionPlan([200]), SCALE, None
    )
    with autocast_of(torch.device("cpu"), "bf16"):
        ours = attend_blocks(torch.cat([states, value], 1), (cosines, sines), AttentionPlan([200]), SCALE, None)
    assert relative_error(ours, fine.double()) < 4e-3
