"""Reads the arguments of the API: what has another type than documented is refused with the argument's name."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar

from rexplug.api.folders import HasFolder, path_or_none, shown
from rexplug.errors import RexplugError
from rexplug.progress import Progress, Silent

if TYPE_CHECKING:
    from rexplug.recipe import Recipe

T = TypeVar("T")


def path_of(name: str, value: Any) -> Path:
    """A path, or the folder of a `Run`.

    Raises:
        RexplugError: it is something else, or empty.
    """
    path = path_or_none(value)
    if path is None:
        raise RexplugError(f"{name} is a path, not {shown(value)}")
    return path


def optional_path_of(name: str, value: Any) -> Path | None:
    """`path_of`, for an argument that may be left out.

    Raises:
        RexplugError: it is something else, or empty.
    """
    return path_of(name, value) if value is not None else None


def progress_of(value: Any) -> Progress:
    """The object that receives what happens; one that ignores it if left out.

    Raises:
        RexplugError: it does not have the methods of `Progress`.
    """
    if value is None:
        return Silent()
    if not isinstance(value, Progress):
        raise RexplugError(
            f"progress is an object with start, update and note (see rexplug.api.Progress), not {shown(value)}"
        )
    return value


def recipe_of(value: Any) -> Recipe:
    """A recipe that `load_recipe` returned.

    Raises:
        RexplugError: it is something else, e.g. the path of a recipe.
    """
    from rexplug.recipe import Recipe

    if not isinstance(value, Recipe):
        raise RexplugError(f"the recipe is what rexplug.load_recipe returns, not {shown(value)}")
    return value


def strings_of(name: str, value: str | Iterable[str]) -> list[str]:
    """Several strings; a single one counts as a list of one.

    Raises:
        RexplugError: it is something else.
    """
    values = list_of(name, value, "strings")
    for item in values:
        if not isinstance(item, str):
            raise RexplugError(f"{name} is a list of strings, but one of them is {shown(item)}")
    return values


def list_of(name: str, value: Any, what: str) -> list[Any]:
    """A list of `what`; a single string, path or run counts as a list of one.

    Raises:
        RexplugError: it is something else.
    """
    if isinstance(value, str | os.PathLike | HasFolder):
        return [value]
    if isinstance(value, bytes | dict) or not isinstance(value, Iterable):
        raise RexplugError(f"{name} is a list of {what}, not {shown(value)}")
    return list(value)


def one_of(name: str, value: Any, known: Sequence[T]) -> T:
    """One of the known values.

    Raises:
        RexplugError: it is something else.
    """
    for choice in known:
        if value == choice:
            return choice
    raise RexplugError(f"{name} is {', '.join(map(str, known[:-1]))} or {known[-1]}, not {shown(value)}")


def whole_number(name: str, value: SupportsIndex, *, at_least: int | None = None) -> int:
    """A whole number, of numpy too.

    Raises:
        RexplugError: it is something else, or less than `at_least`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise RexplugError(f"{name} is a whole number, not {shown(value)}") from None
    if at_least is not None and number < at_least:
        raise RexplugError(f"{name} is at least {at_least}, not {number}")
    return number
