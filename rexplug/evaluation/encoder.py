"""Encoders under evaluation: Hugging Face and sentence-transformers models, trained or with random weights."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rexplug.errors import NotApplicable
from rexplug.evaluation.loading import head_logits, load_weights, longest_input
from rexplug.evaluation.model_folder import (
    check_vocabulary,
    inspect_folder,
    load_modules,
    load_tokenizer,
    translated_errors,
)
from rexplug.model.config_file import runs_packed

_BATCH_TOKENS = 8192
_MIN_DEVIATION = 0.02
"""Of directions that embeddings are whitened by, as a share of the first direction's standard deviation."""
_MAX_LOGITS = 2**26
"""Logits that are computed at once."""


class HuggingFaceEncoder:
    """An encoder that transformers loads, or a sentence-transformers model; implements `rexplug.Encoder`.

    ModernBERT models run on our packed attention, without padding; others on padded batches of similar length. Both
    give the same numbers. A sentence-transformers model pools and cuts texts as its own files say; embeddings of others
    are means of their token vectors.

    Args:
        model: a folder or a hub name.
        tokenizer: the tokenizer's folder, if it is not that of the weights.
        random: draw the weights instead of loading them.
        packed: whether a ModernBERT runs packed.

    Raises:
        DataError: the model cannot be loaded.
    """

    def __init__(
        self, model: str | Path, tokenizer: Path | None = None, *, random: bool = False, packed: bool = True
    ) -> None:
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        self.folder = model
        self._whitening: tuple[Tensor, Tensor] | None = None
        with translated_errors(model):
            content = inspect_folder(model, tokenizer, weights=not random)
            self._pooling = load_modules(content)
            self._model = load_weights(content.encoder, random=random)
            self._tokenizer = load_tokenizer(tokenizer or content.encoder, lower_case=content.lower_case)
            self._max_tokens = content.max_tokens
            check_vocabulary(model, self._tokenizer, self._model.get_input_embeddings().weight.shape[0])
        # Before any call, because one with truncation changes the tokenizer's own settings.
        self._tokenizer_text = self._tokenizer.backend_tokenizer.to_str()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model.eval().to(self.device)
        self._packed = packed and runs_packed(self._model.config)
        if self._packed:
            from rexplug.model.attention import choose_backend
            from rexplug.model.layers import disable_dropout
            from rexplug.model.packed import use_packed_attention

            self._backend, _ = choose_backend("auto", self.device)
            # No dropout in fine-tunes either: the order of examples is all that is random in them.
            disable_dropout(self._model)
            use_packed_attention(self._model)
        with translated_errors(model):
            self.encode(["a"])  # modules that do not fit together fail now and not after hours

    @cached_property
    def revision(self) -> str:
        """Hash of weights, tokenizer and pooling."""
        digest = hashlib.sha256()
        for name, values in sorted(self._model.state_dict().items()):
            digest.update(name.encode())
            digest.update(values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        digest.update(self._tokenizer_text.encode())
        digest.update(repr(self._pooling).encode())
        if self._max_tokens is not None:
            digest.update(str(self._max_tokens).encode())
        return digest.hexdigest()[:16]

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer (fast)."""
        return self._tokenizer

    @property
    def max_tokens(self) -> int:
        """Longest input in tokens: what the positions allow, or less where a sentence-transformers model states less."""
        longest = longest_input(self._model)
        return longest if self._max_tokens is None else min(longest, self._max_tokens)

    @property
    def num_dimensions(self) -> int:
        """Dimensions of a token vector, and of an embedding unless a module of the model changes them."""
        return int(self._model.config.hidden_size)

    @property
    def num_parameters(self) -> int:
        """Number of the model's weights."""
        return sum(parameter.numel() for parameter in self._model.parameters())

    @property
    def module(self) -> torch.nn.Module:
        """The network, for fine-tuning."""
        module: torch.nn.Module = self._model
        return module

    def clone(self) -> Self:
        """An independent copy whose weights may be trained; its revision is computed from them."""
        other = copy.copy(self)
        other.__dict__.pop("revision", None)
        other._model = copy.deepcopy(self._model)
        other._pooling = copy.deepcopy(self._pooling)
        return other

    def whiten(self, rows: Sequence[NDArray[np.int64]]) -> None:
        """Fit a whitening transform on the embeddings of `rows` and apply it to every embedding from now on.

        Embeddings of a masked language model lie in a narrow cone, which a short fine-tune alone does not widen.
        """
        vectors = torch.from_numpy(self.embed_rows(rows))
        center = vectors.mean(0)
        _, singular_values, directions = torch.linalg.svd(vectors - center, full_matrices=False)
        deviations = singular_values / len(vectors) ** 0.5
        # Directions that hardly vary are noise, which dividing by their own deviation would amplify.
        scale = deviations.clamp_min(float(deviations[0]) * _MIN_DEVIATION)
        self._whitening = (center.to(self.device), (directions.T / scale).to(self.device))

    def tokenize(
        self, texts: Sequence[str], max_tokens: int = 512, pairs: Sequence[str] | None = None
    ) -> list[NDArray[np.int64]]:
        """Token ids with special tokens, cut at `max_tokens` or at the model's longest input.

        Args:
            texts: the texts.
            max_tokens: longest input.
            pairs: the second text of each, which follows the first one after a separator.
        """
        if not len(texts):
            return []
        limit = min(max_tokens, self.max_tokens)
        second = None if pairs is None else list(pairs)
        encoded = self._tokenizer(list(texts), second, truncation=True, max_length=limit)["input_ids"]
        return [np.array(row, np.int64) for row in encoded]

    def encode(self, texts: Sequence[str], max_tokens: int = 512) -> NDArray[np.float32]:
        """Embeddings `[n, dimensions]` of the first `max_tokens` tokens of each text."""
        return self.embed_rows(self.tokenize(texts, max_tokens))

    def embed_rows(self, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Embeddings `[n, dimensions]` of token ids."""
        result: NDArray[np.float32] | None = None
        with torch.no_grad():
            for indices in self.batches(rows):
                embeddings = self.pooled([rows[i] for i in indices]).float().cpu().numpy()
                if result is None:
                    result = np.zeros((len(rows), embeddings.shape[1]), np.float32)
                result[indices] = embeddings
        return result if result is not None else np.zeros((0, self.num_dimensions), np.float32)

    def token_vectors(self, rows: Sequence[NDArray[np.int64]]) -> list[Tensor]:
        """Last hidden states of each row, `[n_i, hidden]`; not differentiable."""
        result: list[Tensor] = [torch.empty(0)] * len(rows)
        with torch.no_grad():
            for indices in self.batches(rows):
                for index, vectors in zip(indices, self.hidden([rows[i] for i in indices]), strict=True):
                    result[index] = vectors
        return result

    def hidden(self, rows: Sequence[NDArray[np.int64]]) -> tuple[Tensor, ...]:
        """Last hidden states of each row, `[n_i, hidden]`, all in one forward pass; differentiable."""
        if self._packed:
            from rexplug.model.attention import Packing
            from rexplug.model.packed import forward_packed

            lengths = [len(row) for row in rows]
            ids = torch.from_numpy(np.concatenate(rows)).to(self.device)
            cu_seqlens = torch.tensor([0, *np.cumsum(lengths).tolist()], dtype=torch.int32, device=self.device)
            packing = Packing(cu_seqlens, len(ids), self._backend, lengths)
            states = forward_packed(self._model, ids, packing)
            states_of_rows: tuple[Tensor, ...] = states.split(lengths)
            return states_of_rows
        tokens = pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True, padding_value=self._pad)
        lengths_ = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(tokens.shape[1])[None] < lengths_[:, None]).long()
        output = self._model.base_model(input_ids=tokens.to(self.device), attention_mask=mask.to(self.device))
        return tuple(states[: len(row)] for states, row in zip(output.last_hidden_state, rows, strict=True))

    def pooled(self, rows: Sequence[NDArray[np.int64]]) -> Tensor:
        """Embeddings `[b, dimensions]` of one batch; differentiable."""
        vectors = self.hidden(rows)
        if not self._pooling:
            return self._whitened(torch.stack([states.mean(0) for states in vectors]))
        lengths = torch.tensor([len(row) for row in rows], device=self.device)
        padded = pad_sequence(list(vectors), batch_first=True)
        mask = torch.arange(padded.shape[1], device=self.device)[None] < lengths[:, None]
        features = {"token_embeddings": padded, "attention_mask": mask.long(), "cls_token_embeddings": padded[:, 0]}
        for module in self._pooling:
            features = module.to(self.device)(features)
        return self._whitened(features["sentence_embedding"])

    def _whitened(self, embeddings: Tensor) -> Tensor:
        if self._whitening is None:
            return embeddings
        center, matrix = self._whitening
        return (embeddings - center) @ matrix

    def predict_masked(
        self, rows: Sequence[NDArray[np.int64]], positions: Sequence[NDArray[np.int64]], top: int = 1
    ) -> list[NDArray[np.int64]]:
        """The `top` most probable token ids at `positions` of each row, best first, `[len(positions[i]), top]`.

        Raises:
            NotApplicable: the model has no masked-language-model head.
        """
        if not hasattr(self._model, "get_output_embeddings") or self._model.get_output_embeddings() is None:
            raise NotApplicable("the model has no masked-language-model head, so it predicts no words")
        result: list[NDArray[np.int64]] = [np.zeros((0, top), np.int64)] * len(rows)
        with torch.no_grad():
            for indices in self.batches(rows):
                vectors = self.hidden([rows[i] for i in indices])
                selected = [
                    states[torch.from_numpy(np.asarray(positions[i], np.int64)).to(self.device)]
                    for i, states in zip(indices, vectors, strict=True)
                ]
                counts = [len(states) for states in selected]
                if not sum(counts):
                    continue
                # In chunks: logits of every position over the whole vocabulary at once would be gigabytes.
                chunks = torch.cat(selected).split(max(1, _MAX_LOGITS // len(self._tokenizer)))
                best = torch.cat([self._logits(chunk).topk(top, -1).indices for chunk in chunks]).cpu().numpy()
                for index, best_of_row in zip(indices, np.split(best, np.cumsum(counts)[:-1]), strict=True):
                    result[index] = best_of_row
        return result

    @property
    def _pad(self) -> int:
        return int(self._tokenizer.pad_token_id or 0)

    def _logits(self, hidden: Tensor) -> Tensor:
        if hasattr(self._model, "decoder") and hasattr(self._model, "head"):
            logits: Tensor = self._model.decoder(self._model.head(hidden))
        else:
            logits = head_logits(self._model, hidden)
        return logits

    def batches(self, rows: Sequence[NDArray[np.int64]]) -> Iterator[list[int]]:
        """Batches of indices: rows of similar length, within a budget of tokens (padding included where rows are padded)."""
        order = sorted(range(len(rows)), key=lambda i: (len(rows[i]), i))
        while order:
            batch = [order.pop()]
            longest = total = max(1, len(rows[batch[0]]))
            while order:
                size = total + len(rows[order[-1]]) if self._packed else (len(batch) + 1) * longest
                if size > _BATCH_TOKENS:
                    break
                total += len(rows[order[-1]])
                batch.append(order.pop())
            yield batch
