"""Calls functions in another process, where a component has no state from earlier calls."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from rexplug.plugins.files import loaded_files, unpickle

T = TypeVar("T")


def call_elsewhere(other_process: Executor, function: Callable[..., T], *arguments: Any) -> T | None:
    """The result of a function in another process.

    Args:
        other_process: runs it.
        function: a function of a module.
        arguments: sent there by pickling.

    Returns:
        The result; None if a component's class cannot be imported there, such as one that a test defines. What the function
        raises is raised here.
    """
    return other_process.submit(_called, function, pickle.dumps(arguments), loaded_files()).result()


def _called(function: Callable[..., T], data: bytes, files: dict[str, str]) -> T | None:
    try:
        arguments = unpickle(data, files)
    except (ImportError, AttributeError):
        return None
    return function(*arguments)
