"""Which instructions for bf16 the processor has, by what Linux says of it."""

import sys

import pytest
import torch

from rexplug.model.cpu.instructions import bf16_instructions


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx512f avx512_bf16 amx_bf16 amx_tile", "AMX"),
        ("fpu avx512f avx512_bf16", "AVX512-BF16"),
        ("fpu avx2 avx512f", ""),
        ("", ""),
    ],
)
def test_the_faster_instructions_that_the_flags_name(tmp_path, flags, expected):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nmodel name\t: Some CPU with avx512_bf16\nflags\t\t: {flags}\nbugs\t\t: none\n")
    assert bf16_instructions(cpuinfo) == expected


def test_none_where_the_system_does_not_say(tmp_path):
    assert bf16_instructions(tmp_path / "missing") == ""


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux says")
def test_torch_sees_the_same():
    assert bool(bf16_instructions()) == (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
