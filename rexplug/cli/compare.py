"""`rexplug compare`: which differences between results are real."""

from __future__ import annotations

from pathlib import Path

import click

from rexplug.cli import terminal


@click.command()
@click.argument("results", nargs=-1, required=True, metavar="RUN_OR_RESULT...")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page, too.")
@click.option("--json", "json_", type=click.Path(path_type=Path), help="Write a file for machines, too.")
@click.option("--all-metrics", is_flag=True, help="Compare every metric, not the main ones alone.")
def compare(results: tuple[str, ...], html: Path | None, json_: Path | None, all_metrics: bool) -> None:
    """Compare runs (`runs/a`, `runs/a@pretrain`) or folders that `rexplug evaluate` wrote; the first is the yardstick.

    Differences are tested on the same items (paired permutation test, Holm's correction for all of them together).
    """

    from rexplug.cli.comparison import print_comparison
    from rexplug.report.compare import compare_models, write_comparison
    from rexplug.report.results import find_all

    comparison = compare_models(find_all(results), every_metric=all_metrics)
    write_comparison(comparison, html=html, json=json_, title="Comparison")
    print_comparison(comparison, terminal.console())
