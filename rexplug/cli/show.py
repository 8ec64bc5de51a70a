"""`rexplug show`: print the resolved recipe."""

from __future__ import annotations

from pathlib import Path

import click

from rexplug.cli.terminal import echo_unchanged


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
def show(recipe: Path, overrides: tuple[str, ...]) -> None:
    """Print RECIPE (with OVERRIDES) with every default written out; the output is a valid recipe."""
    from rexplug import api

    echo_unchanged(api.dump_recipe(api.load_recipe(recipe, overrides)))
