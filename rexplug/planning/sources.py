"""How many tokens the sources have: counted where they are tokenized, estimated where they are curated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory, read_json
from rexplug.tokens import TokenStore

BYTES_PER_TOKEN = 4.4
"""English web text with the ModernBERT tokenizer; used between curation and tokenization."""
_BLOCK = 2**20


@dataclass(frozen=True)
class Known:
    """What is known of a source: `counted`, `estimated` or `unknown`, and `why` if unknown.

    `num_bytes` and `num_documents` are those of the kept documents, None where unknown.
    """

    how: Literal["counted", "estimated", "unknown"]
    why: str = ""
    num_documents: int | None = None
    num_bytes: int | None = None
    store: TokenStore | None = None

    def epoch_tokens(self, context: int, min_tokens: int) -> int | None:
        """Tokens of one epoch at a context, [CLS] and [SEP] of every sample counted; None where unknown."""
        if self.store is not None:
            return self.samples(context, min_tokens)[1]
        if self.num_bytes is None or self.num_documents is None or min_tokens > 1:
            return None
        tokens = round(self.num_bytes / BYTES_PER_TOKEN)
        return tokens + 2 * max(self.num_documents, -(-tokens // (context - 2)))

    def samples(self, context: int, min_tokens: int) -> tuple[int, int, float]:
        """Samples of an epoch, their tokens, and the length of the sample that the mean token lies in.

        Works through the lengths of all documents in blocks, so memory does not grow with their number.
        """
        assert self.store is not None
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


def known_sources(recipe: Recipe, run: RunDirectory) -> dict[str, Known]:
    """What the folder of a run tells about each source, if that run used the source as this recipe does."""
    stages: Mapping[str, Any] = read_json(run.manifest)["stages"] if run.manifest.exists() else {}
    curated = _inputs(stages, "curate")
    tokenized = _inputs(stages, "tokenize")
    found = {}
    for name, source in recipe.sources.items():
        if not curated:
            found[name] = Known("unknown", "until it is curated")
        elif curated["sources"].get(name) != source.dump():
            found[name] = Known("unknown", f"{run.root} was curated with other options of this source")
        else:
            found[name] = _known(recipe, run, name, tokenized)
    return found


def _known(recipe: Recipe, run: RunDirectory, name: str, tokenized: Mapping[str, Any]) -> Known:
    statistics = read_json(run.corpus / "statistics.json")["sources"][name]["kept"]
    documents, size = int(statistics["documents"]), int(statistics["bytes"])
    same = tokenized and tokenized["tokenizer"] == recipe.tokenizer.model_dump(mode="json", by_alias=True)
    if not same or not (run.tokens / name / "store.json").exists():
        return Known("estimated", "", documents, size)
    return Known("counted", "", documents, size, TokenStore.open(run.tokens / name))


def _inputs(stages: Mapping[str, Any], stage: str) -> Mapping[str, Any]:
    """What a finished stage was made from; empty if it is not finished."""
    entry = stages.get(stage) or {}
    inputs: Mapping[str, Any] = entry.get("inputs", {}) if entry.get("status") == "done" else {}
    return inputs
