"""The groups that packed attention is computed in: planned without reading a device, and exact in the shapes of a GPU."""

import pytest
import torch

from rexplug.model.attention import Packing, attend_packed
from rexplug.model.cpu.block_attention import attend_groups
from rexplug.model.document_groups import AttentionPlan

LENGTHS = [5, 300, 70, 66, 200, 1, 64, 260]


class OnGpu(AttentionPlan):
    """Plans groups as for a GPU, on the CPU."""

    _on_cpu = False


def cu_seqlens_of(lengths, device="cpu"):
    return torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0).int().to(device)


@pytest.mark.parametrize("half", [None, 64, 1, 200])
def test_groups_are_planned_without_reading_the_device(half):
    # A tensor on "meta" has no values: reading one, or choosing by one, is an error.
    plan = AttentionPlan(LENGTHS, cu_seqlens_of(LENGTHS, "meta"))
    qkv = torch.randn(sum(LENGTHS), 3, 2, 8, device="meta", requires_grad=True)
    attended = attend_groups(qkv, plan, 1.0, half)
    attended.sum().backward()
    assert attended.shape == (sum(LENGTHS), 2, 8)
    for group in plan.groups(half):
        tensors = (group.index, group.target, group.positions, *([] if group.mask is None else [group.mask]))
        assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert plan.groups(half) is plan.groups(half), "planned once for all layers"


@pytest.mark.parametrize("half", [None, 64, 1, 200])
def test_the_groups_of_a_gpu_give_the_same_numbers_and_gradients(half):
    generator = torch.Generator().manual_seed(0)
    shape = sum(LENGTHS), 3, 2, 8
    qkv = torch.randn(shape, generator=generator, dtype=torch.float64)
    upstream = torch.randn(shape[0], 2, 8, generator=generator, dtype=torch.float64)
    results = []
    for attend in (
        lambda x: attend_groups(x, OnGpu(LENGTHS, cu_seqlens_of(LENGTHS)), 0.3, half),
        lambda x: attend_packed(x.unbind(1), None, Packing(cu_seqlens_of(LENGTHS), shape[0], "eager"), 0.3, half),
    ):
        leaf = qkv.clone().requires_grad_()
        out = attend(leaf)
        out.backward(upstream)
        results.append((out.detach(), leaf.grad))
    (ours, gradient), (exact, exact_gradient) = results
    # The softmax is fp32 in both.
    torch.testing.assert_close(ours, exact, atol=1e-5, rtol=0)
    torch.testing.assert_close(gradient, exact_gradient, atol=1e-5, rtol=0)


def test_a_gpu_gets_few_groups_of_aligned_length():
    lengths = [30 + n % 7 for n in range(2000)]
    on_gpu, on_cpu = OnGpu(lengths, cu_seqlens_of(lengths)), AttentionPlan(lengths)
    assert [(group.num, group.length) for group in on_gpu.groups(None)] == [(2000, 48)]
    assert len(on_cpu.groups(None)) > 15
    assert all(group.num * group.length <= 4096 for group in on_cpu.groups(None))
