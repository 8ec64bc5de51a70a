"""Encoders that transformers loads, trained or with random weights, with the pooling of sentence-transformers models."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rexplug.evaluation.device_batches import TokenRows, batch_tokens, batches_of, similar_lengths
from rexplug.evaluation.embedding_modules import EmbeddingModules, add_weights
from rexplug.evaluation.exact_products import exact_products
from rexplug.evaluation.loading import load_weights, longest_input, num_segments
from rexplug.evaluation.masked_head import best_tokens, has_masked_head, log_probs
from rexplug.evaluation.masked_language_model import MaskedLanguageModel
from rexplug.evaluation.model_folder import (
    ModelFolder,
    check_vocabulary,
    folder_of,
    inspect_folder,
    load_modules,
    load_tokenizer,
    not_evaluable,
    translated_errors,
)
from rexplug.evaluation.model_usage import ModelUsage, Role
from rexplug.evaluation.text_rows import RowMaker, SourceText, with_source
from rexplug.model.config_file import runs_packed
from rexplug.model.precision import autocast_of
from rexplug.recipe.evaluation import ModelOptions, ModelPrecision

_SAME = {"fp32": 1e-4, "bf16": 3e-2}
"""Largest difference of an embedding alone and beside a longer text, as a share of its largest value, that is rounding."""


class HuggingFaceEncoder(MaskedLanguageModel):
    """An encoder that transformers loads, and modules of sentence-transformers after it.

    ModernBERT models run on our packed attention, without padding; others on padded batches of similar length. Both
    give the same numbers. A sentence-transformers model pools, prompts and cuts texts as its own files say; embeddings of
    others are means of their token vectors. `rexplug.evaluation.load_encoder` compares the
    embeddings with those of sentence-transformers.

    Weights, pooling and embeddings are fp32. With `precision` bf16 the matrix products of the encoder are in bf16, in
    evaluation and in fine-tunes; the words that a masked language model predicts are still ranked by logits in fp32.

    Args:
        model: a folder or a hub name.
        tokenizer: the tokenizer's folder, if it is not that of the weights.
        random: draw the weights instead of loading them.
        packed: whether a ModernBERT runs packed.
        precision: number format of the encoder's matrix products.
        device: where it runs; on the GPU if there is one.
        options: settings that take precedence over those of its files.
        content: the content of the model's folder, if it has been inspected already.

    Raises:
        DataError: the model cannot be loaded.
    """

    trainable: ClassVar[bool] = True
    tokenizes: bool = True

    def __init__(
        self,
        model: str | Path,
        tokenizer: Path | None = None,
        *,
        random: bool = False,
        packed: bool = True,
        precision: ModelPrecision = "fp32",
        device: torch.device | None = None,
        options: ModelOptions | None = None,
        content: ModelFolder | None = None,
    ) -> None:
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        super().__init__(model, precision, device or torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        options = options or ModelOptions()
        with translated_errors(model):
            trusted = bool(options.trust_remote_code)
            if content is None:
                folder = folder_of(model, trusted=trusted)
                content = inspect_folder(folder, tokenizer, weights=not random, trusted=trusted)
            modules = load_modules(content)
            self._model = load_weights(content.encoder, random=random, trusted=trusted)
            self._tokenizer = load_tokenizer(tokenizer or content.encoder, lower_case=content.input.lower_case)
            self._max_tokens = options.max_tokens or content.input.max_tokens
            check_vocabulary(model, self._tokenizer, self._model.get_input_embeddings().weight.shape[0])
        self.usage = content.usage.with_options(options)
        # Before any call, because one with truncation changes the tokenizer's own settings.
        self._tokenizer_text = self._tokenizer.backend_tokenizer.to_str()
        self._model.eval().to(self.device)
        self._modules = EmbeddingModules(modules, self.device)
        self._maker = RowMaker(
            self._tokenizer, self.usage, segments=num_segments(self._model), pools_prompt=self._modules.pools_prompt
        )
        self._packed = packed and runs_packed(self._model.config)
        self._batch_tokens = options.batch_tokens or batch_tokens(
            self._model.config, self.device, padded=not self._packed
        )
        self._reads_padding = False
        if self._packed:
            from rexplug.model.attention import choose_backend
            from rexplug.model.layers import disable_dropout
            from rexplug.model.packed import use_packed_attention

            self._backend, _ = choose_backend("auto", self.device, precision)
            # No dropout in fine-tunes either: the order of examples is all that is random in them.
            disable_dropout(self._model)
            use_packed_attention(self._model)
        # Some models of transformers run in fp32 only, such as DeBERTa, whose masks overflow in bf16.
        how = "" if precision == "fp32" else f" in {precision}"
        with translated_errors(model, how), exact_products():
            # Modules that do not fit together and weights that overflow fail now and not after hours.
            alone = self.encode(["a"])
            if not np.isfinite(alone).all():
                raise not_evaluable(model, "its embeddings are not finite numbers", how)
            if not self._packed:
                beside_others = self.encode(["a", "a b c d e f g h i j k l"])[:1]
                self._reads_padding = float(np.abs(alone - beside_others).max()) > _SAME[precision] * float(
                    np.abs(alone).max()
                )

    @cached_property
    def revision(self) -> str:
        """Hash of weights, tokenizer, pooling and usage, with the number format after it unless that is fp32."""
        digest = hashlib.sha256()
        add_weights(digest, self._model)
        digest.update(self._tokenizer_text.encode())
        self._modules.update(digest)
        if self._max_tokens is not None:
            digest.update(str(self._max_tokens).encode())
        if self.usage != ModelUsage():
            digest.update(repr(self.usage).encode())
        return self._as_revision(digest)

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer (fast)."""
        return self._tokenizer

    @property
    def max_tokens(self) -> int:
        """Longest input in tokens: what the positions allow, or less where a sentence-transformers model states less."""
        return longest_input(self._model, self._max_tokens)

    def reading(self, max_tokens: int | None) -> Self:
        """The same model with another longest input, as far as its positions reach; unchanged for None.

        The weights are shared. It may be above the longest input that a sentence-transformers model states.
        """
        if max_tokens is None:
            return self
        other = self._changed_copy()
        other._max_tokens = max_tokens
        return other

    @property
    def num_dimensions(self) -> int:
        """Dimensions of a token vector, and of an embedding unless it is cut or a module of the model changes them."""
        return int(self._model.config.hidden_size)

    @property
    def num_parameters(self) -> int:
        """Number of the model's weights."""
        return sum(parameter.numel() for parameter in self._model.parameters())

    @property
    def predicts_words(self) -> bool:
        """Whether it has a masked-language-model head."""
        return has_masked_head(self._model)

    @property
    def num_parameters_without_embedding(self) -> int:
        """Number of the model's weights without those of the token embedding, which no product reads."""
        return self.num_parameters - int(self._model.get_input_embeddings().weight.numel())

    @property
    def module(self) -> torch.nn.Module:
        """The network, for fine-tuning."""
        module: torch.nn.Module = self._model
        return module

    def clone(self) -> Self:
        """An independent copy whose weights may be trained; its revision is computed from them."""
        other = self._changed_copy()
        other._model = copy.deepcopy(self._model)
        other._modules = self._modules.clone()
        other.kept = other.log = None
        return other

    def tokenize(
        self,
        texts: Sequence[str],
        max_tokens: int | None = 512,
        pairs: Sequence[str] | None = None,
        *,
        role: Role | None = None,
        prompt: str | None = None,
    ) -> list[NDArray[np.int64]]:
        """Token ids with special tokens, cut at `max_tokens` or at the model's longest input.

        A text without tokens (an empty one, where the tokenizer adds no special tokens) gets the padding token: embeddings are
        means over tokens.

        Args:
            texts: the texts.
            max_tokens: longest input; the model's own for None.
            pairs: the second text of each, which follows the first one after a separator.
            role: the role of the texts in a retrieval task (query or document), which decides the prompt before them.
            prompt: put before each text in place of that prompt.
        """
        limit = self.max_tokens if max_tokens is None else min(max_tokens, self.max_tokens)
        rows = self._maker.rows(texts, limit, pairs, role, prompt)
        if self.log is None or pairs is not None:
            return rows
        before = self._maker.prompt(role, prompt)
        return [with_source(row, SourceText(text, role, before, limit)) for row, text in zip(rows, texts, strict=True)]

    def token_vectors(self, rows: Sequence[NDArray[np.int64]]) -> list[Tensor]:
        """Last hidden states of each row, `[n_i, hidden]`, on the device; not differentiable."""
        result: list[Tensor] = [torch.empty(0)] * len(rows)
        with torch.no_grad(), self.activity.reading(len(rows)) as read:
            for indices in self.batches(rows):
                batch = [rows[i] for i in indices]
                read(len(batch), sum(map(len, batch)))
                for index, vectors in zip(indices, self.hidden(batch).split([len(row) for row in batch]), strict=True):
                    result[index] = vectors
        return result

    def hidden(self, rows: Sequence[NDArray[np.int64]]) -> Tensor:
        """Last hidden states of all tokens of some rows, one row after the other, `[T, hidden]` fp32; differentiable."""
        return self._states(TokenRows.on(self.device, rows))

    def means(self, rows: Sequence[NDArray[np.int64]]) -> Tensor:
        """The mean of each row's last hidden states, `[n, hidden]`; differentiable."""
        batch = TokenRows.on(self.device, rows)
        return batch.means(self._states(batch))

    def whole(self, rows: Sequence[NDArray[np.int64]]) -> Tensor:
        """Embeddings of one batch before they are cut; differentiable."""
        batch = TokenRows.on(self.device, rows)
        return self._modules.embed(batch, rows, self._states(batch))

    def _states(self, batch: TokenRows, *, chosen: bool = False) -> Tensor:
        """Last hidden states of all tokens `[T, hidden]`, or (`chosen`) of those at `batch.positions`, `[m, hidden]`."""
        if torch.is_grad_enabled():
            self.activity.trained_tokens += sum(batch.lengths)
        with self._autocast():
            if self._packed:
                from rexplug.model.attention import Packing
                from rexplug.model.packed import forward_packed

                packing = Packing(batch.cu_seqlens, len(batch.ids), self._backend, batch.lengths)
                states = forward_packed(self._model, batch.ids, packing, batch.positions if chosen else None)
                return states.float()
            if self._reads_padding and len(set(batch.lengths)) > 1:
                alone = [self._padded_states(row) for row in batch.each()]
                every = torch.cat(alone)
            else:
                every = self._padded_states(batch)
            return every.index_select(0, batch.positions) if chosen else every

    def _padded_states(self, batch: TokenRows) -> Tensor:
        """Last hidden states of all tokens `[T, hidden]`, by transformers' own layers on padded rows.

        On a CPU rows of similar length are padded together: a query would take as long as the document beside it.
        """
        if self.device.type == "cpu" and len(groups := similar_lengths(batch.lengths)) > 1:
            states = [self._padded_together(batch.select(group)) for group in groups]
            return batch.joined(states, groups)
        return self._padded_together(batch)

    def _padded_together(self, batch: TokenRows) -> Tensor:
        inputs = {"input_ids": batch.pad(batch.ids, self._maker.pad), "attention_mask": batch.mask.long()}
        if batch.segments is not None:
            inputs["token_type_ids"] = batch.pad(batch.segments)
        states: Tensor = batch.unpad(self._model.base_model(**inputs).last_hidden_state).float()
        return states

    def _autocast(self) -> AbstractContextManager[None]:
        return autocast_of(self.device, self.precision)

    def _head_inputs(self, rows: Sequence[NDArray[np.int64]], positions: Sequence[NDArray[np.int64]]) -> Tensor:
        """Last hidden states at given positions of one batch, `[m, hidden]`."""
        return self._states(TokenRows.on(self.device, rows, positions), chosen=True)

    def _best_tokens(self, inputs: Tensor, top: int) -> Tensor:
        return best_tokens(self._model, inputs, top, self._autocast)

    def _log_probs(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return log_probs(self._model, inputs, targets, self._autocast)

    def batches(self, rows: Sequence[NDArray[np.int64]]) -> Iterator[list[int]]:
        """Batches of indices: rows of similar length, within a budget of tokens (padding included where rows are padded).

        Rows of a model whose numbers depend on padding (FNet, ConvBERT) are batched with those of equal length alone.
        """
        return batches_of(
            [len(row) for row in rows], self._batch_tokens, padded=not self._packed, equal=self._reads_padding
        )
