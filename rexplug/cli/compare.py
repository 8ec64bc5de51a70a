"""`rexplug compare`: test the differences between results."""

from __future__ import annotations

from pathlib import Path

import click

from rexplug.cli import terminal


@click.command()
@click.argument("results", nargs=-1, required=True, metavar="RUN_OR_RESULT...")
@click.option("--html", type=click.Path(path_type=Path), help="Also write the comparison as a web page.")
@click.option("--json", "json_", type=click.Path(path_type=Path), help="Also write the comparison as JSON.")
@click.option("--all-metrics", is_flag=True, help="Compare every metric, not only the main ones.")
def compare(results: tuple[str, ...], html: Path | None, json_: Path | None, all_metrics: bool) -> None:
    """Compare runs (`runs/a`, `runs/a@pretrain`) or folders that `rexplug evaluate` wrote with the first one.

    Differences are tested on the same items (paired permutation test, with Holm's correction over all of them).
    """
    from rexplug import api
    from rexplug.cli.comparison import print_comparison

    comparison = api.compare(results, all_metrics=all_metrics)
    api.write_comparison(comparison, html=html, json=json_, title="Comparison")
    print_comparison(comparison, terminal.console())
