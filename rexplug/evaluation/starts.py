"""The embeddings that a fine-tune starts from: as the model computes them, centred or whitened; chosen on dev."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from rexplug.evaluation.embedding_modules import Transform

StartName = Literal["raw", "centred", "whitened"]
STARTS: tuple[StartName, ...] = ("raw", "centred", "whitened")
SAMPLE = 500
"""Training texts of each side whose embeddings centring and whitening are fitted on, at most."""
T = TypeVar("T")


@dataclass(frozen=True)
class Start:
    """What a fine-tune starts from.

    Attributes:
        name: its name.
        transform: what is applied to each embedding; None for none.
        score: the model's score on dev before any training; 0 if it was not measured.
        note: which one it is and why, for the reader.
    """

    name: StartName
    transform: Transform | None
    score: float
    note: str


def choose_start(
    option: StartName | Literal["auto"],
    sample: NDArray[np.float32],
    rate: Callable[[Transform | None], float],
) -> Start:
    """The start with the best score before any training; `option` unless that is `auto`.

    A sentence encoder's own embeddings are as they should be, and whitening undoes what it was trained for; those of a masked
    language model lie in a narrow cone, which a short fine-tune alone does not widen.

    Args:
        option: the option `start` of the fine-tune.
        sample: embeddings of training texts `[n, dimensions]` that centring and whitening are fitted on.
        rate: score on dev of the embeddings with a transform; None for none.
    """
    vectors = torch.from_numpy(sample)
    names = STARTS if option == "auto" else (option,)
    transforms = {name: _fitted(name, vectors) for name in names}
    scores = {name: rate(transform) for name, transform in transforms.items()}
    best = max(scores, key=scores.__getitem__)
    measured = ", ".join(f"{name} {score:.3f}" for name, score in scores.items())
    chosen = "chosen on dev, before training" if option == "auto" else "as the option `start` says; on dev"
    return Start(best, transforms[best], scores[best], f"Embeddings at the start: {best} ({chosen}: {measured}).")


def transformed(vectors: NDArray[np.float32], transform: Transform | None) -> NDArray[np.float32]:
    """Embeddings `[n, dimensions]` with a transform applied."""
    return vectors if transform is None else transform(torch.from_numpy(vectors)).numpy()


def spread_sample(items: Sequence[T], limit: int = SAMPLE) -> list[T]:
    """At most `limit` items at equal distances: neighbours may belong to one query."""
    if len(items) <= limit:
        return list(items)
    return [items[index * len(items) // limit] for index in range(limit)]


def _fitted(name: StartName, vectors: torch.Tensor) -> Transform | None:
    if name == "raw":
        return None
    return Transform.centring(vectors) if name == "centred" else Transform.whitening(vectors)
