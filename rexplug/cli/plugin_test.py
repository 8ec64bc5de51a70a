"""`rexplug plugin-test`: check that a plugin's components keep their contracts."""

from __future__ import annotations

import click

from rexplug.cli.terminal import echo


@click.command("plugin-test")
@click.argument("plugin")
def plugin_test(plugin: str) -> None:
    """Try every component of PLUGIN, the name of an installed plugin or a file (./legal.py), on made-up data.

    Exits with 2 and a line for each breach of a contract: results that depend on earlier calls or on the process, wrong types and
    shapes, options without documentation.
    """
    from rexplug import api

    for line in api.check_plugin(plugin):
        echo(f"  {line}")
