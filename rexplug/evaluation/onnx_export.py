"""Exports an encoder to ONNX and quantises its weights to int8, as it would be deployed on a CPU."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rexplug.errors import DataError
from rexplug.evaluation.loading import load_weights, num_segments
from rexplug.evaluation.masked_head import has_masked_head
from rexplug.evaluation.model_folder import ModelFolder
from rexplug.evaluation.onnx_encoder import OnnxEncoder
from rexplug.evaluation.onnx_graph import OnnxGraph
from rexplug.model.onnx_outputs import EncoderOutputs
from rexplug.recipe.evaluation import ModelOptions

_OPSET = 17
_TOLERANCE = 1e-3
"""Largest difference of the exported fp32 graph's token vectors, as a share of their largest value."""
_SHAPES = ((2, 12), (1, 12), (3, 7))
"""Texts and tokens that the graph is compared on; it is traced on the first."""


def quantised(
    model: str | Path,
    content: ModelFolder,
    tokenizer: Path | None,
    options: ModelOptions,
    *,
    random: bool,
) -> OnnxEncoder:
    """The encoder of a folder with weights in int8, run by ONNX Runtime on the CPU.

    The graph is traced in fp32, compared with the model, and quantised dynamically: weights of matrix products to int8, their
    inputs at run time (ONNX Runtime's `quantize_dynamic`, which sentence-transformers' export uses too).

    Raises:
        DataError: the extra `onnx` is not installed, or the graph does not compute what the model does.
    """
    try:
        import onnx  # noqa: F401  (quantize_dynamic imports it)
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError:
        raise DataError("int8 needs the extra onnx: pip install 'rexplug[onnx]'") from None
    with tempfile.TemporaryDirectory(prefix="rexplug-onnx-") as folder:
        exported, quantised = Path(folder) / "model.onnx", Path(folder) / "model_qint8.onnx"
        encoder = load_weights(content.encoder, random=random, trusted=content.trusted)
        export_graph(encoder, exported)
        with _silenced():
            quantize_dynamic(exported, quantised, weight_type=QuantType.QInt8)
        # ONNX Runtime holds the graph in memory; its revision is computed while the file is there.
        int8 = OnnxEncoder(model, content, quantised, tokenizer, options, precision="int8")
        _ = int8.revision
    return int8


def export_graph(model: Any, path: Path) -> None:
    """Write a model of transformers as an ONNX graph, and compare its token vectors with the model's.

    Its outputs are `last_hidden_state`, and `logits` where the model has a masked-LM head.

    Raises:
        DataError: the model cannot be traced, or the graph computes something else.
    """
    model.set_attn_implementation("eager")
    model.eval()
    outputs = ["last_hidden_state", *(["logits"] if has_masked_head(model) else [])]
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if num_segments(model) > 1 else [])]
    axes = {name: {0: "batch", 1: "length"} for name in (*names, *outputs)}
    largest_id = model.get_input_embeddings().weight.shape[0]
    try:
        with torch.no_grad(), _silenced():
            torch.onnx.export(
                EncoderOutputs(model, *outputs), tuple(_inputs(names, largest_id, *_SHAPES[0])), str(path),
                input_names=names, output_names=outputs, dynamic_axes=axes, opset_version=_OPSET, dynamo=False,
            )  # fmt: skip
    except Exception as error:  # the tracer raises errors of many kinds
        raise DataError(
            f"it cannot be exported to ONNX: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from None
    graph = OnnxGraph(path)
    for shape in _SHAPES:
        inputs = _inputs(names, largest_id, *shape)
        with torch.no_grad():
            (expected,) = EncoderOutputs(model, "last_hidden_state")(*inputs)
        arrays = [tensor.numpy() for tensor in inputs]
        found = graph.run("last_hidden_state", arrays[0], arrays[1], arrays[2] if len(arrays) > 2 else None)
        difference = float(np.abs(found - expected.numpy()).max()) / max(1e-12, float(expected.abs().max()))
        if not difference <= _TOLERANCE:
            raise DataError(
                f"its ONNX graph computes other token vectors (difference {difference:.0e} of the largest value)"
            )


def _inputs(names: list[str], largest_id: int, texts: int, tokens: int) -> list[Tensor]:
    """Texts of `tokens` tokens, the last of which are padding in the second text."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, largest_id, (texts, tokens), generator=generator)
    mask = torch.ones(texts, tokens, dtype=torch.long)
    mask[1:2, -3:] = 0
    return [ids, mask, torch.zeros_like(ids)][: len(names)]


@contextmanager
def _silenced() -> Iterator[None]:
    """Without warnings: tracing warns wherever a shape may be fixed, and the comparison shows whether one is."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
