"""Turns token vectors into an embedding: by the mean, or by the modules of a sentence-transformers model."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rexplug.evaluation.device_batches import TokenRows
from rexplug.evaluation.text_rows import prompt_length

_MIN_DEVIATION = 0.02
"""Least standard deviation of a direction that whitening uses, as a share of the first direction's."""


@dataclass(frozen=True)
class Transform:
    """A fixed map of embeddings: `center` `[dimensions]` is subtracted, `matrix` applied if there is one."""

    center: Tensor
    matrix: Tensor | None = None

    @classmethod
    def centring(cls, vectors: Tensor) -> Transform:
        """Subtracts the mean of embeddings `[n, dimensions]`."""
        return cls(vectors.mean(0))

    @classmethod
    def whitening(cls, vectors: Tensor) -> Transform:
        """Gives all directions of embeddings `[n, dimensions]` equal weight."""
        center = vectors.mean(0)
        _, singular_values, directions = torch.linalg.svd(vectors - center, full_matrices=False)
        deviations = singular_values / len(vectors) ** 0.5
        # Directions that hardly vary are noise, which dividing by their own deviation would amplify.
        scale = deviations.clamp_min(float(deviations[0]) * _MIN_DEVIATION)
        return cls(center, directions.T / scale)

    def to(self, device: torch.device) -> Transform:
        """The transform on a device."""
        return Transform(self.center.to(device), None if self.matrix is None else self.matrix.to(device))

    def __call__(self, embeddings: Tensor) -> Tensor:
        """Transformed embeddings; differentiable."""
        centred = embeddings - self.center
        return centred if self.matrix is None else centred @ self.matrix


class EmbeddingModules:
    """Makes embeddings from token vectors.

    Args:
        modules: modules of sentence-transformers, applied in order; the mean if there are none.
        device: where they run.
    """

    def __init__(self, modules: Sequence[Any], device: torch.device) -> None:
        self._modules = [module.to(device) for module in modules]

    @property
    def pools_prompt(self) -> bool:
        """Whether the tokens of a prompt count in pooling."""
        return all(getattr(module, "include_prompt", True) for module in self._modules)

    def update(self, digest: hashlib._Hash) -> None:
        """Add everything that changes the embeddings to a hash."""
        digest.update(repr(self._modules).encode())
        for module in self._modules:
            add_weights(digest, module)

    def clone(self) -> EmbeddingModules:
        """Return an independent copy, whose weights may be trained."""
        return copy.deepcopy(self)

    def embed(self, batch: TokenRows, rows: Sequence[NDArray[np.int64]], states: Tensor) -> Tensor:
        """Embeddings `[n, dimensions]`; differentiable.

        Args:
            batch: the rows on the device.
            rows: the same rows, some of which know the length of their prompt.
            states: their token vectors one after the other, `[T, hidden]`.
        """
        if not self._modules:
            return batch.means(states)
        vectors, mask = batch.pad(states), batch.mask.long()
        left_out = [prompt_length(row) for row in rows]
        if len(set(left_out)) < 2:
            return self._applied(vectors, mask, left_out[0])
        # Queries and documents have prompts of different lengths, of which Pooling takes one at a time.
        parts, order = [], []
        for length in sorted(set(left_out)):
            indices = [index for index, of_row in enumerate(left_out) if of_row == length]
            parts.append(self._applied(vectors[indices], mask[indices], length))
            order += indices
        return torch.cat(parts)[np.argsort(order)]

    def _applied(self, vectors: Tensor, mask: Tensor, prompt: int) -> Tensor:
        features: dict[str, Any] = {"token_embeddings": vectors, "attention_mask": mask, "prompt_length": prompt}
        for module in self._modules:
            features = module(features)
        embeddings: Tensor = features["sentence_embedding"]
        return embeddings


def add_weights(digest: hashlib._Hash, module: torch.nn.Module) -> None:
    """Add the names and values of a module's weights to a hash."""
    for name, values in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
