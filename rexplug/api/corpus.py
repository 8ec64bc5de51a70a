"""The corpus of a run and its token stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexplug.api.arguments import path_of, whole_number
from rexplug.api.explained import explained
from rexplug.api.folders import RunLike, StrPath, folder_of
from rexplug.errors import DataError

if TYPE_CHECKING:
    from rexplug.corpus.provenance import DocumentOutcome
    from rexplug.tokens.store import TokenStore

_LONGEST = 2**20
"""Lengths of documents are counted up to here."""


@dataclass(frozen=True)
class CorpusReport:
    """What curation did: `statistics` are the contents of the file at `path`.

    `tokens_per_byte` has the sources that are tokenized; `relevance` is the report on the relevance classifier, if there is
    one.
    """

    path: Path
    statistics: Mapping[str, Any]
    tokens_per_byte: Mapping[str, float]
    relevance: Mapping[str, Any] | None


@explained
def corpus_report(run: RunLike) -> CorpusReport:
    """What each step of curation kept and dropped, and why.

    Raises:
        DataError: the run has not finished curation, or a file is damaged.
    """
    from rexplug.run_directory import RunDirectory, read_json

    where = RunDirectory(folder_of(run))
    path = where.corpus / "statistics.json"
    if not path.exists():
        raise DataError(f"{where.root} holds no finished corpus; rexplug run RECIPE --until curate makes one")
    statistics = read_json(path)
    rates = {}
    for name, source in statistics["sources"].items():
        store, size = where.tokens / name / "store.json", source["kept"]["bytes"]
        if size and store.exists():
            rates[name] = read_json(store)["tokens"] / size
    relevance = where.relevance / "relevance.json"
    return CorpusReport(path, statistics, rates, read_json(relevance) if relevance.exists() else None)


@explained
def document_outcomes(run: RunLike, document: str) -> list[DocumentOutcome]:
    """What became of a document in each source that has it: kept, held out or dropped, by which filter and why.

    Args:
        run: the run.
        document: the document's id.

    Raises:
        DataError: the folder is not a run, has no finished corpus, or no source has such a document.
        RecipeError: the run's recipe cannot be loaded here.
    """
    from rexplug.corpus.provenance import document_outcomes as outcomes_of
    from rexplug.recipe import load_recipe
    from rexplug.run_directory import RunDirectory

    where = RunDirectory(folder_of(run))
    if not where.recipe.exists():
        raise DataError(f"{where.root} is not a run directory: {where.recipe} is missing")
    return outcomes_of(load_recipe(where.recipe), where, document)


@explained
def open_token_stores(run: RunLike, source: str | None = None) -> list[TokenStore]:
    """The token stores of a run, or the one store at a path.

    Args:
        run: a run, or the folder of a single store.
        source: only the store of this source.

    Raises:
        DataError: there are none, none of that source, or one is damaged.
    """
    from rexplug.tokens.store import TokenStore

    folder = folder_of(run)
    if (folder / "store.json").exists():
        return [TokenStore.open(folder)]
    stores = sorted(path.parent for path in folder.glob("tokens/*/store.json"))
    if not stores:
        raise DataError(
            f"{folder} is neither a token store (store.json) nor a run that has some (tokens/SOURCE/store.json)"
        )
    chosen = [path for path in stores if source in (None, path.name)]
    if not chosen:
        raise DataError(
            f"--source {source}: there is no such store; there are {', '.join(path.name for path in stores)}"
        )
    return [TokenStore.open(path) for path in chosen]


def length_quantiles(store: TokenStore, quantiles: Sequence[float]) -> list[int]:
    """Quantiles (0 to 1, ascending, the last one 1) of the lengths of a store's documents, in tokens.

    Lengths are counted block by block, so that memory does not grow with the store; but for the longest they are cut at 2^20.
    """
    import numpy as np

    counts = np.zeros(_LONGEST + 1, np.int64)
    longest, lengths = 0, store.lengths
    for first in range(0, len(lengths), _LONGEST):
        block = np.asarray(lengths[first : first + _LONGEST])
        longest = max(longest, int(block.max()))
        counted = np.bincount(np.minimum(block, _LONGEST))
        counts[: len(counted)] += counted
    ends = np.cumsum(counts)
    places = [min(store.num_documents - 1, int(quantile * store.num_documents)) for quantile in quantiles[:-1]]
    return [*np.searchsorted(ends, places, side="right").tolist(), longest]


def stored_tokenizer(store: TokenStore) -> Path | None:
    """The tokenizer of the run that a store belongs to, if it is there."""
    folder = store.folder.resolve().parent.parent / "tokenizer"
    return folder if (folder / "tokenizer.json").exists() else None


@explained
def decode(tokenizer: StrPath, token_ids: Sequence[int]) -> str:
    """The text of some token ids, special tokens included.

    Raises:
        DataError: the tokenizer in that folder cannot be read.
    """
    from rexplug.io.tokenizer_files import open_tokenizer

    ids = [whole_number("a token id", number, at_least=0) for number in token_ids]
    text: str = open_tokenizer(path_of("tokenizer", tokenizer)).decode(ids, skip_special_tokens=False)
    return text
