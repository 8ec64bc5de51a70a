"""Limits of a trial: a component that is tried on made-up data asks no service and loads no library that takes seconds to load."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

SLOW_IMPORTS = frozenset(
    {"composer", "datasets", "jax", "mteb", "sentence_transformers", "spacy", "tensorflow", "torch", "transformers"}
)
"""Packages that take a second or more to import."""


class TrialOver(BaseException):
    """Ends a trial where the component needs something that a trial does not have; what it would do next is not checked.

    Not an `Exception`, so that code which tries again after errors does not.
    """


@dataclass
class TrialLimits:
    """Whether a trial has reached a limit: errors of the component after that are ignored."""

    reached: str | None = None
    """The first request of the component that a trial cannot meet, as a clause; None if there was none."""

    def end(self, reason: str) -> NoReturn:
        """End the trial.

        Raises:
            TrialOver: always.
        """
        self.reached = self.reached or reason
        raise TrialOver(reason)


@contextmanager
def trial_limits() -> Iterator[TrialLimits]:
    """Inside the context, opening a network connection or importing a slow package raises `TrialOver`.

    Threads that were running before may open connections, and packages that are loaded already may be imported. Connections that a
    library opens without Python's `socket`, and those of other processes, are not noticed.
    """
    limits = TrialLimits()
    with _no_connections(limits), _no_slow_imports(limits):
        yield limits


@contextmanager
def _no_connections(limits: TrialLimits) -> Iterator[None]:
    import socket

    others = {thread.ident for thread in threading.enumerate() if thread is not threading.current_thread()}
    lookup = socket.getaddrinfo
    # Nearly always those of the base class, which is written in C; another library may have replaced them.
    replaced = {name: vars(socket.socket).get(name) for name in ("connect", "connect_ex")}

    def refused() -> bool:
        return threading.get_ident() not in others

    def getaddrinfo(*arguments: Any, **options: Any) -> Any:
        if refused():
            limits.end("it opens a network connection")
        return lookup(*arguments, **options)

    def connecting(original: Any) -> Any:
        def method(connection: socket.socket, address: Any) -> Any:
            if refused() and connection.family in (socket.AF_INET, socket.AF_INET6):
                limits.end("it opens a network connection")
            return original(connection, address)

        return method

    socket.getaddrinfo = getaddrinfo
    for name in replaced:
        setattr(socket.socket, name, connecting(getattr(socket.socket, name)))
    try:
        yield
    finally:
        socket.getaddrinfo = lookup
        for name, before in replaced.items():
            if before is None:
                delattr(socket.socket, name)
            else:
                setattr(socket.socket, name, before)


@contextmanager
def _no_slow_imports(limits: TrialLimits) -> Iterator[None]:
    finder = _Finder(limits)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    """Finds slow packages as Python does, so that code which asks whether they are installed gets the right answer."""

    def __init__(self, limits: TrialLimits) -> None:
        self._limits = limits

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec of a slow package, with a loader that raises `TrialOver`; None for other modules."""
        if name not in SLOW_IMPORTS:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None:
            spec.loader = _Refusing(self._limits)
        return spec


class _Refusing(Loader):
    def __init__(self, limits: TrialLimits) -> None:
        self._limits = limits

    def exec_module(self, module: ModuleType) -> None:
        self._limits.end(f"it imports {module.__name__}")
