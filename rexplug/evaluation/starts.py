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
SAMPLE = 500
"""Training texts of each side whose embeddings centring and whitening are fitted on, at most."""
LEAST_GAIN = 0.05
"""A start other than the embeddings as they are must be better by this: with few dev queries a smaller gain may be chance (of
MiniLM whitening gained 0.045 on four dev queries of ESCI and lost 0.052 on the test queries)."""
T = TypeVar("T")


@dataclass(frozen=True)
class Start:
    """What a fine-tune starts from.

    Attributes:
        name: its name.
        transform: what is applied to each embedding; None for none.
        score: the model's score before any training.
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
    where: str = "on dev",
) -> Start:
    """The start with the best score before any training, raw unless another gains `LEAST_GAIN`; `option` unless that is `auto`.

    A sentence encoder's own embeddings are as they should be, and whitening undoes what it was trained for; those of a masked
    language model lie in a narrow cone, which a short fine-tune alone does not widen.

    Args:
        option: the option `start` of the fine-tune.
        sample: embeddings of training texts `[n, dimensions]` that centring and whitening are fitted on.
        rate: score of the embeddings with a transform; None for none.
        where: what they are scored on, as the note says it.
    """
    transforms = starts(sample)
    if option != "auto":
        transforms = {option: transforms[option]}
    scores = {name: rate(transform) for name, transform in transforms.items()}
    best = max(scores, key=scores.__getitem__)
    if "raw" in scores and scores[best] - scores["raw"] < LEAST_GAIN:
        best = "raw"
    measured = ", ".join(f"{name} {score:.3f}" for name, score in scores.items())
    chosen = "chosen" if option == "auto" else "as the option `start` says;"
    return Start(
        best, transforms[best], scores[best], f"Start of the fine-tune: {best} ({chosen} {where}: {measured})."
    )


def starts(sample: NDArray[np.float32]) -> dict[StartName, Transform | None]:
    """Each start, fitted on the embeddings of training texts `[n, dimensions]`."""
    vectors = torch.from_numpy(sample)
    return {"raw": None, "centred": Transform.centring(vectors), "whitened": Transform.whitening(vectors)}


def transformed(vectors: NDArray[np.float32], transform: Transform | None) -> NDArray[np.float32]:
    """Embeddings `[n, dimensions]` with a transform applied."""
    return vectors if transform is None else transform(torch.from_numpy(vectors)).numpy()


def spread_sample(items: Sequence[T], limit: int = SAMPLE) -> list[T]:
    """At most `limit` items at equal distances: neighbours may belong to one query."""
    if len(items) <= limit:
        return list(items)
    return [items[index * len(items) // limit] for index in range(limit)]
