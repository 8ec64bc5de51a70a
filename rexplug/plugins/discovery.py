"""Entry points to a registry; a plugin that is broken is set aside and shown, not obeyed and not fatal."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.metadata import entry_points

import pluggy

from rexplug.errors import PluginError
from rexplug.plugins import hookspecs
from rexplug.plugins.registry import LoadFailure, Plugin, Registry

GROUP = "rexplug"
STRICT = "REXPLUG_STRICT"


def load_plugins(extra: Mapping[str, object] | None = None, *, installed: bool = True) -> Registry:
    """Load the installed plugins, and those in `extra` (name -> module or object).

    Nothing but the registry changes: which components work is for the recipe to say. With `REXPLUG_STRICT=1` in the
    environment the first broken plugin raises instead of being set aside.

    Raises:
        PluginError: only with `REXPLUG_STRICT=1`.
    """
    registry = Registry()
    strict = os.environ.get(STRICT) == "1"
    for plugin, load in _candidates(extra or {}, installed):
        try:
            if plugin.name in registry.plugins:
                both = [each.distribution or "this process" for each in (registry.plugins[plugin.name], plugin)]
                raise PluginError(f"two plugins are called '{plugin.name}': one from {both[0]}, one from {both[1]}")
            _register(registry, plugin, load())
        except (
            Exception,
            SystemExit,
        ) as error:  # a plugin is a stranger's code: whatever it raises at import is its failure
            reason = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            if strict:
                raise PluginError(f"plugin '{plugin.name}' did not load: {reason}") from error
            registry.failures.append(LoadFailure(plugin.name, reason, plugin.distribution))
    return registry


def _candidates(extra: Mapping[str, object], installed: bool) -> Iterator[tuple[Plugin, Callable[[], object]]]:
    # Entry points are known by where they come from, not by class: once the importlib_metadata backport is imported
    # (Composer's dependencies do it), the standard library's function returns the backport's objects.
    if installed:
        found = sorted(entry_points(group=GROUP), key=lambda point: (point.name != "core", point.name))
        for point in found:
            dist = point.dist
            yield Plugin(point.name, dist.name if dist else None, dist.version if dist else None), point.load
    for name, target in extra.items():
        yield Plugin(name), partial(_same, target)


def _same(target: object) -> object:
    return target


def _register(registry: Registry, plugin: Plugin, target: object) -> None:
    """Take a plugin in whole or not at all."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(target, plugin.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(_explain(plugin.name, target, error)) from None
    hooks = {caller.name for caller in manager.get_hookcallers(target) or ()}
    if not hooks:
        raise PluginError(
            f"plugin '{plugin.name}' implements no hook; mark functions like rexplug_corpus_filters() with @rexplug.hookimpl"
        )
    trial = Registry(dict(registry.entries))
    offered = []
    for hook in hookspecs.KINDS:
        if hook not in hooks:
            continue
        for classes in getattr(manager.hook, hook)():
            if not isinstance(classes, list | tuple):
                raise PluginError(
                    f"plugin '{plugin.name}', {hook}() returned {classes!r}; it returns a list of classes"
                )
            for component in classes:
                trial.check(plugin.name, hook, component)
                trial.add(plugin.name, hook, component)
                offered.append((hook, component))
    registry.plugins[plugin.name] = plugin
    for hook, component in offered:
        registry.add(plugin.name, hook, component)


def _explain(plugin: str, target: object, error: pluggy.PluginValidationError) -> str:
    for name in dir(target):
        if (
            name.startswith("rexplug_")
            and hasattr(getattr(target, name), "rexplug_impl")
            and name not in hookspecs.KINDS
        ):
            close = difflib.get_close_matches(name, list(hookspecs.KINDS), n=1)
            hint = f"; did you mean '{close[0]}'?" if close else f"; the hooks are {', '.join(hookspecs.KINDS)}"
            return f"unknown hook '{name}' in plugin '{plugin}'{hint}"
    return " ".join(str(error).split())
