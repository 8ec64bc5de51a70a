"""Tells the user of errors that Python or a library raises where a file is damaged, in the way, or the disk is full."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from rexplug.api.folders import HasFolder
from rexplug.errors import DataError, RexplugError, blocked, full_disk
from rexplug.plugins.calls import plugin_at_fault

P = ParamSpec("P")
R = TypeVar("R")


def explained(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function: errors of other libraries leave it as a `DataError`, if the files of a run in its arguments explain them.

    What nothing explains is a mistake of rexplug or of a plugin, and is raised as it is.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except RexplugError:
            raise
        except Exception as error:
            if (blamed := plugin_at_fault(error)) is not None and full_disk(error) is None:
                raise blamed from error
            explanation = _explanation(error, [*args, *kwargs.values()])
            if explanation is None:
                raise
            raise DataError(explanation) from error

    return call


def _explanation(error: Exception, arguments: list[Any]) -> str | None:
    from rexplug.pipeline.damage import damage_in

    if (reason := full_disk(error)) is not None:
        return f"the disk is full ({reason}); make room, and the same call continues from there"
    return next(damage_in(list(_paths_in(arguments))), None) or blocked(error)


def _paths_in(arguments: list[Any]) -> Iterator[str]:
    for argument in arguments:
        if isinstance(argument, HasFolder):
            yield os.fspath(argument.folder)
        elif isinstance(argument, str | os.PathLike):
            yield str(argument)
        elif isinstance(argument, list | tuple):
            yield from _paths_in(list(argument))
