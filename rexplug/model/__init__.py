"""Encoder families and sizes, packed attention, RoPE extension, export to Hugging Face.

What needs torch is imported on first use: sizes and plans do without.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rexplug.model.family import SIZES

if TYPE_CHECKING:
    from rexplug.model.build import build_config, build_model, load_model
    from rexplug.model.rope import set_rope, theta_warnings, thetas

__all__ = ["SIZES", "build_config", "build_model", "load_model", "set_rope", "theta_warnings", "thetas"]

_MODULES = {
    "build_config": "build", "build_model": "build", "load_model": "build", "set_rope": "rope", "theta_warnings": "rope",
    "thetas": "rope",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(import_module(f"rexplug.model.{_MODULES[name]}"), name)
    return globals()[name]
