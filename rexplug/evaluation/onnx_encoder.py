"""Encoders whose ONNX graph is run by ONNX Runtime: exported by optimum, sentence-transformers or rexplug, quantised or not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rexplug.errors import NotApplicable
from rexplug.evaluation.device_batches import TokenRows, batch_tokens
from rexplug.evaluation.embedding_modules import EmbeddingModules
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.loading import encoder_class, num_segments
from rexplug.evaluation.model_folder import ModelFolder, check_vocabulary, load_modules, load_tokenizer, not_evaluable
from rexplug.evaluation.onnx_graph import NO_VECTORS, OnnxGraph
from rexplug.evaluation.text_encoder import TextEncoder
from rexplug.evaluation.text_rows import RowMaker
from rexplug.recipe.evaluation import ModelOptions, ModelPrecision


class OnnxEncoder(HuggingFaceEncoder):
    """An encoder as an ONNX graph, with the pooling, prompts and longest input of its folder; it has no gradients.

    sentence-transformers' `backend="onnx"` is not used, since it needs optimum: the graph computes token vectors, and everything
    after them is the same code as for weights.

    Args:
        model: how the user names it.
        content: its folder.
        graph: the graph.
        tokenizer: the tokenizer's folder, if it is not that of the model.
        options: settings that take precedence over those of its files.
        precision: the number format that results name.

    Raises:
        DataError: the model cannot be loaded.
    """

    trainable: ClassVar[bool] = False
    no_words: ClassVar[str] = "the ONNX graph has no output logits, so the model predicts no words"

    def __init__(
        self,
        model: str | Path,
        content: ModelFolder,
        graph: Path,
        tokenizer: Path | None,
        options: ModelOptions,
        *,
        precision: ModelPrecision = "fp32",
    ) -> None:
        # Not the `__init__` of `HuggingFaceEncoder`, which loads weights.
        TextEncoder.__init__(self, model, precision, torch.device("cpu"))
        self._packed = self._reads_padding = False
        if not content.is_one_encoder:
            raise not_evaluable(
                model,
                "an ONNX graph replaces a single encoder, and the model has several encoders or modules of other kinds",
            )
        self.usage = content.usage.with_options(options)
        self._graph = OnnxGraph(graph)
        self._model = _without_weights(content.encoder)
        self._tokenizer = load_tokenizer(tokenizer or content.encoder, lower_case=content.input.lower_case)
        self._tokenizer_text = self._tokenizer.backend_tokenizer.to_str()
        check_vocabulary(model, self._tokenizer, self._model.get_input_embeddings().weight.shape[0])
        self._max_tokens = options.max_tokens or content.input.max_tokens
        self._modules = EmbeddingModules(load_modules(content), self.device)
        segments = num_segments(self._model) if self._graph.reads_segments else 0
        self._maker = RowMaker(self._tokenizer, self.usage, segments=segments, pools_prompt=self._modules.pools_prompt)
        self._batch_tokens = options.batch_tokens or batch_tokens(self._model.config, self.device, padded=True)
        self.tokenizes = self._graph.tokens is not None or self._graph.sentence is not None
        if self.tokenizes and not np.isfinite(self.encode(["a"])).all():
            raise not_evaluable(model, "its embeddings are not finite numbers")

    @cached_property
    def revision(self) -> str:
        """Hash of graph, tokenizer, pooling and usage."""
        digest = hashlib.sha256(repr((self.usage, self._max_tokens)).encode())
        self._graph.update(digest)
        digest.update(self._tokenizer_text.encode())
        self._modules.update(digest)
        return self._as_revision(digest)

    @property
    def predicts_words(self) -> bool:
        """Whether the graph has logits."""
        return self._graph.logits is not None

    @property
    def module(self) -> torch.nn.Module:
        """Not available: a graph has no gradients.

        Raises:
            NotApplicable: always.
        """
        raise NotApplicable("the model is an ONNX graph, which has no gradients, so it cannot be fine-tuned")

    def clone(self) -> Self:
        """The same model; it has no weights that could be trained."""
        other = self.copy()
        other.kept = other.log = None
        return other

    def whole(self, rows: Sequence[NDArray[np.int64]]) -> Tensor:
        """Embeddings of one batch before they are cut.

        Raises:
            NotApplicable: the graph has logits alone.
        """
        if self._graph.sentence is None:
            return super().whole(rows)
        found = self._run(self._graph.sentence, TokenRows.on(self.device, rows))
        return torch.from_numpy(np.asarray(found, np.float32))

    def _padded_together(self, batch: TokenRows) -> Tensor:
        if self._graph.tokens is None:
            raise NotApplicable(NO_VECTORS)
        found = self._run(self._graph.tokens, batch)
        return batch.unpad(torch.from_numpy(np.asarray(found, np.float32)))

    def _run(self, output: str, batch: TokenRows) -> Any:
        segments = None if batch.segments is None else batch.pad(batch.segments).numpy()
        ids = batch.pad(batch.ids, self._maker.pad).numpy()
        return self._graph.run(output, ids, batch.mask.long().numpy(), segments)

    def _head_inputs(self, rows: Sequence[NDArray[np.int64]], positions: Sequence[NDArray[np.int64]]) -> Tensor:
        """Logits at given positions of one batch, `[m, vocabulary]`."""
        assert self._graph.logits is not None
        logits = self._run(self._graph.logits, TokenRows.on(self.device, rows))
        at_positions = [of_row[chosen] for of_row, chosen in zip(logits, positions, strict=True)]
        return torch.from_numpy(np.asarray(np.concatenate(at_positions), np.float32))

    def _best_tokens(self, inputs: Tensor, top: int) -> Tensor:
        return inputs.topk(top, -1).indices

    def _log_probs(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return inputs.log_softmax(-1).gather(-1, targets[:, None])[:, 0]


def _without_weights(folder: Path) -> Any:
    """The model of a folder's config, whose weights have shapes but no values: for its positions, segments and size."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    with torch.device("meta"):
        return encoder_class(config).from_config(config, trust_remote_code=False)
