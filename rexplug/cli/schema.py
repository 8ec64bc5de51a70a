"""`rexplug schema`: the JSON Schema of recipes, for editors."""

from __future__ import annotations

import json

import click

from rexplug.cli.terminal import echo_unchanged


@click.command()
def schema() -> None:
    """Print the JSON Schema of recipes, with the components of all installed plugins."""
    from rexplug import api

    echo_unchanged(json.dumps(api.recipe_schema(), indent=2) + "\n")
