"""`rexplug schema`: for editors."""

from __future__ import annotations

import json

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of recipes, installed plugins included."""
    from rexplug.plugins.discovery import load_plugins
    from rexplug.recipe import recipe_schema

    click.echo(json.dumps(recipe_schema(load_plugins()), indent=2))
