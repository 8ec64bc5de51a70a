"""The registry: component name -> class, and the plugin that it came from."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field

from rexplug.components import NAME_PATTERN, Component
from rexplug.components.base import ComponentT
from rexplug.components.options import option_problem
from rexplug.errors import PluginError
from rexplug.plugins.hookspecs import KINDS

CORE = "core"
"""The plugin of the core's own components, whose names need no `plugin.` in front."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A component class, the base class that it was registered for, and its plugin."""

    component: type[Component]
    kind: type[Component]
    plugin: str


@dataclass(frozen=True, slots=True)
class Plugin:
    """A loaded plugin, and the distribution that it was installed with, if any."""

    name: str
    distribution: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """A plugin that did not load, and why."""

    plugin: str
    reason: str
    distribution: str | None = None


@dataclass
class Registry:
    """The installed components by name, and the plugins that did not load; implements `components.Components`."""

    entries: dict[tuple[type[Component], str], Entry] = field(default_factory=dict)
    plugins: dict[str, Plugin] = field(default_factory=dict)
    failures: list[LoadFailure] = field(default_factory=list)

    def check(self, plugin: str, hook: str, component: object) -> None:
        """Check that a class which a hook returned may be registered.

        Raises:
            PluginError: it is not a subclass of the hook's base class, is abstract, has a wrong or taken name, or has options that
                could not be written to a recipe and read back.
        """
        kind = KINDS[hook]
        where = f"plugin '{plugin}', {hook}() offers"
        if not inspect.isclass(component) or not issubclass(component, kind):
            raise PluginError(f"{where} {component!r}, which is not a subclass of {kind.__name__}")
        missing = sorted(getattr(component, "__abstractmethods__", ()))
        if missing:
            methods = " and ".join(f"{method}()" for method in missing)
            raise PluginError(f"{where} {component.__name__}, which does not implement {methods}")
        name = component.name if isinstance(component.name, str) else repr(component.name)
        prefix, _, rest = name.partition(".")
        if not NAME_PATTERN.fullmatch(name) or (plugin != CORE and not rest):
            raise PluginError(f"{where} {component.__name__} named '{name}'; names look like '{plugin}.component'")
        if plugin != CORE and prefix != plugin:
            raise PluginError(f"{where} {component.__name__} named '{name}'; its names begin with '{plugin}.'")
        taken = self.entries.get((kind, name))
        if taken is not None:
            by = " twice" if taken.plugin == plugin else f", but plugin '{taken.plugin}' already does"
            raise PluginError(f"{where} '{name}'{by}")
        if plugin == CORE:  # a test checks the core's own
            return
        component.model_rebuild()  # models are built at first use: what pydantic cannot build must be the plugin's failure now
        problem = option_problem(component)
        if problem is not None:
            raise PluginError(f"{where} {component.__name__}, {problem}")

    def add(self, plugin: str, hook: str, component: type[Component]) -> None:
        """Register a class that passed `check`."""
        kind = KINDS[hook]
        self.entries[kind, component.name] = Entry(component, kind, plugin)

    def find(self, kind: type[ComponentT], name: str) -> type[ComponentT]:
        """The class of that kind and name.

        Raises:
            PluginError: none has that name; the message has the closest name, the installed ones and the plugins that did not load.
        """
        entry = self.entries.get((kind, name))
        if entry is not None:
            component = entry.component
            assert issubclass(component, kind)
            return component
        prefix, _, block = name.partition(".")
        if prefix == "datatrove" and block[:1].isupper():  # the former spelling of datatrove's classes
            use = next(
                (known for of, known in self.entries if of is kind and known.startswith("datatrove.")),
                "datatrove.filter",
            )
            raise PluginError(f"'{name}' is written {{use: {use}, class: {block}, options: {{...}}}}")
        names = sorted(known for of, known in self.entries if of is kind)
        message = f"no {kind.__name__} is called '{name}'"
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
        other_kinds = [of.kind for of, known in self.entries if known == name]
        if other_kinds:
            message += f" ('{name}' is {'an' if other_kinds[0][0] in 'aeiou' else 'a'} {other_kinds[0]})"
        elif close:
            message += f"; did you mean '{close[0]}'?"
        message += f" (installed: {', '.join(names) or 'none'})"
        for failure in self.failures:
            message += f"; plugin '{failure.plugin}' did not load: {failure.reason}"
        raise PluginError(message)

    def of_kind(self, kind: type[Component]) -> list[Entry]:
        """The components of a kind, sorted by name."""
        return sorted((e for (of, _), e in self.entries.items() if of is kind), key=lambda entry: entry.component.name)

    def versions(self) -> Mapping[str, str]:
        """Plugin -> version, for manifests and fingerprints."""
        return {plugin.name: plugin.version or "unknown" for plugin in self.plugins.values()}
