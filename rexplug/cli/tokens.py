"""`rexplug tokens`: print what is in the token stores of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rexplug.cli.terminal import echo, one_line

if TYPE_CHECKING:
    from rexplug.api import TokenStore

_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_FIRST_DOCUMENTS = 3
_FIRST_TOKENS = 60
"""Documents of a store, and tokens of each, that are shown unless documents are asked for."""


@click.group()
def tokens() -> None:
    """Show what is in the token stores of a run."""


@tokens.command()
@click.argument("folder", metavar="RUN_OR_STORE", type=click.Path(path_type=Path))
@click.option("--source", metavar="NAME", help="Only the store of this source.")
@click.option("--verify", is_flag=True, help="Read every file and compare it with its checksum.")
@click.option(
    "--document", "documents", metavar="ID", multiple=True, help="Show all tokens of this document; may be repeated."
)
@click.option(
    "--tokenizer", type=click.Path(path_type=Path), help="The tokenizer's folder; that of the run by default."
)
def show(folder: Path, source: str | None, verify: bool, documents: tuple[str, ...], tokenizer: Path | None) -> None:
    """Print counts, channels, lengths and a few documents of the stores of a run, or of one store.

    Sizes and ends of all files are checked when a store is opened. --verify also reads their contents; if a file was
    altered, the exit code is 2.
    """
    from rexplug import api
    from rexplug.errors import DataError

    stores = api.open_token_stores(folder, source)
    tokenizer = tokenizer or next(filter(None, map(api.stored_tokenizer, stores)), None)
    damaged: list[str] = []
    missing = set(documents)
    for store in stores:
        echo("\n".join(_lines(store)))
        if verify:
            problems = list(store.verify())
            damaged += problems
            num_files = sum(len(shard["files"]) for shard in store.description["shards"])
            verdict = (
                f"{len(problems)} of {num_files} files differ" if problems else f"all {num_files} files as written"
            )
            echo(f"  checksums  {verdict}")
        numbers = [(name, number) for name in documents for number in store.find(name)]
        missing -= {name for name, _ in numbers}
        if not documents and store.num_documents:
            firsts = list(range(min(_FIRST_DOCUMENTS, store.num_documents)))
            numbers = list(zip(store.ids(firsts), firsts, strict=True))
        for name, number in numbers:
            text = _text(store, number, tokenizer, limit=None if documents else _FIRST_TOKENS)
            echo(f"\n  {one_line(name)}\n    {text}")
        echo()
    if damaged:
        raise DataError("\n".join(damaged))
    if missing:
        raise DataError(
            f"no document of {', '.join(store.folder.name for store in stores)} has the id '{min(missing)}'"
        )


def _lines(store: TokenStore) -> Iterator[str]:
    from rexplug import api

    about = store.description
    kind = "uint16" if about["vocabulary_size"] <= 2**16 else "uint32"
    size = sum(file["bytes"] for shard in about["shards"] for file in shard["files"].values())
    yield f"{store.folder}"
    yield f"  documents  {store.num_documents:,} in {len(about['shards'])} shards, {size / 2**20:,.1f} MiB"
    yield f"  tokens     {store.num_tokens:,} ({kind}, vocabulary {about['vocabulary_size']:,}, tokenizer {about['tokenizer']})"
    yield f"  channels   {', '.join(store.channels) or 'none'}"
    if store.num_documents:
        values = "  ".join(
            f"{_name(at)} {value:,}"
            for at, value in zip(_QUANTILES, api.length_quantiles(store, _QUANTILES), strict=True)
        )
        yield f"  lengths    mean {store.num_tokens / store.num_documents:,.1f}  {values}"


def _name(quantile: float) -> str:
    return {0.0: "shortest", 0.5: "median", 1.0: "longest"}.get(quantile, f"{quantile:.0%}")


def _text(store: TokenStore, document: int, tokenizer: Path | None, *, limit: int | None) -> str:
    """The first `limit` tokens of a document as text, or as numbers without a tokenizer."""
    from rexplug import api

    ids = store.document(document, 0, limit).tolist()
    more = "" if len(ids) == int(store.lengths[document]) else " ..."
    if tokenizer is None:
        return " ".join(map(str, ids)) + more
    text = api.decode(tokenizer, ids)
    if more:
        text = text.rstrip("\ufffd")  # the last character may consist of further tokens
    return " ".join(text.split()) + more
