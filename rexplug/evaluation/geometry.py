"""The geometry of embeddings before any fine-tune: how narrow their cone is, and whether nearer means more similar."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from rexplug.components import EvaluationContext, EvaluationResult, Scores
from rexplug.errors import DataError
from rexplug.evaluation.document_evaluator import DocumentEvaluator
from rexplug.text.words import has_unspaced, word_spans

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MIN_WORDS = 8


class EmbeddingGeometry(DocumentEvaluator):
    """Geometry of embeddings before any fine-tune: anisotropy, effective dimensions, and whether nearer means more similar."""

    name: ClassVar[str] = "embedding_geometry"

    words: int = Field(default=128, ge=_MIN_WORDS)
    """Words of a document, from its start; its halves are embedded apart. White space separates words, in scripts without spaces
    ICU's dictionaries do."""

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Measure `order` and `anisotropy`, raw and centred, with bootstrap intervals over documents.

        Raises:
            DataError: fewer than four documents have two halves.
        """
        import numpy as np

        from rexplug.evaluation.cosine import paired_cosines
        from rexplug.evaluation.statistics import bootstrap_metric

        documents_of = self.select_documents(context)
        halves: list[tuple[str, str, str, str]] = []
        for source, documents in documents_of.items():
            for document in documents:
                both = _halves(document.text, self.words)
                if both is not None:
                    halves.append((source, document.id, *both))
        if len(halves) < 4:
            raise DataError(f"{self.label}: fewer than four documents have eight words")
        vectors = context.encoder.encode([half for _, _, *both in halves for half in both])
        first, second = vectors[0::2], vectors[1::2]
        source_of = np.array([source for source, *_ in halves])
        ids = [f"{source}/{document_id}" for source, document_id, *_ in halves]
        generator = np.random.default_rng(context.seed)
        # The partners of a document are drawn once and are the same for every model.
        partner = _partners(source_of, generator, same_source=True)
        stranger = _partners(source_of, generator, same_source=False) if len(documents_of) > 1 else None
        center = vectors.mean(0)
        scores: dict[str, Scores] = {}
        for prefix, one, two in (("", first, second), ("centred.", first - center, second - center)):
            own = paired_cosines(one, two).astype(np.float64)
            near = paired_cosines(one, two[partner]).astype(np.float64)
            in_order = [own > near]
            if stranger is not None:
                far = paired_cosines(one, two[stranger]).astype(np.float64)
                in_order += [own > far, near > far]
            scores[f"{prefix}order"] = Scores(ids, [np.mean(in_order, 0).tolist()])
            if not prefix:
                unlike = near if stranger is None else (near + far) / 2
                scores["anisotropy"] = Scores(ids, [np.round(unlike, 6).astype(float).tolist()])
        metrics = {name: bootstrap_metric(score, context.seed) for name, score in scores.items()}
        spectrum = np.linalg.svd(vectors - center, compute_uv=False) ** 2
        share = spectrum / max(float(spectrum.sum()), 1e-12)
        dimensions = float(np.exp(-(share[share > 0] * np.log(share[share > 0])).sum()))
        rows = [
            {
                "figure": "effective dimensions (exponential of the entropy of the principal components' shares)",
                "value": dimensions,
            },
            {"figure": "dimensions", "value": int(vectors.shape[1])},
            {"figure": "share of the first principal component", "value": float(share[0])},
        ]
        note = (
            "anisotropy: mean cosine of texts of different documents, 0 where directions are used evenly, near 1 in a narrow "
            "cone. order: how often a text is nearer to the other half of its document than to another document of its "
            "source, and that nearer than one of another source."
        )
        return EvaluationResult(metrics, main="order", tables={"shape": rows}, notes=[note], scores=scores)


def _halves(text: str, most: int) -> tuple[str, str] | None:
    """The first and the second half of the first `most` words; None if there are too few."""
    if has_unspaced(text):
        spans = word_spans(text)[:most]
        middle, end = len(spans) // 2, spans[-1][1]
        return (text[: spans[middle][0]], text[spans[middle][0] : end]) if len(spans) >= _MIN_WORDS else None
    words = text.split()[:most]
    middle = len(words) // 2
    return (" ".join(words[:middle]), " ".join(words[middle:])) if len(words) >= _MIN_WORDS else None


def _partners(source_of: NDArray[np.str_], generator: np.random.Generator, *, same_source: bool) -> NDArray[np.int64]:
    """For each document the index of another one, of its own source or of another, `[n]`."""
    import numpy as np

    partners = np.zeros(len(source_of), np.int64)
    for index, source in enumerate(source_of):
        choices = np.flatnonzero((source_of == source) == same_source)
        choices = choices[choices != index]
        # Where a source has one document, any other document is its partner.
        everything_else = np.delete(np.arange(len(source_of)), index)
        partners[index] = generator.choice(choices if len(choices) else everything_else)
    return partners
