"""The number format that suits a device, and the context for it."""

import pytest
import torch

from rexplug.model.precision import autocast_of, choose_precision

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("requested", "device", "expected"),
    [
        ("auto", CPU, "fp32"), ("auto", GPU, "bf16"), ("fp32", CPU, "fp32"), ("fp32", GPU, "fp32"), ("tf32", GPU, "tf32"),
        ("bf16", GPU, "bf16"),
    ],
)  # fmt: skip
def test_what_is_chosen(requested, device, expected):
    assert choose_precision(requested, device) == expected


def test_bf16_on_a_cpu_with_instructions_for_it(monkeypatch):
    monkeypatch.setattr("rexplug.model.precision.bf16_instructions", lambda: "AMX")
    assert choose_precision("bf16", CPU) == "bf16"


@pytest.mark.parametrize(("precision", "expected"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_the_context_decides_torchs_products(precision, expected):
    with autocast_of(CPU, precision):
        assert (torch.ones(2, 3) @ torch.ones(3, 2)).dtype == expected
