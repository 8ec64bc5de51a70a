"""Runs an ONNX graph of an encoder by ONNX Runtime."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rexplug.errors import DataError
from rexplug.evaluation.onnx_files import graph_files

_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
_TOKENS = ("last_hidden_state", "token_embeddings")
"""Names that optimum and sentence-transformers give to the vectors of all tokens."""
_WHOLE = ("sentence_embedding", "pooler_output")
NO_VECTORS = (
    "the ONNX graph has no output last_hidden_state (or token_embeddings or sentence_embedding), so it embeds no texts; "
    "`rexplug export --onnx` and optimum's feature-extraction write it"
)


class OnnxGraph:
    """A graph with the inputs of an encoder, `[n, length]` each.

    Attributes:
        tokens: its output with a vector for every token, `[n, length, hidden]`; None if it has none.
        sentence: its output with an embedding for every text, `[n, dimensions]`, where it has no `tokens`.
        logits: its output with a masked-LM head's logits, `[n, length, vocabulary]`; None if it has none.
        reads_segments: whether it reads which of two texts each token belongs to.

    Args:
        path: the file.

    Raises:
        DataError: ONNX Runtime is not installed or cannot read the file, or the graph has other inputs.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise DataError("an ONNX graph is run by ONNX Runtime: pip install 'rexplug[onnx]'") from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = torch.get_num_threads()
        known = onnxruntime.get_available_providers()
        self.provider = "CUDAExecutionProvider" if "CUDAExecutionProvider" in known else "CPUExecutionProvider"
        providers = list(dict.fromkeys([self.provider, "CPUExecutionProvider"]))
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # ONNX Runtime has an exception of its own for every kind of damage
            raise DataError(
                f"{path} is not an ONNX graph that ONNX Runtime {onnxruntime.__version__} can run: {error}"
            ) from None
        # Nodes that only other outputs need, such as a head's, are not run.
        self._run_options = onnxruntime.RunOptions()
        self._run_options.only_execute_path_to_fetches = True
        self._path = path
        self._inputs = {
            entry.name: np.int32 if "int32" in entry.type else np.int64 for entry in self._session.get_inputs()
        }
        if unknown := [name for name in self._inputs if name not in _INPUTS]:
            raise DataError(f"{path} reads {', '.join(unknown)}; an encoder's graph reads {', '.join(_INPUTS)}")
        if "input_ids" not in self._inputs:
            raise DataError(f"{path} reads no input_ids, so it is not the graph of an encoder of texts")
        outputs = {entry.name: len(entry.shape) for entry in self._session.get_outputs()}
        self.tokens = next((name for name in _TOKENS if outputs.get(name) == 3), None)
        self.sentence = next((name for name in _WHOLE if outputs.get(name) == 2), None) if self.tokens is None else None
        self.logits = "logits" if outputs.get("logits") == 3 else None
        if self.tokens is None and self.sentence is None and self.logits is None:
            raise DataError(f"{path} has the outputs {', '.join(outputs)}; expected last_hidden_state or logits")

    @property
    def reads_segments(self) -> bool:
        """Whether it reads which of two texts each token belongs to."""
        return "token_type_ids" in self._inputs

    def run(
        self, output: str, ids: NDArray[np.int64], mask: NDArray[np.int64], segments: NDArray[np.int64] | None
    ) -> Any:
        """An output for padded rows.

        Args:
            output: its name.
            ids: token ids, `[n, length]`.
            mask: 1 for tokens, 0 for padding, `[n, length]`.
            segments: 0 or 1, `[n, length]`; zeros if left out.
        """
        values: Mapping[str, NDArray[np.int64]] = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(ids) if segments is None else segments,
            "position_ids": np.broadcast_to(np.arange(ids.shape[1]), ids.shape),
        }
        inputs = {name: np.ascontiguousarray(values[name], dtype) for name, dtype in self._inputs.items()}
        (found,) = self._session.run([output], inputs, self._run_options)
        return found

    def update(self, digest: hashlib._Hash) -> None:
        """Add the content of its files to a hash."""
        for path in graph_files(self._path):
            digest.update(path.read_bytes())
