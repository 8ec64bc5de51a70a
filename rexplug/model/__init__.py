"""Encoder sizes, packed attention, RoPE extension, export to Hugging Face.

What needs torch is imported when it is asked for: sizes and plans do without.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rexplug.model.sizes import SIZES

if TYPE_CHECKING:
    from rexplug.model.build import build_config, build_model, load_model, set_rope, theta_warnings, thetas

__all__ = ["SIZES", "build_config", "build_model", "load_model", "set_rope", "theta_warnings", "thetas"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(import_module("rexplug.model.build"), name)
    return globals()[name]
