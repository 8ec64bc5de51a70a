"""The document: one text and where it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

T = TypeVar("T")


ERROR = "rexplug_error"
"""Metadata key of a record that could not be read; curation drops it with this reason."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What a source yields in place of a document that it cannot read; curation counts it as dropped, with the reason.

    The source goes on with the next record; an exception would end the curation. Filters do not see it.
    """

    id: str
    """Identifies the record, as the id of a document would."""
    reason: str
    """The reason in a few words, without details of the record: records of the same reason are counted together."""
    place: str = ""
    """Where the source read it."""

    def document(self) -> Document:
        """The empty document that stands for it in curation."""
        return Document(self.id, "", None, {**({"place": self.place} if self.place else {}), ERROR: self.reason})


@dataclass(frozen=True, slots=True)
class Document:
    """One text and where it came from.

    A source makes it during curation, filters judge it one after the other, and the run stores it if all of them keep it. It is
    not changed in place: a filter gives a new text or new metadata with its `Verdict`.
    """

    id: str
    """Identifies the document: the same input gives the same id, whatever the number of workers."""
    text: str
    """The document's text, which is filtered, tokenized and trained on."""
    url: str | None = None
    """The web address of the page, if it has one."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Further fields from the source; `place` says where the source read the document."""
    _cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def cached(self, name: str, make: Callable[[str], T]) -> T:
        """`make(text)`, computed at the first call with `name` and cached for later calls, so that filters share work.

        All filters share the names, of whatever plugin: begin a plugin's own with its name (`legal.words`). `make` depends on the
        text alone, not on a filter's options.
        """
        if name not in self._cache:
            self._cache[name] = make(self.text)
        return cast("T", self._cache[name])
