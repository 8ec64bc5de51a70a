"""`rexplug verify`: compare the files of a run with their checksums."""

from __future__ import annotations

from pathlib import Path

import click

from rexplug.cli.terminal import echo


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def verify(run: Path) -> None:
    """Compare every file of the run in directory RUN with the checksum that was recorded when it was written.

    Corpus, tokenizer, token stores, checkpoints and exported models are read. If a file differs, the exit code is 2, and the
    message says how to make it again.
    """
    from rexplug import api
    from rexplug.errors import DataError

    damaged: list[str] = []
    unrecorded = 0
    for part in api.verify(run):
        place = part.folder.relative_to(run)
        if part.problems:
            verdict = f"{len(part.problems)} differ"
            damaged += [f"{problem}; {part.repair}" for problem in part.problems]
        elif not part.files:
            verdict, unrecorded = "no checksums were recorded", unrecorded + 1
        else:
            verdict = "as written"
        echo(f"  {place!s:<40} {part.files:>5} files  {part.size / 2**20:>10,.1f} MiB  {verdict}")
    if damaged:
        raise DataError("\n".join(damaged))
    if unrecorded:
        echo("parts without checksums were written by an earlier version of rexplug, or are not finished")
