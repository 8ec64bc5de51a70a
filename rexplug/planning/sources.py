"""Finds how many tokens the sources have: counted once they are tokenized, estimated once they are curated."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from rexplug.components import DocumentSource
from rexplug.errors import RexplugError
from rexplug.planning.history import MeasurementHistory, cost_key
from rexplug.plugins.calls import file_versions
from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory, read_json
from rexplug.tokens.store import TokenStore

BYTES_PER_TOKEN = 4.4
"""English web text with the ModernBERT tokenizer; used between curation and tokenization."""
_BLOCK = 2**20
_COMPRESSION_RATIO = {".gz": 3.0, ".zst": 3.5, ".bz2": 4.0, ".xz": 4.0, ".parquet": 2.0}
"""Bytes of text per byte of a compressed file, roughly."""


class Epoch(NamedTuple):
    """An epoch of a source at a context: samples, their tokens with [CLS] and [SEP], and the mean length of a token's sample."""

    samples: int
    tokens: int
    attended: float


@dataclass(frozen=True)
class SourceSize:
    """The size of a source, and how it is known.

    `counted` in the run directory, taken from the `history` of earlier runs, `estimated` from what curation counted, or
    `unknown`, and `why`. `num_bytes` and `num_documents` are those of the kept documents, `read_bytes` those before filters (in
    local files if it is not curated); None where unknown. `epochs` holds epochs by `CONTEXT/MIN_TOKENS` if there is no token
    store.
    """

    how: Literal["counted", "history", "estimated", "unknown"]
    why: str = ""
    num_documents: int | None = None
    num_bytes: int | None = None
    read_bytes: int | None = None
    store: TokenStore | None = None
    tokens: int | None = None
    epochs: Mapping[str, Sequence[float]] = field(default_factory=dict)

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
        epoch = self.epoch(context, min_tokens)
        if epoch is not None:
            return epoch.tokens
        if self.num_tokens is None or self.num_documents is None or min_tokens > 1:
            return None
        return self.num_tokens + 2 * max(self.num_documents, -(-self.num_tokens // (context - 2)))

    def epoch(self, context: int, min_tokens: int) -> Epoch | None:
        """An epoch at a context; None where the lengths of documents are not known.

        Reads the lengths of all documents in blocks, so that memory does not grow with their number.
        """
        if self.store is None:
            known = self.epochs.get(f"{context}/{min_tokens}")
            return None if known is None else Epoch(int(known[0]), int(known[1]), float(known[2]))
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
        return Epoch(count, tokens, squares / tokens if tokens else 0.0)

    def counts(self, recipe: Recipe) -> dict[str, Any]:
        """What the history keeps of a source, for later plans."""
        contexts = {(phase.context, phase.min_tokens) for phase in recipe.phases}
        epochs = {f"{context}/{least}": self.epoch(context, least) for context, least in sorted(contexts)}
        return {
            "documents": self.num_documents, "bytes": self.num_bytes, "read_bytes": self.read_bytes,
            "tokens": self.num_tokens, "samples": {key: epoch for key, epoch in epochs.items() if epoch is not None},
        }  # fmt: skip


STATISTICS = "statistics.json"


def source_sizes(recipe: Recipe, run: RunDirectory, history: MeasurementHistory | None = None) -> dict[str, SourceSize]:
    """The size of every source: as the run directory says, if the run used the source as this recipe does, else as the history
    of earlier runs with the same sources says."""
    stages: Mapping[str, Any] = read_json(run.manifest)["stages"] if run.manifest.exists() else {}
    curated = _inputs(stages, "curate")
    tokenized = _inputs(stages, "tokenize")
    sizes = {}
    for name, source in recipe.sources.items():
        # What the manifest lists may have been removed, to free disk space or to be redone.
        if not curated or not (run.corpus / STATISTICS).exists():
            sizes[name] = SourceSize("unknown", "until it is curated", read_bytes=_text_bytes(source))
        elif curated["sources"].get(name) != source.dump():
            why = f"{run.root} was curated with other options of this source"
            sizes[name] = SourceSize("unknown", why, read_bytes=_text_bytes(source))
        else:
            sizes[name] = _size_in_run(recipe, run, name, tokenized)
    if history is not None:
        _add_history(sizes, recipe, history)
    return sizes


def _size_in_run(recipe: Recipe, run: RunDirectory, name: str, tokenized: Mapping[str, Any]) -> SourceSize:
    """The size of a source that the run has curated."""
    statistics = read_json(run.corpus / STATISTICS)["sources"][name]
    documents, num_bytes = int(statistics["kept"]["documents"]), int(statistics["kept"]["bytes"])
    read_bytes = int(statistics["read"]["bytes"])
    same_tokenizer = tokenized and tokenized["tokenizer"] == recipe.tokenizer.model_dump(mode="json", by_alias=True)
    if not same_tokenizer or not (run.tokens / name / "store.json").exists():
        return SourceSize("estimated", "", documents, num_bytes, read_bytes)
    return SourceSize("counted", "", documents, num_bytes, read_bytes, TokenStore.open(run.tokens / name))


def _add_history(sizes: dict[str, SourceSize], recipe: Recipe, history: MeasurementHistory) -> None:
    """Fill in what earlier runs counted where the run directory does not know it."""
    curate_key = curate_cost_key(recipe)
    tokenized = history.counts("tokenize", tokenize_cost_key(recipe, curate_key))
    curated = history.counts("curate", curate_key)
    for name, size in sizes.items():
        counts = tokenized.get(name)
        if size.how in ("unknown", "estimated") and counts:
            sizes[name] = SourceSize(
                "history", "", counts.get("documents"), counts.get("bytes"), counts.get("read_bytes"),
                tokens=counts.get("tokens"), epochs=counts.get("samples", {}),
            )  # fmt: skip
        elif size.how == "unknown" and (counts := curated.get(name)):
            sizes[name] = SourceSize(
                "estimated", "", counts.get("documents"), counts.get("bytes"), counts.get("read_bytes")
            )  # fmt: skip


def curate_cost_key(recipe: Recipe) -> str:
    """The cost key of curation: options, and sizes and modification times of files."""
    relevance = recipe.relevance.model_dump(mode="json") if recipe.relevance else None
    curation = recipe.curation.fingerprint_options()
    sources = {name: [source.dump(), _stamps(source)] for name, source in recipe.sources.items()}
    test_sets = [evaluator.dump() for evaluator in recipe.evaluators] if recipe.curation.decontaminate != "none" else []
    return cost_key("curate", recipe.seed, sources, curation, relevance, test_sets)


def tokenize_cost_key(recipe: Recipe, curated: str) -> str:
    """The cost key of tokenization; `curated` is the key of the corpus."""
    tokenizer = recipe.tokenizer.model_dump(mode="json", by_alias=True)
    return cost_key("tokenize", curated, tokenizer, sorted(scorer.channel for scorer in recipe.scorers))


def _text_bytes(source: DocumentSource) -> int | None:
    """Bytes of text in a source's local files, roughly; None if it reads none."""
    sizes = {Path(path): stamp[0] for path, stamp in _stamps(source).items()}
    return round(sum(size * _COMPRESSION_RATIO.get(path.suffix, 1.0) for path, size in sizes.items())) or None


def _stamps(source: DocumentSource) -> dict[str, list[Any]]:
    """Size and modification time of a source's files; empty for remote ones, since a plan contacts no server, and missing ones."""
    if "://" in json.dumps(source.dump(), default=str):
        return {}
    try:
        return file_versions(source)
    except (OSError, RexplugError):
        return {}


def _inputs(stages: Mapping[str, Any], stage: str) -> Mapping[str, Any]:
    """The inputs of a finished stage; empty if it is not finished."""
    entry = stages.get(stage) or {}
    inputs: Mapping[str, Any] = entry.get("inputs", {}) if entry.get("status") == "done" else {}
    return inputs
