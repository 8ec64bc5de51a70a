"""Checks everything that a plugin offers, in one call.

PYTEST_DONT_REWRITE: an assertion's message is complete; pytest would add the values that were compared.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from rexplug.components import Component
from rexplug.contracts.trials import needs_more, trial_breaches
from rexplug.documented import field_docs
from rexplug.errors import PluginError, RexplugError, brief, error_text
from rexplug.plugins.calls import check_component, owner
from rexplug.plugins.discovery import load_plugins, load_with
from rexplug.plugins.registry import Registry


def check_plugin(
    plugin: ModuleType | str | Path, name: str | None = None, *, examples: Iterable[Component] = ()
) -> list[str]:
    """Check that a plugin loads and that its components keep the contracts of their kinds.

    Every class must have a docstring and a documented string under each option. Components that can be made without options, and
    those in `examples` and in the list `EXAMPLES` of the plugin's module, are tried: filters, scorers and labellers on many
    kinds of text, scorers with tokenizers of three kinds, policies on random rows, schedules at several points of a phase, sources
    in several numbers of shards, evaluators on tiny encoders and BM25. Results must be the same a second time, in reverse order,
    after pickling and in another process, which finds state that one call leaves for the next. Filters and scorers that learn do
    so from made-up documents first. A labeller that asks a service asks it about some twenty short texts.

    Args:
        plugin: the module, the name of an installed plugin, or the path of a file (`./legal.py`).
        name: the plugin's name, if `plugin` is a module that is not installed.
        examples: further instances to try, for example of components with required options that read files of a test.

    Returns:
        A line for each component: whether it was tried, and why not.

    Raises:
        AssertionError: with a line for each breach.
    """
    registry, plugin_name, module = _loaded(plugin, name)
    components = [entry.component for entry in registry.entries.values() if entry.plugin == plugin_name]
    assert components, f"plugin '{plugin_name}' offers no components; list their classes in COMPONENTS"
    given: dict[type, list[Component]] = {}
    for example in (*_listed_examples(plugin_name, module), *examples):
        # Ignoring one would leave its component untried.
        assert type(example) in components, (
            f"plugin '{plugin_name}', among the examples is {brief(example)}, which is not an instance of one of its components: "
            f"{', '.join(component.__name__ for component in components)}{_loaded_twice(example, components)}"
        )
        given.setdefault(type(example), []).append(example)
    breaches: list[str] = []
    lines = []
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other_process:
        for component in components:
            breaches += _undocumented(component)
            outcome = "not tried: it has required options; add one to EXAMPLES"
            try:
                for instance in given.get(component) or _without_options(component):
                    check_component(instance)
                    with tempfile.TemporaryDirectory() as folder:
                        for breach in _breaches(instance, other_process, Path(folder)):
                            breaches.append(breach)
                    outcome = "tried"
            except PluginError as error:
                breaches.append(str(error))
            except Exception as error:  # files that it reads may not be on this machine
                outcome = f"not tried: {error if isinstance(error, RexplugError) else _raised(error)}"
            lines.append(f"{component.name}: {outcome}")
    assert not breaches, "\n".join(dict.fromkeys(breaches))
    return lines


def _listed_examples(plugin: str, module: object) -> Sequence[Component]:
    examples: Any = getattr(module, "EXAMPLES", ())
    assert isinstance(examples, list | tuple), (
        f"plugin '{plugin}', EXAMPLES is {brief(examples)}; write a list of components, such as [HasCitation(least=2)]"
    )
    return examples


def _loaded_twice(example: object, components: Sequence[type[Component]]) -> str:
    """What to do about an instance of a class that was imported in another way than the plugin was loaded; empty for any other."""
    twice = any(component.name == getattr(example, "name", None) for component in components)
    return "; its class was imported a second time, so give check_plugin the module" if twice else ""


def _loaded(plugin: ModuleType | str | Path, name: str | None) -> tuple[Registry, str, object]:
    """A registry with the plugin, its name, and its module."""
    if isinstance(plugin, ModuleType):
        registry = load_plugins()
        names = [known.name for known in registry.plugins.values() if known.target is plugin]
        name = name or next(iter(names), plugin.__name__.partition(".")[0].removeprefix("rexplug_"))
        if name not in registry.plugins:
            registry = load_plugins({name: plugin})
    else:
        try:
            registry, name = load_with(plugin)
        except PluginError as error:
            raise AssertionError(str(error)) from None
    failures = [failure for failure in registry.failures if failure.plugin == name]
    assert not failures, f"plugin '{name}' did not load: {failures[0].reason}"
    assert name in registry.plugins, f"no plugin is called '{name}'; there are {', '.join(sorted(registry.plugins))}"
    return registry, name, plugin if isinstance(plugin, ModuleType) else registry.plugins[name].target


def _undocumented(component: type[Component]) -> Iterator[str]:
    own = component.__dict__.get("__doc__")
    if not own or not own.strip():
        yield f"{component.name} has no docstring; `rexplug plugins` shows its first line"
    docs = field_docs(component)
    for option in component.model_fields:
        if not docs.get(option, "").strip():
            yield f"{component.name}: the option '{option}' has no documentation; write a string under it"


def _without_options(component: type[Component]) -> list[Component]:
    try:
        return [component()]
    except ValidationError:
        return []


def _breaches(component: Component, other_process: ProcessPoolExecutor, folder: Path) -> Iterator[str]:
    """What a component does wrong, a line each; raises the error of a component that needs more than made-up data."""
    try:
        again = pickle.loads(pickle.dumps(component))
    except Exception as error:  # pickling runs the plugin's code, which may raise anything
        yield f"{component.name} cannot be pickled for worker processes: {error_text(error)}"
        return
    if again != component:
        yield f"{component.name} is not the same after pickling"
    try:
        yield from trial_breaches(component, other_process, folder)
    except RexplugError as error:
        # The data, service or model that a component needs may be missing here; its own error says so.
        if not isinstance(error, PluginError) and needs_more(component):
            raise
        yield str(error)
    except AssertionError as error:
        yield str(error)
    except Exception as error:  # a plugin's code may raise anything
        yield f"{owner(component)}{component.name} raised {_raised(error)}"


def _raised(error: Exception) -> str:
    return f"{type(error).__name__}: {error_text(error)}"
