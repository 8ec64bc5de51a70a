"""Encoder families and sizes, packed attention, RoPE extension, export to Hugging Face.

What needs torch is imported on first use: sizes and plans do without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rexplug.lazy import lazy_names
from rexplug.model.family import SIZES

if TYPE_CHECKING:
    from rexplug.model.build import build_config, build_model, load_model
    from rexplug.model.rope import set_rope, theta_warnings, thetas

__all__ = ["SIZES", "build_config", "build_model", "load_model", "set_rope", "theta_warnings", "thetas"]

__getattr__ = lazy_names(
    __name__,
    {
        "rexplug.model.build": ("build_config", "build_model", "load_model"),
        "rexplug.model.rope": ("set_rope", "theta_warnings", "thetas"),
    },
)
