"""`rexplug report`: the page and the card of a run, made again."""

from __future__ import annotations

from pathlib import Path

import click

from rexplug.cli.terminal import echo


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Write report.html and the model card of the folder RUN again, from what lies in it."""
    from rexplug.pipeline.run import rewrite_report
    from rexplug.plugins.discovery import load_plugins

    for path in rewrite_report(run, load_plugins()):
        echo(f"  {path}")
