"""The base of encoders under evaluation: embeds texts in batches, computes each distinct one once, and cuts embeddings."""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rexplug.errors import DataError, brief
from rexplug.evaluation.activity import Activity
from rexplug.evaluation.device_batches import Results
from rexplug.evaluation.embedding_log import EmbeddingLog
from rexplug.evaluation.embedding_modules import Transform
from rexplug.evaluation.kept import Kept, distinct_rows, rows_key
from rexplug.evaluation.model_usage import ModelUsage, Role
from rexplug.evaluation.predicts_no_words import PredictsNoWords
from rexplug.recipe.evaluation import ModelPrecision

_LENGTH_TOLERANCE = 1e-3
"""Difference from 1 of the length of an embedding that counts as normalised."""


class TextEncoder(PredictsNoWords, ABC):
    """A model that embeds texts; implements `rexplug.Encoder`.

    A subclass makes rows of texts (`tokenize`), divides them into batches (`batches`) and embeds a batch (`whole`). It overrides
    the methods for what else it can do: the others raise `NotApplicable`.

    Args:
        folder: how the user names the model.
        precision: number format of its matrix products.
        device: where it runs.
        keeps_embeddings: whether embeddings of earlier calls are used again.

    Attributes:
        usage: prompts and similarity.
        notes: remarks for the user on how the model is run.
        trainable: whether it can be fine-tuned.
        tokenizes: whether it embeds token ids, so that the time that it takes can be forecast.
        log: receives texts and their embeddings, if it is given.
        activity: what it has read and trained; shared with its copies.
    """

    trainable: ClassVar[bool] = False
    tokenizes: bool = False
    usage: ModelUsage

    def __init__(
        self, folder: str | Path, precision: ModelPrecision, device: torch.device, *, keeps_embeddings: bool = True
    ) -> None:
        self.folder = folder
        self.precision: ModelPrecision = precision
        self.device = device
        self.notes: tuple[str, ...] = ()
        self.activity = Activity()
        self.kept: Kept | None = Kept() if keeps_embeddings else None
        self.log: EmbeddingLog | None = None
        self._transform: Transform | None = None

    @property
    @abstractmethod
    def revision(self) -> str:
        """Hash of everything that affects the embeddings; subclasses compute it once."""

    def _as_revision(self, digest: hashlib._Hash) -> str:
        """A hash as a revision, with the number format after it unless that is fp32."""
        return digest.hexdigest()[:16] + ("" if self.precision == "fp32" else f"-{self.precision}")

    @property
    @abstractmethod
    def max_tokens(self) -> int:
        """Longest input in tokens."""

    @property
    @abstractmethod
    def num_dimensions(self) -> int:
        """Dimensions of a token vector, or of an embedding where there are none."""

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """Number of the model's weights."""

    @property
    @abstractmethod
    def num_parameters_without_embedding(self) -> int:
        """Number of the model's weights without those of the token embedding, which no product reads."""

    @property
    def device_name(self) -> str:
        """The GPU's name; empty for a CPU."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else ""

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer (fast).

        Raises:
            NotApplicable: there is none.
        """
        self._refuse("has no tokenizer")

    @property
    def module(self) -> torch.nn.Module:
        """The network, for fine-tuning.

        Raises:
            NotApplicable: there is none.
        """
        self._refuse("cannot be fine-tuned")

    def reading(self, max_tokens: int | None) -> Self:
        """The same model with another longest input; unchanged for None, or where the length is part of the model."""
        return self

    def copy(self) -> Self:
        """The same model with the same weights, whose attributes may be set."""
        return copy.copy(self)

    def _changed_copy(self) -> Self:
        """A copy that shares the weights and computes its revision anew."""
        other = copy.copy(self)
        other.__dict__.pop("revision", None)
        return other

    def cut_after(self, dimensions: int) -> Self:
        """The same model with embeddings cut after so many dimensions, in place of the number that its files state.

        The weights and the kept embeddings are shared. As in sentence-transformers the rest is not normalised again: the cosine
        does that anyway. Embeddings of length 1 that are compared by dot product are compared by cosine, which is the same before
        the cut.

        Raises:
            DataError: embeddings have fewer dimensions.
        """
        other = self._changed_copy()
        other.usage = replace(self.usage, dimensions=None)
        (whole,) = other.encode(["a"])
        other.usage = cut_usage(self.folder, self.usage, dimensions, whole)
        return other

    def clone(self) -> Self:
        """An independent copy whose weights, if it has any that can be trained, may be trained."""
        other = copy.copy(self)
        other.kept = other.log = None
        return other

    def clone_with(self, transform: Transform | None) -> Self:
        """An independent copy, with a transform that is applied to each of its embeddings from now on."""
        other = self.clone()
        other._transform = None if transform is None else transform.to(self.device)
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
        """Rows of texts: token ids with special tokens, cut at `max_tokens` or at the model's longest input.

        Args:
            texts: the texts.
            max_tokens: longest input; the model's own for None.
            pairs: the second text of each, which follows the first one after a separator.
            role: the role of the texts in a retrieval task (query or document), which decides the prompt before them.
            prompt: put before each text in place of that prompt.

        Raises:
            NotApplicable: the model reads no rows, or no pairs.
        """
        self._refuse("has no tokenizer")

    def encode(
        self,
        texts: Sequence[str],
        max_tokens: int | None = 512,
        *,
        role: Role | None = None,
        prompt: str | None = None,
    ) -> NDArray[np.float32]:
        """Embeddings `[n, dimensions]` of the first `max_tokens` tokens of each text, prompts included; see `tokenize`.

        Raises:
            TypeError: `texts` is one text, whose characters would be embedded.
        """
        require_several("encode", texts)
        return self.embed_rows(self.tokenize(texts, max_tokens, role=role, prompt=prompt))

    def embed_rows(self, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Embeddings `[n, dimensions]` of rows, each distinct row computed once.

        Those of the same rows in an earlier call are used again if the model keeps them.
        """
        distinct, place_of = distinct_rows(rows)
        if self.kept is None or not rows:
            return self._computed(distinct, self.pooled)[place_of]
        # Kept before they are cut: models that differ only in that share them.
        whole = self.kept.get(rows_key(distinct), lambda: self._computed(distinct, self.whole), lambda kept: [kept])
        embeddings: NDArray[np.float32] = whole[place_of, : self.usage.dimensions]
        if self.log is not None:
            self.log.add(rows, embeddings)
        return embeddings

    def _computed(
        self, rows: Sequence[NDArray[np.int64]], embed: Callable[[list[NDArray[np.int64]]], Tensor]
    ) -> NDArray[np.float32]:
        """Embeddings of all rows by a function that embeds one batch, `[n, dimensions]`."""
        computed = self.compute(rows, lambda indices: embed([rows[i] for i in indices]).float())
        if not computed:
            return np.zeros((0, self.num_dimensions), np.float32)
        result = np.zeros((len(rows), computed[0][1].shape[1]), np.float32)
        for indices, embeddings in computed:
            result[indices] = embeddings
        return result

    def compute(
        self, rows: Sequence[NDArray[np.int64]], function: Callable[[list[int]], Tensor]
    ) -> list[tuple[list[int], NDArray[Any]]]:
        """Apply a function to batches of rows, without gradients.

        Args:
            rows: token ids of each row, `[n_i]`.
            function: numbers of a batch's rows -> a tensor on the device.

        Returns:
            The numbers of each batch's rows, and the tensor as an array. The device is read once for many batches.
        """
        results = Results()
        with torch.no_grad(), self.activity.reading(len(rows)) as read:
            for indices in self.batches(rows):
                results.add(indices, function(indices))
                read(len(indices), sum(len(rows[i]) for i in indices))
            return results.arrays()

    def batches(self, rows: Sequence[NDArray[np.int64]]) -> Iterator[list[int]]:
        """Batches of row numbers.

        Raises:
            NotApplicable: the model reads no rows.
        """
        self._refuse("embeds no rows of tokens")

    def whole(self, rows: Sequence[NDArray[np.int64]]) -> Tensor:
        """Embeddings of one batch before they are cut; differentiable if the model is trainable.

        Raises:
            NotApplicable: the model reads no rows.
        """
        self._refuse("embeds no rows of tokens")

    def pooled(self, rows: Sequence[NDArray[np.int64]]) -> Tensor:
        """Embeddings `[n, dimensions]` of one batch; differentiable if the model is trainable."""
        embeddings = self.whole(rows)[:, : self.usage.dimensions]
        return embeddings if self._transform is None else self._transform(embeddings)

    def means(self, rows: Sequence[NDArray[np.int64]]) -> Tensor:
        """The mean of each row's token vectors, `[n, hidden]`, or its embedding where there are none."""
        return self.whole(rows)

    def token_vectors(self, rows: Sequence[NDArray[np.int64]]) -> list[Tensor]:
        """Last hidden states of each row, `[n_i, hidden]`, on the device; not differentiable.

        Raises:
            NotApplicable: there are none.
        """
        self._refuse("has no token vectors")

    def hidden(self, rows: Sequence[NDArray[np.int64]]) -> Tensor:
        """Last hidden states of all tokens of some rows, one row after the other, `[T, hidden]` fp32; differentiable.

        Raises:
            NotApplicable: there are none.
        """
        self._refuse("has no token vectors")


def cut_usage(model: str | Path, usage: ModelUsage, dimensions: int, whole: NDArray[np.float32]) -> ModelUsage:
    """The usage of embeddings that are cut after so many dimensions; `whole` is one of them before the cut, `[n]`.

    Embeddings of length 1 that are compared by dot product are compared by cosine: before the cut that is the same.

    Raises:
        DataError: embeddings have fewer dimensions; the message names `model`.
    """
    if dimensions > len(whole):
        raise DataError(
            f"{model}: dimensions is {dimensions}, and its embeddings have {len(whole)}; write 1 to {len(whole)}"
        )
    of_length_1 = abs(float(np.linalg.norm(whole)) - 1) < _LENGTH_TOLERANCE
    similarity = "cosine" if usage.similarity == "dot" and of_length_1 else usage.similarity
    return replace(usage, dimensions=dimensions, similarity=similarity)


def require_several(method: str, texts: Sequence[str], pairs: Sequence[str] | None = None) -> None:
    """Check the texts that an evaluator gives to a method of an encoder.

    Raises:
        TypeError: one text in place of several.
        ValueError: not as many second texts as first ones.
    """
    for given in (texts, pairs):
        if isinstance(given, str):
            raise TypeError(f"{method}() was given {brief(given)}; expected a sequence of texts")
    if pairs is not None and len(pairs) != len(texts):
        raise ValueError(f"{method}() was given {len(texts):,} texts and {len(pairs):,} pairs; expected as many")
