"""`rexplug report`: write the report and the model card of a run again."""

from __future__ import annotations

from pathlib import Path

import click

from rexplug.cli.terminal import echo


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Write report.html and the model card of the run in directory RUN again."""
    from rexplug import api

    for path in api.write_report(run):
        echo(f"  {path}")
