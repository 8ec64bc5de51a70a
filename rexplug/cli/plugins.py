"""`rexplug plugins`: what is installed, and what did not load."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import click

from rexplug.cli.terminal import echo
from rexplug.components import Component


@click.command()
@click.argument("name", required=False)
def plugins(name: str | None) -> None:
    """List plugins and components; for the NAME of one of them, its options."""
    from rexplug.errors import PluginError
    from rexplug.plugins.discovery import load_plugins
    from rexplug.plugins.hookspecs import KINDS

    registry = load_plugins()
    if name is not None:
        found = [e for e in registry.entries.values() if name in (e.component.name, e.plugin)]
        if not found:
            for failure in registry.failures:
                if failure.plugin in (name, name.partition(".")[0]):
                    raise PluginError(f"plugin '{failure.plugin}' did not load: {failure.reason}")
            names = sorted({e.component.name for e in registry.entries.values()})
            raise PluginError(f"no plugin or component is called '{name}'; there are {', '.join(names)}")
        for entry in found:
            echo("\n".join(describe(entry.component)))
            echo()
        return
    echo("Plugins")
    width = 2 + max(map(len, registry.plugins))
    for plugin in registry.plugins.values():
        origin = f"{plugin.distribution} {plugin.version}" if plugin.distribution else ""
        echo(f"  {plugin.name:<{width}}{origin}")
    width = 2 + max(len(entry.component.name) for entry in registry.entries.values())
    for kind in KINDS.values():
        echo(f"\n{kind.kind.capitalize()}s" if not kind.kind.endswith("y") else f"\n{kind.kind.capitalize()[:-1]}ies")
        for entry in registry.of_kind(kind):
            echo(f"  {entry.component.name:<{width}}{first_line(entry.component)}")
    if registry.failures:
        echo("\nDid not load")
        for failure in registry.failures:
            origin = f" (from {failure.distribution})" if failure.distribution else ""
            echo(f"  {failure.plugin}{origin}: {failure.reason}")
    echo("\nOptions of one: rexplug plugins NAME")


def first_line(component: type[Component]) -> str:
    """The first sentence of a component's docstring."""
    return (inspect.getdoc(component) or "").split("\n")[0]


def describe(component: type[Component]) -> Iterator[str]:
    """Name, documentation and options of a component, line by line."""
    yield f"{component.name} ({component.kind})"
    for line in (inspect.getdoc(component) or "").splitlines():
        yield f"  {line}".rstrip()
    for name, field in component.model_fields.items():
        if field.is_required():
            default = "required"
        else:
            value: Any = field.get_default(call_default_factory=True, validated_data={})
            value = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
            default = "left out" if value is None else f"default {list(value) if isinstance(value, tuple) else value}"
        yield f"  {field.alias or name}: {default}"
        for line in (field.description or "").splitlines():
            yield f"      {line}".rstrip()
