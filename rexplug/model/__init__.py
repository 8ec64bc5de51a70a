"""Encoder sizes, packed attention, RoPE extension, export to Hugging Face."""

from rexplug.model.build import build_config, build_model, load_model, set_rope, theta_warnings, thetas
from rexplug.model.export import export, export_onnx
from rexplug.model.sizes import SIZES

__all__ = [
    "SIZES",
    "build_config",
    "build_model",
    "export",
    "export_onnx",
    "load_model",
    "set_rope",
    "theta_warnings",
    "thetas",
]
