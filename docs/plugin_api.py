"""The public names for plugins: the page that each belongs to, and where their types appear in the signatures of others."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel
from reference_pages import COMPONENT_PAGES

import rexplug
from rexplug import api
from rexplug.components import Component
from rexplug.plugins.hookspecs import KINDS

SHARED = "shared"
"""The page of the names that belong to no kind, or to all."""
_PLACES = {
    "rexplug.components.evaluat": "evaluators",
    "rexplug.evaluation": "evaluators",
    "rexplug.corpus.sources": "sources",
    "rexplug.io.compression": "sources",
    "rexplug.io.tabular": "sources",
}
"""Beginning of a module's name -> the page of its public names that are not in the signatures of a kind."""


@dataclass(frozen=True)
class Signature:
    """A method, property, field or function, and the public names in its annotations."""

    owner: str
    """The class; the function itself if it is one."""
    member: str
    """Its name in the class; empty for functions."""
    takes: frozenset[str]
    returns: frozenset[str]
    holds: frozenset[str]
    """Names in the type of a field or property."""


@cache
def public_names() -> dict[str, Any]:
    """Public name -> class, function or alias, of the names that plugins use."""
    left_out = {*api.__all__, "api", "__version__"} - {"Component"}
    names = [*(kind.__name__ for kind in KINDS.values()), *rexplug.__all__]
    return {name: getattr(rexplug, name) for name in dict.fromkeys(names) if name not in left_out}


@cache
def pages_of_kinds() -> dict[str, type[Component]]:
    """Page -> kind of component, in the order of the hooks."""
    return {COMPONENT_PAGES[kind.__name__][0]: kind for kind in KINDS.values()}


@cache
def page_of() -> dict[str, str]:
    """Public name -> the page that describes it."""
    kinds = {kind.__name__: page for page, kind in pages_of_kinds().items()}
    found = dict(kinds)
    for page, kind in pages_of_kinds().items():
        found |= dict.fromkeys(_classes_of(kind), page)
        todo = _classes_of(kind)
        while todo:
            for signature in signatures(public_names()[todo.pop(0)]):
                for name in sorted(signature.takes | signature.returns | signature.holds):
                    if name not in found:
                        found[name] = page
                        todo.append(name)
    modules = {kind.__module__: page for page, kind in pages_of_kinds().items()}
    for name, thing in public_names().items():
        if name not in found:
            module = str(getattr(thing, "__module__", ""))
            near = (page for start, page in {**modules, **_PLACES}.items() if module.startswith(start))
            found[name] = next(near, SHARED)
    return found


def _classes_of(kind: type[Component]) -> list[str]:
    """The kind itself and the public base classes of its components."""
    return [name for name, thing in public_names().items() if inspect.isclass(thing) and issubclass(thing, kind)]


@cache
def signatures(thing: Any) -> tuple[Signature, ...]:
    """The signatures of a function, or of the methods, properties and fields of a class; options of components are left out."""
    return tuple(_signatures(thing))


def _signatures(thing: Any) -> Iterator[Signature]:
    none: frozenset[str] = frozenset()
    if inspect.isfunction(thing):
        yield Signature(thing.__name__, "", *_of_function(thing), none)
    if not inspect.isclass(thing):
        return
    if not issubclass(thing, BaseModel):
        for field, annotation in vars(thing).get("__annotations__", {}).items():
            if not field.startswith("_"):
                yield Signature(thing.__name__, field, none, none, _names(annotation))
    for name, member in list(vars(thing).items()):
        if name.startswith("_") or not (function := function_of(member)):
            continue
        takes, returns = _of_function(function)
        if is_attribute(member):
            yield Signature(thing.__name__, name, none, none, returns)
        else:
            yield Signature(thing.__name__, name, takes, returns, none)


def function_of(member: Any) -> Any:
    """The documented function behind a method or property; None for anything else."""
    function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
    function = getattr(function, "func", function)
    return function if inspect.isfunction(function) and function.__doc__ else None


def is_attribute(member: Any) -> bool:
    """Whether a member with a function is read without a call: a property."""
    return not inspect.isfunction(member) and not isinstance(member, classmethod | staticmethod)


def _of_function(function: Any) -> tuple[frozenset[str], frozenset[str]]:
    found = inspect.signature(function)
    takes = frozenset().union(*(_names(parameter.annotation) for parameter in found.parameters.values()))
    return takes, _names(found.return_annotation)


def _names(annotation: Any) -> frozenset[str]:
    """The public names in an annotation."""
    return (
        frozenset(re.findall(r"\w+", annotation if isinstance(annotation, str) else str(annotation)))
        & public_names().keys()
    )


@cache
def argument_types() -> tuple[str, ...]:
    """The types that methods of components take and return, with the types of their fields; sorted."""
    components = {name for kind in KINDS.values() for name in _classes_of(kind)}
    found: dict[str, None] = {}
    todo = sorted(components)
    while todo:
        for signature in signatures(public_names()[todo.pop(0)]):
            new = (signature.takes | signature.returns | signature.holds) - components - found.keys()
            found |= dict.fromkeys(new)
            todo += sorted(new)
    return tuple(sorted(found))
