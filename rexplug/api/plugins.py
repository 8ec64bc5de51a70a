"""What is installed: plugins, their components, and those that did not load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rexplug.api.arguments import path_of, strings_of
from rexplug.api.explained import explained
from rexplug.api.folders import StrPath
from rexplug.errors import PluginError

if TYPE_CHECKING:
    from rexplug.components import Component
    from rexplug.plugins.registry import Registry


def installed_plugins() -> Registry:
    """The installed plugins (`plugins`), their components (`entries`, `of_kind`) and what did not load (`failures`)."""
    from rexplug.plugins.discovery import load_plugins

    return load_plugins()


def component_kinds() -> list[type[Component]]:
    """The base classes that plugins subclass, in the order in which they are listed."""
    from rexplug.plugins.hookspecs import KINDS

    return list(KINDS.values())


def option_docs(component: type[Component]) -> Mapping[str, str]:
    """Option of a component -> its documentation, the string under it in the class."""
    from rexplug.documented import field_docs

    return field_docs(component)


def find_components(name: str) -> list[type[Component]]:
    """The components of that name, or those of the plugin of that name or in that file (`./legal.py`).

    Raises:
        PluginError: there is none; the message says what exists, or why the plugin did not load.
    """
    from rexplug.plugins.discovery import load_with

    registry, name = load_with(name)
    named = [entry.component for entry in registry.entries.values() if name in (entry.component.name, entry.plugin)]
    if named:
        return named
    for failure in registry.failures:
        if failure.plugin in (name, name.partition(".")[0]):
            raise PluginError(f"plugin '{failure.plugin}' did not load: {failure.reason}")
    names = sorted({entry.component.name for entry in registry.entries.values()})
    raise PluginError(f"no plugin or component is called '{name}'; there are {', '.join(names)}")


@explained
def new_plugin(name: str, folder: StrPath, components: Sequence[str] | None = None) -> list[Path]:
    """Write the distribution of a plugin: components, recipe, sample documents, tests, packaging, CI.

    Args:
        name: the plugin's name, with which the names of its components begin.
        folder: must not exist, or be empty.
        components: the kinds to write, of `source`, `filter`, `labeller`, `mixing`, `masking`, `scorer` and `evaluator`; all if
            left out.

    Returns:
        The files that were written.

    Raises:
        RexplugError: the name or a kind is not possible, or the folder is not empty.
    """
    from rexplug.new_plugin import KINDS, write_plugin

    return write_plugin(
        name, path_of("folder", folder), KINDS if components is None else strings_of("components", components)
    )


def check_plugin(plugin: str) -> list[str]:
    """Try every component of a plugin on made-up data (`rexplug.testing.check_plugin`).

    Args:
        plugin: the name of an installed plugin, or the path of a file (`./legal.py`).

    Returns:
        A line for each component: whether it was tried, and why not.

    Raises:
        PluginError: with a line for each breach of a contract.
    """
    from rexplug.contracts import plugin as contracts

    try:
        return contracts.check_plugin(plugin)
    except AssertionError as error:
        raise PluginError(str(error)) from None
