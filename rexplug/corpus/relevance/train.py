"""Trains the relevance classifier on labels, chooses its threshold, and measures how good it is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.components import Candidate, DocumentSource, LabellingContext
from rexplug.corpus.relevance.fasttext import normalised, probability, train
from rexplug.corpus.relevance.metrics import choose_threshold, classification_metrics, cohens_kappa, curve
from rexplug.corpus.relevance.sample import draw_candidates, hash_fraction
from rexplug.errors import DataError
from rexplug.io.atomic import write_json
from rexplug.plugins.calls import label_candidates
from rexplug.progress import Progress
from rexplug.recipe.schema import Audit, Relevance
from rexplug.text.fold import fold

_FEWEST = 10
_EXAMPLES = 10
_EXCERPT = 300
_ROWS = 200
"""Thresholds of the curve in the report, about."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A candidate with its label, and its text as a line for fastText."""

    candidate: Candidate
    relevant: bool
    line: str


def train_relevance(
    sources: Mapping[str, DocumentSource],
    options: Relevance,
    *,
    seed: int,
    folder: Path,
    answers: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Train the classifier of a recipe's `relevance` block; writes `folder/relevance.json` and returns what it holds.

    Args:
        sources: the recipe's sources.
        options: the block.
        seed: decides sample, splits, audit and training.
        folder: where the model and the report go.
        answers: where labellers keep answers that must not be paid for twice; outlives `folder`.
        progress: receives what the training reports.

    Raises:
        DataError: too few documents could be labelled, the judges disagree too much, or the threshold's target is not reached.
    """
    began = time.monotonic()
    candidates = draw_candidates(sources, options, seed, progress)
    context = LabellingContext(answers, seed, progress)
    labels = label_candidates(options.labels, candidates, context)
    labels, audit = _audited(candidates, labels, options.audit, context) if options.audit else (labels, None)
    labelled = _labelled(candidates, labels, options.labels.name)
    parts = _split(labelled, options, seed)
    progress.start("train the relevance classifier")
    model = train(
        [(example.line, example.relevant) for example in parts["train"]], options.classifier, seed=seed, folder=folder
    )
    truth = {part: np.array([example.relevant for example in parts[part]], np.bool_) for part in ("dev", "test")}
    scores = {part: np.array([probability(model, example.line) for example in parts[part]]) for part in ("dev", "test")}
    found = curve(truth["dev"], scores["dev"])
    threshold = choose_threshold(found, options.threshold)
    report = {
        "model": model.name,
        "threshold": threshold,
        "target": options.threshold.model_dump(exclude_none=True) or {"f1": "best"},
        "characters": options.characters,
        "labeller": options.labels.dump(),
        "candidates": len(candidates),
        "labels": {
            "relevant": sum(example.relevant for example in labelled),
            "other": sum(not example.relevant for example in labelled),
            "none": sum(label is None for label in labels),
        },
        "audit": audit,
        "train": len(parts["train"]),
        "dev": classification_metrics(truth["dev"], scores["dev"] >= threshold, seed),
        "test": classification_metrics(truth["test"], scores["test"] >= threshold, seed),
        "test_by_source": _by_source(parts["test"], truth["test"], scores["test"] >= threshold, seed),
        "curve": found.rows(_ROWS),
        "mistakes": _mistakes(parts["test"], scores["test"], threshold),
        "note": "Measured against the labels above: as right as they are. Threshold from dev, these metrics from test.",
        "seconds": round(time.monotonic() - began, 2),
    }
    write_json(folder / "relevance.json", report)
    return report


def _labelled(candidates: Sequence[Candidate], labels: Sequence[bool | None], labeller: str) -> list[Labelled]:
    """The labelled documents, one per distinct line, accents aside; those with contradicting labels are left out."""
    by_line: dict[str, Labelled | None] = {}
    for candidate, label in zip(candidates, labels, strict=True):
        line = normalised(candidate.document.text)
        if label is None or not line:
            continue
        before = by_line.setdefault(folded := fold(line), Labelled(candidate, label, line))
        if before is not None and before.relevant != label:
            by_line[folded] = None
    labelled = [example for example in by_line.values() if example is not None]
    counts = (sum(example.relevant for example in labelled), sum(not example.relevant for example in labelled))
    if min(counts) < _FEWEST:
        raise DataError(
            f"relevance: {counts[0]} documents were labelled relevant and {counts[1]} not relevant, but at least {_FEWEST} of "
            f"each are needed ({labeller} had {len(labels):,} candidates and left {sum(label is None for label in labels):,} "
            "undecided); sample more documents (relevance.documents, relevance.pool) or label otherwise"
        )
    return labelled


def _split(labelled: Sequence[Labelled], options: Relevance, seed: int) -> dict[str, list[Labelled]]:
    parts: dict[str, list[Labelled]] = {"train": [], "dev": [], "test": []}
    for example in labelled:
        at = hash_fraction(example.line, seed, "split")
        part = "test" if at < options.test else "dev" if at < options.test + options.dev else "train"
        parts[part].append(example)
    for part, examples in parts.items():
        if len({example.relevant for example in examples}) < 2:
            raise DataError(
                f"relevance: the {part} split has documents of one label only ({len(examples)} in all); label more documents"
            )
    return parts


def _audited(
    candidates: Sequence[Candidate], labels: list[bool | None], audit: Audit, context: LabellingContext
) -> tuple[list[bool | None], dict[str, Any]]:
    """The labels after the second labeller has judged its share, and the report of their agreement."""
    chosen = [
        index
        for index, (candidate, label) in enumerate(zip(candidates, labels, strict=True))
        if label is not None and hash_fraction(candidate.document.text, context.seed, "audit") < audit.share
    ]
    second = label_candidates(audit.labels, [candidates[index] for index in chosen], context)
    both = [(index, other) for index, other in zip(chosen, second, strict=True) if other is not None]
    if not both:
        raise DataError(
            f"relevance: the second judge ({audit.labels.name}) labelled none of the {len(chosen)} documents it was shown; "
            "raise relevance.audit.share"
        )
    first = np.array([bool(labels[index]) for index, _ in both])
    agreement = cohens_kappa(first, np.array([other for _, other in both]), context.seed)
    differing = [(index, other) for index, other in both if labels[index] != other]
    report = {
        "judge": audit.labels.dump(), "shown": len(chosen), **agreement, "disagreement": audit.disagreement,
        "examples": [
            {**_excerpt(candidates[index]), "first": bool(labels[index]), "second": other}
            for index, other in differing[:_EXAMPLES]
        ],
    }  # fmt: skip
    value = agreement["kappa"]["value"]
    if audit.min_kappa is not None and (value is None or value < audit.min_kappa):
        kappa = "not defined (one label only)" if value is None else f"{value:.2f}"
        raise DataError(
            f"relevance: the two judges agree with a kappa of {kappa} on {agreement['documents']} documents, less than "
            f"relevance.audit.min_kappa ({audit.min_kappa:g}); correct the instruction or the labels"
        )
    corrected = list(labels)
    for index, other in differing:
        if audit.disagreement != "keep":
            corrected[index] = other if audit.disagreement == "overrule" else None
    return corrected, report


def _by_source(
    part: Sequence[Labelled], truth: NDArray[np.bool_], predicted: NDArray[np.bool_], seed: int
) -> dict[str, Any]:
    names = np.array([example.candidate.source for example in part])
    return {
        str(name): classification_metrics(truth[names == name], predicted[names == name], seed)
        for name in sorted(set(names.tolist()))
    }


def _mistakes(part: Sequence[Labelled], scores: NDArray[np.float64], threshold: float) -> list[dict[str, Any]]:
    """The test documents on which the classifier was wrong, the surest first."""
    wrong = [
        (abs(score - threshold), index)
        for index, (example, score) in enumerate(zip(part, scores, strict=True))
        if (score >= threshold) != example.relevant
    ]
    return [
        {**_excerpt(part[index].candidate), "label": part[index].relevant, "score": round(float(scores[index]), 4)}
        for _, index in sorted(wrong, key=lambda pair: (-pair[0], pair[1]))[:_EXAMPLES]
    ]


def _excerpt(candidate: Candidate) -> dict[str, str]:
    return {
        "source": candidate.source,
        "id": candidate.document.id,
        "text": candidate.document.text[:_EXCERPT],
    }
