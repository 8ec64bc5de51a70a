"""Encoders whose ONNX graph is run by ONNX Runtime: exported by optimum, sentence-transformers or rexplug, quantised or not."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rexplug.errors import NotApplicable
from rexplug.evaluation.activity import Activity
from rexplug.evaluation.device_batches import TokenRows, batch_tokens
from rexplug.evaluation.embedding_modules import EmbeddingModules
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.kept import Kept
from rexplug.evaluation.loading import num_segments
from rexplug.evaluation.model_folder import ModelFolder, check_vocabulary, load_modules, load_tokenizer, not_evaluable
from rexplug.evaluation.onnx_graph import NO_VECTORS, OnnxGraph
from rexplug.evaluation.text_rows import RowMaker
from rexplug.recipe.evaluation import ModelOptions, ModelPrecision


class OnnxEncoder(HuggingFaceEncoder):
    """An encoder as an ONNX graph, with the pooling, prompts and longest input of its folder; it has no gradients.

    Not sentence-transformers' `backend="onnx"`, which needs optimum: the graph gives token vectors, everything after them is the
    same code as for weights.

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
        self.folder = model
        self.precision = precision
        self.notes = ()
        self._transform = None
        self.activity, self.kept = Activity(), Kept()
        self._packed = self._reads_padding = False
        if not content.is_one_encoder:
            raise not_evaluable(
                model, "an ONNX graph stands for a single encoder, and the model has several or other modules"
            )
        self.usage = content.usage.with_options(options)
        self.device = torch.device("cpu")
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
        return digest.hexdigest()[:16] + ("" if self.precision == "fp32" else f"-{self.precision}")

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
        other = copy.copy(self)
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

    def predict_masked(
        self, rows: Sequence[NDArray[np.int64]], positions: Sequence[NDArray[np.int64]], top: int = 1
    ) -> list[NDArray[np.int64]]:
        """The `top` most probable token ids at `positions` of each row, best first, `[len(positions[i]), top]`.

        Raises:
            NotApplicable: the graph has no logits.
        """
        return self._of_logits(
            rows, positions, lambda logits, _: logits.topk(top, -1).indices, np.zeros((0, top), np.int64)
        )

    def token_log_probs(
        self,
        rows: Sequence[NDArray[np.int64]],
        positions: Sequence[NDArray[np.int64]],
        targets: Sequence[NDArray[np.int64]],
    ) -> list[NDArray[np.float32]]:
        """Natural logarithm of the probability of `targets[i]` at `positions[i]` of each row, `[len(positions[i])]`.

        Raises:
            NotApplicable: the graph has no logits.
        """

        def of_targets(logits: Tensor, chosen: list[int]) -> Tensor:
            ids = torch.from_numpy(np.concatenate([targets[i] for i in chosen]).astype(np.int64))
            return logits.log_softmax(-1).gather(-1, ids[:, None])[:, 0]

        return self._of_logits(rows, positions, of_targets, np.zeros(0, np.float32))

    def _of_logits(
        self,
        rows: Sequence[NDArray[np.int64]],
        positions: Sequence[NDArray[np.int64]],
        function: Callable[[Tensor, list[int]], Tensor],
        nothing: NDArray[Any],
    ) -> list[NDArray[Any]]:
        """What a function makes of the logits at `positions` of some rows `[m, vocabulary]` and the numbers of these rows."""
        output = self._graph.logits
        if output is None:
            raise NotApplicable("the ONNX graph has no output logits, so the model predicts no words")
        result = [nothing] * len(rows)
        masked = [index for index, of_row in enumerate(positions) if len(of_row)]

        def at(numbers: list[int]) -> Tensor:
            chosen = [masked[n] for n in numbers]
            logits = self._run(output, TokenRows.on(self.device, [rows[i] for i in chosen]))
            at_positions = [of_row[positions[i]] for i, of_row in zip(chosen, logits, strict=True)]
            return function(torch.from_numpy(np.asarray(np.concatenate(at_positions), np.float32)), chosen)

        for numbers, computed in self.compute([rows[i] for i in masked], at):
            ends = np.cumsum([len(positions[masked[n]]) for n in numbers])[:-1]
            for number, of_row in zip(numbers, np.split(computed, ends), strict=True):
                result[masked[number]] = of_row
        return result


def _without_weights(folder: Path) -> Any:
    """The model of a folder's config, whose weights have shapes but no values: for its positions, segments and size."""
    from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding

    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    encoder_alone = type(config) in AutoModelForTextEncoding._model_mapping and config.is_encoder_decoder
    with torch.device("meta"):
        return (AutoModelForTextEncoding if encoder_alone else AutoModel).from_config(config, trust_remote_code=False)
