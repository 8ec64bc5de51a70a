"""`rexplug verify`: whether a run's files are what was written."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def verify(run: Path) -> None:
    """Read every file of the folder RUN and compare it with the checksum that was recorded when it was written.

    Corpus, tokenizer, token stores, checkpoints and exported models are compared. Ends with exit code 2 where one differs, and
    says what makes it again.
    """
    from rexplug.errors import DataError
    from rexplug.pipeline.verify import verify_run

    damaged: list[str] = []
    without = 0
    for part in verify_run(run):
        place = part.folder.relative_to(run)
        if part.problems:
            said = f"{len(part.problems)} differ"
            damaged += [f"{problem}; {part.repair}" for problem in part.problems]
        elif not part.files:
            said, without = "no checksums were recorded", without + 1
        else:
            said = "as written"
        click.echo(f"  {place!s:<40} {part.files:>5} files  {part.size / 2**20:>10,.1f} MiB  {said}")
    if damaged:
        raise DataError("\n".join(damaged))
    if without:
        click.echo("parts without checksums were written by an earlier version of rexplug, or are not finished")
