"""`rexplug show`: the resolved recipe."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
def show(recipe: Path, overrides: tuple[str, ...]) -> None:
    """Print RECIPE (with OVERRIDES) with defaults spelled out; the output is a valid recipe."""
    from rexplug.recipe import dump_recipe, load_recipe

    click.echo(dump_recipe(load_recipe(recipe, overrides)), nl=False)
