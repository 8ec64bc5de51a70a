"""What embeddings look like before any fine-tune: how narrow their cone is, and whether nearer means more alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rexplug.components import EvaluationContext, EvaluationResult, Scores
from rexplug.errors import DataError
from rexplug.evaluation.recovery import texts_of
from rexplug.evaluation.statistics import metric

if TYPE_CHECKING:
    from rexplug.evaluation.evaluators import EmbeddingGeometry


def evaluate_geometry(evaluator: EmbeddingGeometry, context: EvaluationContext) -> EvaluationResult:
    """Mean cosine of unlike texts, effective dimensions, and the graded order of halves of documents.

    Raises:
        DataError: fewer than four documents have two halves.
    """
    texts = texts_of(evaluator, context)
    halves: list[tuple[str, str, str, str]] = []
    for source, documents in texts.items():
        for document in documents:
            words = document.text.split()[: evaluator.words]
            if len(words) >= 8:
                middle = len(words) // 2
                halves.append((source, document.id, " ".join(words[:middle]), " ".join(words[middle:])))
    if len(halves) < 4:
        raise DataError(f"{evaluator.label}: fewer than four documents have eight words")
    vectors = context.encoder.encode([part for each in halves for part in each[2:]])
    first, second = vectors[0::2], vectors[1::2]
    names = np.array([each[0] for each in halves])
    ids = [f"{each[0]}/{each[1]}" for each in halves]
    generator = np.random.default_rng(context.seed)
    # The partners of a document are drawn once and are the same for every model.
    same = _partners(names, generator, alike=True)
    other = _partners(names, generator, alike=False) if len(texts) > 1 else None
    centre = vectors.mean(0)
    scores: dict[str, Scores] = {}
    for prefix, one, two in (("", first, second), ("centred.", first - centre, second - centre)):
        own = _cosines(one, two)
        near = _cosines(one, two[same])
        right = [own > near]
        if other is not None:
            far = _cosines(one, two[other])
            right += [own > far, near > far]
        scores[f"{prefix}order"] = Scores(ids, [np.mean(right, 0).tolist()])
        if not prefix:
            unlike = near if other is None else (near + far) / 2
            scores["anisotropy"] = Scores(ids, [np.round(unlike, 6).astype(float).tolist()])
    metrics = {name: metric(each, context.seed) for name, each in scores.items()}
    spectrum = np.linalg.svd(vectors - centre, compute_uv=False) ** 2
    share = spectrum / max(float(spectrum.sum()), 1e-12)
    dimensions = float(np.exp(-(share[share > 0] * np.log(share[share > 0])).sum()))
    rows = [
        {"figure": "effective dimensions (exponential of the entropy of the principal components' shares)", "value": dimensions},
        {"figure": "dimensions", "value": int(vectors.shape[1])},
        {"figure": "share of the first principal component", "value": float(share[0])},
    ]  # fmt: skip
    note = (
        "anisotropy: mean cosine of texts of different documents, 0 where directions are used evenly, near 1 in a narrow cone. "
        "order: how often a text is nearer to the other half of its document than to another document of its source, and that "
        "nearer than one of another source."
    )
    return EvaluationResult(metrics, main="order", tables={"shape": rows}, notes=[note], scores=scores)


def _partners(names: NDArray[np.str_], generator: np.random.Generator, *, alike: bool) -> NDArray[np.int64]:
    """For each document another one of its source (`alike`) or of another source, `[n]`."""
    found = np.zeros(len(names), np.int64)
    for index, name in enumerate(names):
        choices = np.flatnonzero((names == name) == alike)
        choices = choices[choices != index]
        # A source of one document has no second one: any other document stands in.
        found[index] = generator.choice(choices if len(choices) else np.delete(np.arange(len(names)), index))
    return found


def _cosines(one: NDArray[np.float32], two: NDArray[np.float32]) -> NDArray[np.float64]:
    norms: Sequence[float] = np.maximum(np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1), 1e-12)
    return np.asarray((one * two).sum(1) / norms, np.float64)
