"""`rexplug new-plugin`: write the distribution of a plugin."""

from __future__ import annotations

from pathlib import Path

import click

from rexplug.cli.terminal import echo


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--components",
    default="filter,scorer",
    show_default=True,
    metavar="KINDS",
    help="What to write, with commas between: source, filter, labeller, mixing, masking, scorer, evaluator, or all.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write; rexplug-NAME by default.")
def new_plugin(name: str, components: str, out: Path | None) -> None:
    """Write the distribution of a plugin called NAME: components, recipe, sample documents, tests, packaging, CI.

    Its tests pass and its recipe runs as they are; then replace words, rules and documents by yours.
    """
    from rexplug import api

    folder = out or Path(f"rexplug-{name.replace('_', '-')}")
    kinds = None if components.strip() == "all" else [kind.strip() for kind in components.split(",") if kind.strip()]
    for path in api.new_plugin(name, folder, kinds):
        echo(f"  {path}")
    echo(f"\nNext: cd {folder}, pip install -e '.[test]', pytest, rexplug run {name}")
