"""The registry: component name -> class, and the plugin that it came from."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rexplug.components import NAME_PATTERN, Component
from rexplug.components.base import ComponentT
from rexplug.components.options import option_problem
from rexplug.errors import PluginError, error_text
from rexplug.plugins.hookspecs import KINDS
from rexplug.renamed import Renamed, warn_renamed

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
    """A loaded plugin, and the distribution that it was installed with or the file that a recipe named, if any."""

    name: str
    distribution: str | None = None
    version: str | None = None
    file: Path | None = None
    target: object = field(default=None, compare=False, repr=False)
    """The module, or another object, that brings the components."""
    seconds: float = field(default=0.0, compare=False)
    """How long the import of its module took, with what that imports first."""

    @property
    def origin(self) -> str:
        """Where it comes from: `rexplug-legal 0.1.0`, or the path of the file."""
        if self.file is not None:
            return str(self.file)
        return f"{self.distribution} {self.version}" if self.distribution else "this process"


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

    def check(self, plugin: str, hook: str, component: object, given: str = "") -> None:
        """Check that a class which a plugin gave for a hook may be registered; `given` is how, the hook if left out.

        Raises:
            PluginError: it is not a subclass of the hook's base class, is abstract, has a wrong or taken name, or has options that
                could not be written to a recipe and read back.
        """
        kind = KINDS[hook]
        where = f"plugin '{plugin}', {given or f'{hook}()'} offers"
        if not inspect.isclass(component) or not issubclass(component, kind):
            raise PluginError(f"{where} {component!r}, which is not a subclass of {kind.__name__}")
        missing = sorted(getattr(component, "__abstractmethods__", ()))
        if missing:
            methods = " and ".join(f"{method}()" for method in missing)
            raise PluginError(f"{where} {component.__name__}, which does not implement {methods}")
        if "name" in component.model_fields:
            raise PluginError(
                f'{where} {component.__name__}, whose `name` is an option; write `name = "{plugin}.component"`, or ClassVar[str] '
                "as its type"
            )
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
        try:
            component.model_rebuild()  # models are built at first use: what pydantic cannot build must be the plugin's failure now
            problem = option_problem(component)
        except (Exception, SystemExit) as error:  # defaults, validators and serializers are the plugin's code
            problem = f"whose options cannot be tried: {type(error).__name__}: {error_text(error)}"
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
        for known in self.of_kind(kind):
            if (until := known.component.former_names.get(name)) is not None:
                warn_renamed(name, Renamed(known.component.name, until))
                return self.find(kind, known.component.name)
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
        missing = self._missing_plugin(name)
        other_kinds = [of.kind for of, known in self.entries if known == name]
        if other_kinds:
            message += f" ('{name}' is {'an' if other_kinds[0][0] in 'aeiou' else 'a'} {other_kinds[0]})"
        elif missing is not None:
            message += f", because plugin '{missing}' is not installed"
        elif close:
            message += f"; did you mean '{close[0]}'?"
        message += f" (installed: {', '.join(names) or 'none'})"
        for failure in self.failures:
            message += f"; plugin '{failure.plugin}' did not load: {failure.reason}"
        error = PluginError(message)
        error.missing = missing
        raise error

    def _missing_plugin(self, name: str) -> str | None:
        """The plugin that a component's name begins with, if it is not installed and is not a misspelling of one that is."""
        prefix, dot, _ = name.partition(".")
        known = {*self.plugins, *(known.partition(".")[0] for _, known in self.entries)}
        known |= {failure.plugin for failure in self.failures}
        return prefix if dot and NAME_PATTERN.fullmatch(name) and not difflib.get_close_matches(prefix, known) else None

    def of_kind(self, kind: type[Component]) -> list[Entry]:
        """The components of a kind, sorted by name."""
        return sorted((e for (of, _), e in self.entries.items() if of is kind), key=lambda entry: entry.component.name)

    def copy(self) -> Registry:
        """A registry of the same content; adding to one does not change the other."""
        return Registry(dict(self.entries), dict(self.plugins), list(self.failures))

    def folders(self) -> dict[str, Path]:
        """Plugin -> the folder of its package, where recipes and suites lie; without plugins that are a single module."""
        folders: dict[str, Path] = {}
        for entry in self.entries.values():
            package = entry.component.__module__.partition(".")[0]
            file = getattr(sys.modules.get(package), "__file__", None)
            if package != "rexplug" and file is not None and Path(file).name == "__init__.py":
                folders.setdefault(entry.plugin, Path(file).parent)
        return folders

    def versions(self) -> Mapping[str, str]:
        """Plugin -> version, for manifests and fingerprints."""
        return {
            plugin.name: plugin.version or ("file" if plugin.file else "unknown") for plugin in self.plugins.values()
        }
