"""`rexplug tokens`: what is in the token stores of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rexplug.cli.terminal import echo, one_line

if TYPE_CHECKING:
    from rexplug.tokens import TokenStore

_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_LONGEST = 2**20


@click.group()
def tokens() -> None:
    """Look into the token stores of a run."""


@tokens.command()
@click.argument("folder", metavar="RUN_OR_STORE", type=click.Path(path_type=Path))
@click.option("--source", metavar="NAME", help="Only the store of this source.")
@click.option("--verify", is_flag=True, help="Read every file and compare it with its checksum.")
@click.option(
    "--document", "documents", metavar="ID", multiple=True, help="Show this document's tokens; may be repeated."
)
@click.option("--tokenizer", type=click.Path(path_type=Path), help="Its folder; that of the run if left out.")
def show(folder: Path, source: str | None, verify: bool, documents: tuple[str, ...], tokenizer: Path | None) -> None:
    """Counts, channels, lengths and a few documents of the stores of a run, or of one store.

    Sizes and ends of all files are checked as the store is opened; --verify reads their contents too and ends with exit
    code 2 where one was altered.
    """
    from rexplug.errors import DataError
    from rexplug.tokens import TokenStore

    stores = [TokenStore.open(path) for path in _folders(folder, source)]
    tokenizer = tokenizer or next((path for store in stores for path in _beside(store.folder)), None)
    damaged: list[str] = []
    missing = set(documents)
    for store in stores:
        echo("\n".join(_lines(store)))
        if verify:
            found = list(store.verify())
            damaged += found
            files = sum(len(shard["files"]) for shard in store.description["shards"])
            echo(
                f"  checksums  {f'{len(found)} of {files} files differ' if found else f'all {files} files as written'}"
            )
        numbers = [(name, number) for name in documents for number in store.find(name)]
        missing -= {name for name, _ in numbers}
        if not documents and store.num_documents:
            firsts = list(range(min(3, store.num_documents)))
            numbers = list(zip(store.ids(firsts), firsts, strict=True))
        for name, number in numbers:
            echo(f"\n  {one_line(name)}\n    {_text(store, number, tokenizer, whole=bool(documents))}")
        echo()
    if damaged:
        raise DataError("\n".join(damaged))
    if missing:
        raise DataError(
            f"no document of {', '.join(store.folder.name for store in stores)} has the id '{min(missing)}'"
        )


def _folders(folder: Path, source: str | None) -> list[Path]:
    from rexplug.errors import DataError

    if (folder / "store.json").exists():
        return [folder]
    found = sorted(path.parent for path in folder.glob("tokens/*/store.json"))
    if not found:
        raise DataError(
            f"{folder} is neither a token store (store.json) nor a run that has some (tokens/SOURCE/store.json)"
        )
    chosen = [path for path in found if source in (None, path.name)]
    if not chosen:
        raise DataError(
            f"--source {source}: there is no such store; there are {', '.join(path.name for path in found)}"
        )
    return chosen


def _beside(store: Path) -> Iterator[Path]:
    folder = store.resolve().parent.parent / "tokenizer"
    if (folder / "tokenizer.json").exists():
        yield folder


def _lines(store: TokenStore) -> Iterator[str]:
    about = store.description
    kind = "uint16" if about["vocabulary_size"] <= 2**16 else "uint32"
    size = sum(file["bytes"] for shard in about["shards"] for file in shard["files"].values())
    yield f"{store.folder}"
    yield f"  documents  {store.num_documents:,} in {len(about['shards'])} shards, {size / 2**20:,.1f} MiB"
    yield f"  tokens     {store.num_tokens:,} ({kind}, vocabulary {about['vocabulary_size']:,}, tokenizer {about['tokenizer']})"
    yield f"  channels   {', '.join(store.channels) or 'none'}"
    if store.num_documents:
        values = "  ".join(f"{_name(at)} {value:,}" for at, value in zip(_QUANTILES, _quantiles(store), strict=True))
        yield f"  lengths    mean {store.num_tokens / store.num_documents:,.1f}  {values}"


def _name(quantile: float) -> str:
    return {0.0: "shortest", 0.5: "median", 1.0: "longest"}.get(quantile, f"{quantile:.0%}")


def _quantiles(store: TokenStore) -> list[int]:
    """Counted block by block, so that memory does not grow with the store; lengths are cut at a million."""
    import numpy as np

    counts = np.zeros(_LONGEST + 1, np.int64)
    longest, lengths = 0, store.lengths
    for first in range(0, len(lengths), _LONGEST):
        part = np.asarray(lengths[first : first + _LONGEST])
        longest = max(longest, int(part.max()))
        found = np.bincount(np.minimum(part, _LONGEST))
        counts[: len(found)] += found
    ends = np.cumsum(counts)
    places = [min(store.num_documents - 1, int(at * store.num_documents)) for at in _QUANTILES[:-1]]
    return [*np.searchsorted(ends, places, side="right").tolist(), longest]


def _text(store: TokenStore, document: int, tokenizer: Path | None, *, whole: bool) -> str:
    ids = store.document(document, 0, None if whole else 60).tolist()
    more = "" if whole or len(ids) == int(store.lengths[document]) else " ..."
    if tokenizer is None:
        return " ".join(map(str, ids)) + more
    from rexplug.io.tokenizer_files import open_tokenizer

    decoded = open_tokenizer(tokenizer).decode(ids, skip_special_tokens=False)
    return " ".join(decoded.split()) + more
