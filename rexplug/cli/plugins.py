"""`rexplug plugins`: list what is installed, and what did not load."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from rexplug.cli.terminal import echo

if TYPE_CHECKING:
    from rexplug.api import Component, Registry


@click.command()
@click.argument("name", required=False)
@click.option(
    "--trace", is_flag=True, help="Show where each component comes from and how long each plugin's import took."
)
def plugins(name: str | None, trace: bool) -> None:
    """List plugins and components, or the options of NAME: a component, or all components of a plugin or a file (./legal.py)."""
    from rexplug import api

    if name is not None:
        for component in api.find_components(name):
            echo("\n".join(describe(component)))
            echo()
        return
    registry = api.installed_plugins()
    if trace:
        echo("\n".join(_trace(registry)))
        return
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


_SLOW = 0.3
"""Seconds of an import from which on every command is noticeably slower."""


def _trace(registry: Registry) -> Iterator[str]:
    """Each plugin with its origin, the time of its import and its components by class and file."""
    for plugin in registry.plugins.values():
        yield f"{plugin.name}: {plugin.origin}, imported in {plugin.seconds * 1000:,.0f} ms"
        if plugin.seconds > _SLOW and plugin.name != "core":
            yield (
                f"  slow: every command imports it; import what is heavy (torch, transformers) inside the methods that use it "
                f"(python -X importtime -c 'import {_module(plugin.target, plugin.name)}')"
            )
        for entry in registry.entries.values():
            if entry.plugin == plugin.name:
                yield f"  {entry.component.name}: {entry.component.__module__}.{entry.component.__qualname__}"
    for failure in registry.failures:
        yield f"{failure.plugin}: did not load: {failure.reason}"


def _module(target: object, plugin: str) -> str:
    return str(getattr(target, "__name__", plugin))


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
    for name in _own_first(component):
        field = component.model_fields[name]
        if field.is_required():
            default = "required"
        else:
            value: Any = field.get_default(call_default_factory=True, validated_data={})
            value = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
            default = "left out" if value is None else f"default {list(value) if isinstance(value, tuple) else value}"
        yield f"  {field.alias or name}: {default}"
        for line in docs.get(name, "").splitlines():
            yield f"      {line}".rstrip()


def _own_first(component: type[Component]) -> list[str]:
    """The names of the options, those that the class declares itself before those that it inherits."""
    classes = [inspect.get_annotations(declaring) for declaring in component.__mro__]
    return sorted(component.model_fields, key=lambda name: [name in names for names in classes].index(True))
