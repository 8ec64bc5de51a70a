"""`rexplug plugins`: list what is installed, and what did not load."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from rexplug.cli.terminal import echo

if TYPE_CHECKING:
    from rexplug.api import Component


@click.command()
@click.argument("name", required=False)
def plugins(name: str | None) -> None:
    """List plugins and components, or the options of NAME: a component, or all components of a plugin or a file (./legal.py)."""
    from rexplug import api

    if name is not None:
        for component in api.find_components(name):
            echo("\n".join(describe(component)))
            echo()
        return
    registry = api.installed_plugins()
    echo("Plugins")
    width = 2 + max(map(len, registry.plugins))
    for plugin in registry.plugins.values():
        origin = f"{plugin.distribution} {plugin.version}" if plugin.distribution else ""
        echo(f"  {plugin.name:<{width}}{origin}")
    width = 2 + max(len(entry.component.name) for entry in registry.entries.values())
    for kind in api.component_kinds():
        echo(f"\n{_plural(kind.kind.capitalize())}")
        for entry in registry.of_kind(kind):
            echo(f"  {entry.component.name:<{width}}{first_line(entry.component)}")
    if registry.failures:
        echo("\nDid not load")
        for failure in registry.failures:
            origin = f" (from {failure.distribution})" if failure.distribution else ""
            echo(f"  {failure.plugin}{origin}: {failure.reason}")
    echo("\nOptions of a component: rexplug plugins NAME")


def _plural(noun: str) -> str:
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


def first_line(component: type[Component]) -> str:
    """The first line of a component's docstring."""
    return (inspect.getdoc(component) or "").split("\n")[0]


def describe(component: type[Component]) -> Iterator[str]:
    """Name, documentation and options of a component, line by line."""
    from rexplug import api

    yield f"{component.name} ({component.kind})"
    for line in (inspect.getdoc(component) or "").splitlines():
        yield f"  {line}".rstrip()
    docs = api.option_docs(component)
    for name, field in component.model_fields.items():
        if field.is_required():
            default = "required"
        else:
            value: Any = field.get_default(call_default_factory=True, validated_data={})
            value = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
            default = "left out" if value is None else f"default {list(value) if isinstance(value, tuple) else value}"
        yield f"  {field.alias or name}: {default}"
        for line in docs.get(name, "").splitlines():
            yield f"      {line}".rstrip()
