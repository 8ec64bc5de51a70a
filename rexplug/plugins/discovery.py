"""Loads plugins from entry points, and from files that a recipe names, into a registry.

A broken installed plugin is left out and listed, and does not stop the others.
"""

from __future__ import annotations

import difflib
import inspect
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

import pluggy

from rexplug.errors import PluginError, brief, error_text
from rexplug.plugins.files import PluginFile
from rexplug.plugins.hookspecs import GROUP, KINDS, specifications
from rexplug.plugins.registry import LoadFailure, Plugin, Registry

STRICT = "REXPLUG_STRICT"
"""Environment variable; `1` makes the first broken plugin fatal."""
LIST = "COMPONENTS"
"""The name of a plugin's list of component classes."""
API_VERSION = 1
"""The version of what plugins use: base classes, hooks, public names. They stay as long as the version does. A plugin that needs
another one says so (`PLUGIN_API = 2` in its module) and is refused where it is not there."""


def load_plugins(extra: Mapping[str, object] | None = None, *, installed: bool = True) -> Registry:
    """Load plugins; loading one changes no run, since the recipe names the components that it uses.

    Args:
        extra: further plugins, name -> module or object.
        installed: load the installed plugins too.

    Raises:
        PluginError: a plugin is broken and the environment says `REXPLUG_STRICT=1`; otherwise `Registry.failures` lists it.
    """
    registry = Registry()
    strict = os.environ.get(STRICT) == "1"
    for plugin, load in _candidates(extra or {}, installed):
        try:
            _require_other_name(registry, plugin)
            started = time.perf_counter()
            target = load()
            _register(registry, replace(plugin, seconds=time.perf_counter() - started), target)
        except (Exception, SystemExit) as error:  # importing a plugin runs its code, which may raise anything
            reason = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error_text(error)}"
            if strict:
                raise PluginError(f"plugin '{plugin.name}' did not load: {reason}") from error
            registry.failures.append(LoadFailure(plugin.name, reason, plugin.distribution))
    return registry


def distributions() -> dict[str, str]:
    """Installed plugin -> the distribution that brings it, as pip names it."""
    return {point.name: point.dist.name for point in entry_points(group=GROUP) if point.dist is not None}


def load_with(plugin: str | Path) -> tuple[Registry, str]:
    """The installed plugins and, if `plugin` is a file (`./legal.py`), that one; with the name of `plugin`.

    Raises:
        PluginError: the file did not load.
    """
    registry = load_plugins()
    if isinstance(plugin, str) and not plugin.endswith(".py") and "/" not in plugin:
        return registry, plugin
    file = PluginFile(Path(plugin).absolute())
    try:
        add_plugin_file(registry, file)
    except PluginError as error:
        raise PluginError(f"{plugin} did not load: {error}") from None
    return registry, file.name


def add_plugin_file(registry: Registry, file: PluginFile) -> None:
    """Load the plugin in a file and add its components to the registry.

    Raises:
        PluginError: the file is missing or its plugin is broken.
    """
    try:
        file.require()
        plugin = Plugin(file.name, file=file.path)
        _require_other_name(registry, plugin)
        module = file.load()
    except OSError as error:
        raise PluginError(f"the file cannot be read: {error.strerror}") from None
    try:
        _register(registry, plugin, module)
    except PluginError:
        raise
    except (Exception, SystemExit) as error:  # its hooks, and what its module computes, are the plugin's code
        raise PluginError(f"{type(error).__name__}: {error_text(error)}{file.line_of(error)}") from error


def _require_other_name(registry: Registry, plugin: Plugin) -> None:
    taken = registry.plugins.get(plugin.name)
    if taken is not None:
        places = [
            other.distribution or (str(other.file) if other.file else "this process") for other in (taken, plugin)
        ]
        raise PluginError(f"two plugins are called '{plugin.name}': one from {places[0]}, one from {places[1]}")


def _candidates(extra: Mapping[str, object], installed: bool) -> Iterator[tuple[Plugin, Callable[[], object]]]:
    # Their class is not relied on: once the importlib_metadata backport is imported (by Composer's dependencies), the standard
    # library's function returns the backport's objects.
    if installed:
        for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name != "core", point.name)):
            dist = point.dist
            yield Plugin(point.name, dist.name if dist else None, dist.version if dist else None), point.load
    for name, target in extra.items():
        yield Plugin(name), partial(_same, target)


def _same(target: object) -> object:
    return target


def _register(registry: Registry, plugin: Plugin, target: object) -> None:
    """Add all components of a plugin to the registry, or none where one of them breaks the contract."""
    needed = getattr(target, "PLUGIN_API", API_VERSION)
    if needed != API_VERSION:
        newer = isinstance(needed, int) and needed > API_VERSION
        raise PluginError(
            f"plugin '{plugin.name}' needs plugin API {brief(needed)}, but this rexplug has {API_VERSION}; install a "
            f"{'newer rexplug' if newer else 'newer version of the plugin'}"
        )
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(specifications())
    try:
        manager.register(target, plugin.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(_reason(plugin.name, target, error)) from None
    implemented = {caller.name for caller in manager.get_hookcallers(target) or ()}
    listed = getattr(target, LIST, None)
    if not implemented and listed is None:
        raise PluginError(
            f"plugin '{plugin.name}' offers nothing; list its classes, {LIST} = [...], or return them from functions like "
            "rexplug_corpus_filters() that are marked with @rexplug.hookimpl"
        )
    trial = Registry(dict(registry.entries))
    offered = []
    for hook, given, component in [*_listed(plugin.name, listed), *_returned(plugin.name, manager, implemented)]:
        trial.check(plugin.name, hook, component, given)
        trial.add(plugin.name, hook, component)
        offered.append((hook, component))
    registry.plugins[plugin.name] = replace(plugin, target=target)
    for hook, component in offered:
        registry.add(plugin.name, hook, component)


def _listed(plugin: str, listed: object) -> Iterator[tuple[str, str, type]]:
    """The classes in a plugin's `COMPONENTS`, each with the hook of its base class."""
    if listed is None:
        return
    if not isinstance(listed, list | tuple):
        raise PluginError(f"plugin '{plugin}', {LIST} is {brief(listed)}; write a list of classes")
    for component in listed:
        if not inspect.isclass(component):
            raise PluginError(f"plugin '{plugin}', {LIST} holds {brief(component)}, which is not a class")
        hook = next((hook for hook, kind in KINDS.items() if issubclass(component, kind)), None)
        if hook is None:
            kinds = ", ".join(kind.__name__ for kind in KINDS.values())
            raise PluginError(
                f"plugin '{plugin}', {LIST} holds {component.__name__}, which is not a component; subclass one of "
                f"{kinds}"
            )
        yield hook, LIST, component


def _returned(
    plugin: str, manager: pluggy.PluginManager, implemented: Collection[str]
) -> Iterator[tuple[str, str, type]]:
    """The classes that a plugin returns from its hooks, each with the hook."""
    for hook in (hook for hook in KINDS if hook in implemented):
        for classes in getattr(manager.hook, hook)():
            if not isinstance(classes, list | tuple):
                raise PluginError(f"plugin '{plugin}', {hook}() returned {classes!r}; it returns a list of classes")
            yield from ((hook, f"{hook}()", component) for component in classes)


def _reason(plugin: str, target: object, error: pluggy.PluginValidationError) -> str:
    """Why pluggy refused a plugin: the misspelt hook, or pluggy's own message on one line."""
    for name in dir(target):
        if name.startswith("rexplug_") and hasattr(getattr(target, name), "rexplug_impl") and name not in KINDS:
            close = difflib.get_close_matches(name, list(KINDS), n=1)
            hint = f"; did you mean '{close[0]}'?" if close else f"; the hooks are {', '.join(KINDS)}"
            return f"unknown hook '{name}' in plugin '{plugin}'{hint}"
    return " ".join(str(error).split())
