"""Calls into components of any kind: their files, what they need, and what they learn."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from rexplug.components import (
    Component,
    CorpusFilter,
    CorpusSample,
    DocumentSource,
    Evaluator,
    Labeller,
    SalienceScorer,
)
from rexplug.components.base import ComponentT, components_in
from rexplug.components.options import ClassesIn
from rexplug.errors import PluginError
from rexplug.io.file_content import files_below
from rexplug.io.hub import HubName
from rexplug.plugins.calls.call import PluginCall, list_of, owner, unexpected

FittedT = TypeVar("FittedT", CorpusFilter, SalienceScorer)


def check_component(component: Component) -> None:
    """`component.check()`, if it has this method.

    Raises:
        DataError: what the component needs is not there.
        PluginError: the plugin's method raised something else than a `RexplugError` or `OSError`; so do all functions below.
    """
    check: Callable[[], None] | None = getattr(component, "check", None)
    if check is not None:
        with PluginCall(component, "check"):
            check()


def input_files(component: DocumentSource | Labeller | Evaluator) -> list[Path]:
    """The local files that a component reads: `component.inputs()`."""
    with PluginCall(component, "inputs"):
        returned: object = component.inputs()
    return list_of(component, "inputs", returned, Path, "a sequence of pathlib.Path")


def all_input_files(components: Sequence[DocumentSource | Labeller | Evaluator]) -> list[Path]:
    """The local files that several components read."""
    return [path for component in components for path in input_files(component)]


def option_files(components: Iterable[Component | None]) -> list[Path]:
    """The files that options name by their path: word lists, models, tables. Options of options count too.

    Of a folder all files in it count. What a source, labeller or evaluator names in `inputs()` is left out, and so is a folder
    with any such file: the component names the files that it reads. A path that does not exist is left out.
    """
    found: dict[Path, None] = {}
    for component in components_in(components):
        declared: set[Path] = set()
        if isinstance(component, DocumentSource | Labeller | Evaluator):
            declared = set(input_files(component))
        for path in _paths_in(getattr(component, name, None) for name in type(component).model_fields):
            if path in declared or any(path in other.parents for other in declared):
                continue
            if path.is_file():
                found[path] = None
            elif path.is_dir():
                found |= dict.fromkeys(files_below(path))
    return list(found)


def _paths_in(values: Iterable[Any]) -> Iterator[Path]:
    """The paths among values, their collections and their sections; components are left to `components_in`."""
    for value in values:
        if isinstance(value, Path):
            yield value
        elif isinstance(value, Mapping):
            yield from _paths_in(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            yield from _paths_in(value)
        elif isinstance(value, BaseModel) and not isinstance(value, Component):
            yield from _paths_in(getattr(value, name, None) for name in type(value).model_fields)


def hub_names(component: Component) -> list[HubName]:
    """The models and data sets that a component reads from the Hugging Face Hub."""
    with PluginCall(component, "hub_names"):
        returned: object = component.hub_names()
    return list_of(component, "hub_names", returned, HubName, "a sequence of HubName")


def foreign_classes(component: Component) -> list[type]:
    """The classes of other packages that do a component's work."""
    with PluginCall(component, "foreign_classes"):
        returned: object = component.foreign_classes()
    return list_of(component, "foreign_classes", returned, type, "a sequence of classes")


def recipe_entry(component: Component) -> dict[str, Any]:
    """The recipe entry of a component, `component.dump()`, which runs the serializers of its options."""
    with PluginCall(component, "dump"):
        entry = component.dump()
    try:
        json.dumps(entry, allow_nan=False, ensure_ascii=False).encode()  # half a pair of surrogates cannot be written
    except (TypeError, ValueError, RecursionError):
        raise unexpected(component, "dump", entry, "options that JSON can store") from None
    return entry


def fit_component(component: FittedT, sample: CorpusSample) -> tuple[FittedT, dict[str, Any]]:
    """The filter or scorer that `component.fit(sample)` returns, and its recipe entry, from which it can be made again."""
    with PluginCall(component, "fit", "on a sample of the corpus"):
        fitted: Any = component.fit(sample)
    if not isinstance(fitted, type(component)):
        raise unexpected(component, "fit", fitted, f"a {type(component).__name__}: the filter or scorer to use")
    for name in type(fitted).model_fields:
        if isinstance(getattr(fitted, name, None), set | frozenset):
            raise PluginError(
                f"{owner(component)}{component.name}.fit() returned a component whose option '{name}' is a set, whose order "
                "changes from process to process; make it a tuple, in an order of its own: tuple(sorted(...))"
            )
    entry = recipe_entry(fitted)
    with PluginCall(component, "fit", "when the fitted component was made again from its options, as later runs do"):
        component_from_entry(component, entry)
    return fitted, entry


def component_from_entry(component: ComponentT, entry: Mapping[str, Any]) -> ComponentT:
    """The component of the same class with the options of a recipe entry; their classes are those among the options now.

    Raises:
        ValueError: the options are not valid.
    """
    options = {key: value for key, value in entry.items() if key != "use"}
    return type(component).model_validate(options, context={"components": ClassesIn([component])})


def require_picklable(component: Component) -> None:
    """Check that a component can be sent to worker processes."""
    with PluginCall(component, "__getstate__", "when it was pickled for the worker processes"):
        pickle.dumps(component)
