"""A document: one text and where it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Document:
    """One text and where it came from.

    `id` is stable: the same input gives the same id whatever the number of workers.
    """

    id: str
    text: str
    url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    _made: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def cached(self, name: str, make: Callable[[str], T]) -> T:
        """`make(text)`, worked out by the first filter that asks for `name` and remembered for those after it."""
        if name not in self._made:
            self._made[name] = make(self.text)
        return cast("T", self._made[name])
