"""Looks up datatrove's classes by name and checks the options of a recipe against their signatures.

datatrove is imported by these functions, not by this module: only a recipe that names one of its classes pays the third of a
second that the import takes.
"""

from __future__ import annotations

import difflib
import inspect
import traceback
import types
from collections import abc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError
from typing_extensions import TypedDict

from rexplug.errors import PluginError, RexplugError, one_line

Kind = Literal["filter", "reader"]

_PACKAGES: Mapping[Kind, tuple[str, ...]] = {
    "filter": ("datatrove.pipeline.filters", "datatrove.pipeline.formatters"),
    "reader": ("datatrove.pipeline.readers",),
}
_BASES: Mapping[Kind, tuple[tuple[str, str], ...]] = {
    "filter": (
        ("datatrove.pipeline.filters.base_filter", "BaseFilter"),
        ("datatrove.pipeline.formatters.base", "BaseFormatter"),
    ),
    "reader": (("datatrove.pipeline.readers.base", "BaseReader"),),
}
_WORD: Mapping[Kind, str] = {"filter": "filter or formatter", "reader": "reader"}

REFUSED: Mapping[str, str] = {
    "C4BadWordsFilter": "it downloads its word lists, and curation never downloads",
    "UnigramLogProbFilter": "it downloads its word frequencies, and curation never downloads",
    "LambdaFilter": "its option is a function, which a recipe cannot hold; write a plugin with a CorpusFilter",
    "SamplerFilter": "it draws at random; write `sample` beside the source's `use`",
    "JsonlReader": (
        "datatrove's JSONL reader loses the rest of a file at one invalid byte and counts no broken line; "
        "write `use: jsonl` with `paths`, which reads the same files"
    ),
}
"""Classes of datatrove that a recipe cannot use, and why."""

_RESERVED: Mapping[Kind, Mapping[str, str]] = {
    "filter": {
        "batch_size": "rexplug decides how many documents are judged at once",
        "exclusion_writer": "rexplug writes dropped documents itself",
    },
    "reader": {
        "limit": "write `limit` beside `use`",
        "skip": "documents would depend on the number of shards",
        "shuffle_files": "documents would depend on chance",
        "adapter": "rexplug sets it, to count broken records",
        "add_file_path": "the file is part of each document's place",
        "file_progress": "rexplug shows the progress",
        "doc_progress": "rexplug shows the progress",
    },
}
"""Options of datatrove's classes that rexplug decides itself, and why."""


class UnknownBlockError(ValueError):
    """A class that does not exist, is not of the wanted kind, or that a recipe cannot use."""


@cache
def find_block(kind: Kind, name: str) -> type[Any]:
    """The class that a recipe names: one of datatrove's own, or a dotted path such as `my_package.blocks.MyFilter`.

    Raises:
        UnknownBlockError: there is no such class, or it cannot be used in a recipe.
    """
    if name in REFUSED:
        raise UnknownBlockError(f"{name} cannot be used: {REFUSED[name]}")
    if "." in name:
        block = _import_block(kind, name)
        if block.__name__ in REFUSED and is_datatrove(block):
            raise UnknownBlockError(f"{name} cannot be used: {REFUSED[block.__name__]}")
        return block
    known = dict(_own_blocks(kind))
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(sorted(known))}"
        raise UnknownBlockError(f"datatrove has no {_WORD[kind]} '{name}'; {hint}")
    return known[name]


def is_datatrove(block: type[Any]) -> bool:
    """Whether a class is datatrove's own."""
    return block.__module__.partition(".")[0] == "datatrove"


def datatrove_names(block: type[Any]) -> frozenset[str]:
    """The names of a class and its bases that are datatrove's own: what needs special treatment, needs it in subclasses too."""
    return frozenset(base.__name__ for base in block.__mro__ if is_datatrove(base))


@contextmanager
def block_call(block: Any, method: str, subject: str) -> Iterator[None]:
    """Context of a call of a class's method: what its code raises becomes a message that names class, method and subject.

    `RexplugError`, `OSError` and `MemoryError` pass, as they do from plugins.

    Raises:
        PluginError: the class raised something else.
    """
    try:
        yield
    except (RexplugError, OSError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        message = one_line(error)
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise PluginError(
            f"{type(block).__module__}.{type(block).__name__}.{method}() raised {type(error).__name__} {subject}"
            f"{f': {message}' if message else ''}\n  {place.filename}:{place.lineno}, in {place.name}: {place.line}"
        ) from error


def _own_blocks(kind: Kind) -> Iterator[tuple[str, type[Any]]]:
    """Name and class of what datatrove's packages export."""
    for package in _PACKAGES[kind]:
        for name, value in vars(_import(package)).items():
            if inspect.isclass(value) and issubclass(value, _bases(kind)) and name not in REFUSED:
                yield name, value


def _import_block(kind: Kind, path: str) -> type[Any]:
    module, _, name = path.rpartition(".")
    try:
        block = getattr(_import(module), name, None)
    except UnknownBlockError:
        raise
    except (Exception, SystemExit) as error:  # a module whose attributes are imported when they are asked for
        raise UnknownBlockError(
            f"'{path}' cannot be imported: {type(error).__name__}: {one_line(error, 200)}"
        ) from None
    if block is None:
        raise UnknownBlockError(f"the module {module} has no '{name}'")
    if not inspect.isclass(block) or not issubclass(block, _bases(kind)):
        expected = " or ".join(base for _, base in _BASES[kind])
        raise UnknownBlockError(f"'{path}' is not a subclass of datatrove's {expected}")
    if inspect.isabstract(block):
        raise UnknownBlockError(
            f"'{path}' does not implement {', '.join(sorted(getattr(block, '__abstractmethods__', ())))}"
        )
    return block


def _import(module: str) -> types.ModuleType:
    try:
        return import_module(module)
    except (Exception, SystemExit) as error:  # whatever a module raises when it is imported
        raise UnknownBlockError(
            f"the module {module} cannot be imported: {type(error).__name__}: {one_line(error, 200)}"
        ) from None


def _bases(kind: Kind) -> tuple[type[Any], ...]:
    return tuple(getattr(_import(module), name) for module, name in _BASES[kind])


def checked_options(kind: Kind, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the class takes them.

    Raises:
        UnknownBlockError: there is no such class.
        ValidationError: options are unknown, missing, or of another type than the signature's annotations say; with the key
            of each.
    """
    fields = _option_types(kind, find_block(kind, name))
    try:
        checked: dict[str, Any] = _adapter(kind, name).validate_python(dict(options))
        return checked
    except ValidationError as error:
        by_option: dict[Any, dict[str, Any]] = {}
        for problem in error.errors(include_url=False):  # of several types that an option may have, each has an error
            first = by_option.setdefault(problem["loc"][:1], dict(problem))
            if problem["msg"] != first["msg"]:
                first["msg"] += f", or: {problem['msg'][:1].lower()}{problem['msg'][1:]}"
        problems = [_problem(kind, name, fields, problem) for problem in by_option.values()]
        raise ValidationError.from_exception_data(name, problems) from None


def _problem(kind: Kind, name: str, fields: Mapping[str, Any], error: Mapping[str, Any]) -> InitErrorDetails:
    message = error["msg"]
    if error["type"] == "missing":
        return InitErrorDetails(type="missing", loc=error["loc"], input=error["input"])
    if error["type"] == "extra_forbidden":
        option = str(error["loc"][0])
        close = difflib.get_close_matches(option, fields, n=1)
        if option in _RESERVED[kind]:
            message = f"cannot be set here: {_RESERVED[kind][option]}"
        elif close:
            message = f"{name} has no such option; did you mean '{close[0]}'?"
        else:
            message = f"{name} has no such option; its options are {', '.join(fields) or 'none'}"
    custom = PydanticCustomError("datatrove_option", "{message}", {"message": message})
    return InitErrorDetails(type=custom, loc=error["loc"][:1], input=error["input"])


@cache
def _adapter(kind: Kind, name: str) -> TypeAdapter[Any]:
    make: Any = TypedDict  # mypy wants the keys of a TypedDict written out
    options = make("options", _option_types(kind, find_block(kind, name)))
    options.__pydantic_config__ = ConfigDict(extra="forbid")
    return TypeAdapter(options)


def _option_types(kind: Kind, block: type[Any]) -> dict[str, Any]:
    """Option -> type that a recipe may write, wrapped in `Required` or `NotRequired`."""
    function: Callable[..., Any] = block.__init__
    try:
        hints = get_type_hints(function)
    except Exception:  # annotations that only a type checker can resolve
        hints = {}
    option_types = {}
    for name, parameter in inspect.signature(block).parameters.items():
        if name in _RESERVED[kind] or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        required = parameter.default is parameter.empty
        writable = _writable(hints.get(name, Any if required else type(parameter.default)))
        if writable is None:
            continue
        if not required and parameter.default is None:
            writable = writable | None if writable is not Any else Any
        option_types[name] = Required[writable] if required else NotRequired[writable]
    return option_types


def _writable(annotation: Any) -> Any:
    """The part of a type that YAML can hold; None if there is none.

    Only what annotations can be trusted in is checked: datatrove writes `int` for limits that may be fractions, and
    `tuple[X]` for tuples of any length.
    """
    if annotation is Any or annotation is type(None):
        return Any
    if annotation is int:
        return int | float
    if annotation in (str, float, bool):
        return annotation
    origin = get_origin(annotation) or annotation
    if origin is Literal:
        return annotation
    if origin in (Union, types.UnionType):
        members = [_writable(member) for member in get_args(annotation) if member is not type(None)]
        members = [member for member in members if member is not None]
        if not members or Any in members:
            return Any if members else None
        return Union[(*members, *([None] if type(None) in get_args(annotation) else []))]
    if origin is tuple:
        # Not looked into: DataFolderLike has tuple[str, AbstractFileSystem] besides tuple[str, dict].
        return tuple[Any, ...]
    if origin in (list, set, frozenset, abc.Iterable, abc.Collection, abc.Sequence):
        return list[Any] | tuple[Any, ...]
    if origin in (dict, abc.Mapping):
        return dict[Any, Any]
    return None


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A class of datatrove that recipes can name.

    `use` is the component that takes it, `name` the value of `class`, `summary` the first sentence of its docstring,
    `signature` its options with annotations and defaults.
    """

    use: str
    name: str
    summary: str
    signature: str


def catalogue() -> list[CatalogueEntry]:
    """The installed datatrove's classes that recipes can name, readers last, sorted by name."""
    entries = []
    for kind in _PACKAGES:
        for name, block in sorted(_own_blocks(kind)):
            options = _option_types(kind, block)
            parameters = inspect.signature(block).parameters
            signature = ", ".join(str(parameters[option]) for option in options)
            entries.append(CatalogueEntry(f"datatrove.{kind}", name, _summary(block), signature))
    return entries


def _summary(block: type[Any]) -> str:
    text = inspect.cleandoc(block.__doc__ or block.__init__.__doc__ or "").split("\n\n")[0]
    text = " ".join(text.split("Args:")[0].split())
    return text.split(". ")[0].rstrip(".:") + "." if text else ""
