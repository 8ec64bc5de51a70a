"""How many tokens the sources have: counted where they are tokenized, estimated where they are curated or lie in files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rexplug.components import DocumentSource
from rexplug.errors import RexplugError
from rexplug.planning.history import MeasurementHistory, cost_key
from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory, read_json
from rexplug.tokens import TokenStore

BYTES_PER_TOKEN = 4.4
"""English web text with the ModernBERT tokenizer; used between curation and tokenization."""
_BLOCK = 2**20
_PACKED = {".gz": 3.0, ".zst": 3.5, ".bz2": 4.0, ".xz": 4.0, ".parquet": 2.0}
"""Bytes of text in a byte of a compressed file, roughly."""

Samples = tuple[int, int, float]
"""Samples of an epoch, their tokens, and the length of the sample that the mean token lies in."""


@dataclass(frozen=True)
class SourceSize:
    """What is known of a source: `counted` in the run's folder, `history` from an earlier run, `estimated` from what
    curation counted, or `unknown` and `why`.

    `num_bytes` and `num_documents` are those of the kept documents, `read_bytes` those before filters (in local files if
    it is not curated); None where unknown. `sampled` holds `samples` by `CONTEXT/MIN_TOKENS` where there is no store.
    """

    how: Literal["counted", "history", "estimated", "unknown"]
    why: str = ""
    num_documents: int | None = None
    num_bytes: int | None = None
    read_bytes: int | None = None
    store: TokenStore | None = None
    tokens: int | None = None
    sampled: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def num_tokens(self) -> int | None:
        """Tokens of the kept documents, special tokens left out: counted, or estimated from bytes."""
        if self.store is not None:
            return self.store.num_tokens
        if self.tokens is not None:
            return self.tokens
        return None if self.num_bytes is None else round(self.num_bytes / BYTES_PER_TOKEN)

    def epoch_tokens(self, context: int, min_tokens: int) -> int | None:
        """Tokens of one epoch at a context, [CLS] and [SEP] of every sample counted; None where unknown."""
        found = self.samples(context, min_tokens)
        if found is not None:
            return found[1]
        if self.num_tokens is None or self.num_documents is None or min_tokens > 1:
            return None
        return self.num_tokens + 2 * max(self.num_documents, -(-self.num_tokens // (context - 2)))

    def samples(self, context: int, min_tokens: int) -> Samples | None:
        """Samples of an epoch; None where the lengths of documents are not known.

        Works through the lengths of all documents in blocks, so memory does not grow with their number.
        """
        if self.store is None:
            found = self.sampled.get(f"{context}/{min_tokens}")
            return None if found is None else (int(found[0]), int(found[1]), float(found[2]))
        count = tokens = 0
        squares = 0.0
        lengths, room = self.store.lengths, context - 2
        for first in range(0, len(lengths), _BLOCK):
            block = np.asarray(lengths[first : first + _BLOCK], np.int64)
            block = block[block >= max(1, min_tokens)]
            full, rest = np.divmod(block, room)
            pieces = full + (rest > 0)
            count += int(pieces.sum())
            tokens += int(block.sum()) + 2 * int(pieces.sum())
            squares += float(full.sum()) * context**2 + float(((rest[rest > 0] + 2) ** 2).sum())
        return count, tokens, squares / tokens if tokens else 0.0

    def counts(self, recipe: Recipe) -> dict[str, Any]:
        """What another plan needs to know of a source that is counted here."""
        contexts = {(phase.context, phase.min_tokens) for phase in recipe.phases}
        sampled = {f"{context}/{least}": self.samples(context, least) for context, least in sorted(contexts)}
        return {
            "documents": self.num_documents, "bytes": self.num_bytes, "read_bytes": self.read_bytes,
            "tokens": self.num_tokens, "samples": {key: value for key, value in sampled.items() if value is not None},
        }  # fmt: skip


STATISTICS = "statistics.json"


def source_sizes(recipe: Recipe, run: RunDirectory, history: MeasurementHistory | None = None) -> dict[str, SourceSize]:
    """What the folder of a run tells about each source, if that run used the source as this recipe does; else what an
    earlier run with the same sources counted."""
    stages: Mapping[str, Any] = read_json(run.manifest)["stages"] if run.manifest.exists() else {}
    curated = _inputs(stages, "curate")
    tokenized = _inputs(stages, "tokenize")
    found = {}
    for name, source in recipe.sources.items():
        # What the manifest knows of may have been removed, to make room or to be made again.
        if not curated or not (run.corpus / STATISTICS).exists():
            found[name] = SourceSize("unknown", "until it is curated", read_bytes=_text_bytes(source))
        elif curated["sources"].get(name) != source.dump():
            why = f"{run.root} was curated with other options of this source"
            found[name] = SourceSize("unknown", why, read_bytes=_text_bytes(source))
        else:
            found[name] = _known(recipe, run, name, tokenized)
    if history is not None:
        _add_history(found, recipe, history)
    return found


def _known(recipe: Recipe, run: RunDirectory, name: str, tokenized: Mapping[str, Any]) -> SourceSize:
    statistics = read_json(run.corpus / STATISTICS)["sources"][name]
    documents, size = int(statistics["kept"]["documents"]), int(statistics["kept"]["bytes"])
    read = int(statistics["read"]["bytes"])
    same = tokenized and tokenized["tokenizer"] == recipe.tokenizer.model_dump(mode="json", by_alias=True)
    if not same or not (run.tokens / name / "store.json").exists():
        return SourceSize("estimated", "", documents, size, read)
    return SourceSize("counted", "", documents, size, read, TokenStore.open(run.tokens / name))


def _add_history(found: dict[str, SourceSize], recipe: Recipe, history: MeasurementHistory) -> None:
    """Put what earlier runs counted in place of what this folder cannot tell."""
    curate_key = curate_cost_key(recipe)
    tokenized = history.counts("tokenize", tokenize_cost_key(recipe, curate_key))
    curated = history.counts("curate", curate_key)
    for name, known in found.items():
        counts = tokenized.get(name)
        if known.how in ("unknown", "estimated") and counts:
            found[name] = SourceSize(
                "history", "", counts.get("documents"), counts.get("bytes"), counts.get("read_bytes"),
                tokens=counts.get("tokens"), sampled=counts.get("samples", {}),
            )  # fmt: skip
        elif known.how == "unknown" and (counts := curated.get(name)):
            found[name] = SourceSize(
                "estimated", "", counts.get("documents"), counts.get("bytes"), counts.get("read_bytes")
            )  # fmt: skip


def curate_cost_key(recipe: Recipe) -> str:
    """A hash of what decides the corpus: options, and sizes and times of files."""
    relevance = recipe.relevance.model_dump(mode="json") if recipe.relevance else None
    curation = recipe.curation.model_dump(mode="json", exclude={"executor"})
    sources = {name: [source.dump(), _stamps(source)] for name, source in recipe.sources.items()}
    compared = [each.dump() for each in recipe.evaluators] if recipe.curation.decontaminate != "none" else []
    return cost_key("curate", recipe.seed, sources, curation, relevance, compared)


def tokenize_cost_key(recipe: Recipe, curated: str) -> str:
    """A hash of what decides the token stores, beside the corpus that `curated` is the hash of."""
    tokenizer = recipe.tokenizer.model_dump(mode="json", by_alias=True)
    return cost_key("tokenize", curated, tokenizer, sorted(each.channel for each in recipe.scorers))


def _text_bytes(source: DocumentSource) -> int | None:
    """Bytes of text in a source's local files, roughly; None if it reads none."""
    sizes = {Path(path): stamp[0] for path, stamp in _stamps(source).items()}
    return round(sum(size * _PACKED.get(path.suffix, 1.0) for path, size in sizes.items())) or None


def _stamps(source: DocumentSource) -> dict[str, list[Any]]:
    """Size and time of change of a source's files; nothing for remote ones, since a plan asks no server, or missing ones."""
    if "://" in json.dumps(source.dump(), default=str):
        return {}
    try:
        return source.stamps()
    except (OSError, RexplugError):
        return {}


def _inputs(stages: Mapping[str, Any], stage: str) -> Mapping[str, Any]:
    """What a finished stage was made from; empty if it is not finished."""
    entry = stages.get(stage) or {}
    inputs: Mapping[str, Any] = entry.get("inputs", {}) if entry.get("status") == "done" else {}
    return inputs
