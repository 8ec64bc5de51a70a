"""Which instructions for bf16 products this machine's processor has. No torch, so that plans can say it."""

from __future__ import annotations

from pathlib import Path

_PROCESSOR = Path("/proc/cpuinfo")
_BF16 = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}
"""Flags of Linux for the instructions that oneDNN multiplies bf16 matrices with, the faster ones first."""


def bf16_instructions(cpuinfo: Path = _PROCESSOR) -> str:
    """`AMX` or `AVX512-BF16`; empty if the processor has neither, or where the system does not say (it is not Linux)."""
    try:
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, flags = line.partition(":")
            if name.strip() == "flags":
                present = set(flags.split())
                return next((title for flag, title in _BF16.items() if flag in present), "")
    except OSError:
        pass
    return ""
