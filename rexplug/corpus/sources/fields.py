"""Options that say which fields of a record make a document, and the document they make."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field, field_validator

from rexplug.components import Document, DocumentSource
from rexplug.components.document import ERROR
from rexplug.corpus.sources.files import InputFile, Names, document_with

_PAIRS = ({"key", "value"}, {"name", "value"})
"""Fields of the records in a list that stands for a map: as Spark and Avro write maps, and shops write properties."""


class Fields(DocumentSource):
    """Base class of sources of records: options that say which fields make a document; `a.b` means field b inside field a.

    A source of files subclasses it beside `FileSource` (`class Notices(Fields, FileSource)`), reads records, and makes each a
    document with `document_of`.
    """

    text: Names = ("text",)
    """Field or fields that hold the text; several are joined by a blank line, missing ones left out. A list is written an item
    a line, a map or record as lines like `colour: red`, numbers as they are."""
    id: str | None = None
    """Field that holds the id; if left out, the id is the file and the record's position in it."""
    url: str | None = "url"
    """Field that holds the address, if there is one."""
    metadata: dict[str, str] = Field(default_factory=dict)
    """Further fields to carry along: name in the metadata -> field. `place`, `changed` and `rexplug_error` are taken."""

    @field_validator("metadata")
    @classmethod
    def _names_are_free(cls, metadata: dict[str, str]) -> dict[str, str]:
        for name in (ERROR, "changed", "place"):
            if name in metadata:
                raise ValueError(
                    f"'{name}' is a name that rexplug gives; choose another one for the field '{metadata[name]}'"
                )
        return metadata

    def fields(self) -> Iterator[str]:
        """The fields that the options name."""
        yield from (*self.text, *self.metadata.values(), *filter(None, (self.id, self.url)))

    def has_text_column(self, columns: Collection[str]) -> bool:
        """Whether one of the text fields is one of the columns of a table, or inside of one."""
        return any(column_of(name, columns) is not None for name in self.text)

    def document_of(self, record: Mapping[str, Any], file: InputFile, place: int | str) -> Document:
        """The document that the options make of a record.

        A record without text (numbers alone are not text), or with bytes in a text field that are not UTF-8, becomes an empty
        document that curation drops and counts with the reason.

        Args:
            record: name of a field -> value: texts, numbers, bytes, lists and mappings of these.
            file: where it was read, for the document's id and `place`. A source that reads no files makes an `InputFile` with an
                id of its own, such as the name of a table.
            place: where in the file: a line, a row, an offset.
        """
        parts, has_words, reason = [], False, f"no text in {' or '.join(self.text)}"
        try:
            for name in self.text:
                value = field_of(record, name)
                if not isinstance(value, str):
                    value = plain(value)
                    has_words = has_words or _holds_words(value)
                    value = written(value)
                elif value := value.strip():
                    has_words = True
                if value:
                    parts.append(value)
        except UnicodeDecodeError:
            parts, reason = [], "invalid UTF-8"
        own_id = plain(field_of(record, self.id), strict=False) if self.id else None
        url = plain(field_of(record, self.url), strict=False) if self.url else None
        further = {key: plain(field_of(record, name), strict=False) for key, name in self.metadata.items()}
        if not has_words or not parts:
            parts, further[ERROR] = [], reason
        text = parts[0] if len(parts) == 1 else "\n\n".join(parts)
        if isinstance(url, list):
            url = next((address for address in url if isinstance(address, str)), None)
        return document_with(
            file, place, text, _name(url) if url else None, _name(own_id) if own_id is not None else None, further
        )


def _name(value: Any) -> str:
    """An id or address as text; of a record or list its entries, since Python's form of them depends on their types."""
    return _in_line(value) if isinstance(value, Mapping | list) else str(value)


def column_of(name: str, columns: Collection[str]) -> str | None:
    """The column that a field is, or that it lies in: the longest whose name is `name` or its beginning before a dot."""
    while name not in columns:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return name


def field_of(record: Any, name: str) -> Any:
    """The value of a field; of a field inside the records of a list, the list of its values.

    Names with dots are looked up whole first: tables that were flattened have columns called `a.b`.
    """
    if isinstance(record, dict | Mapping):  # the first of them is faster to tell
        if name in record or "." not in name:
            return record.get(name)
        if (column := column_of(name, record)) is not None:
            return field_of(record[column], name[len(column) + 1 :])
        return None
    if is_map(record):
        return field_of(dict(record), name)
    if isinstance(record, list):
        values = [field_of(item, name) for item in record]
        return [item for value in values for item in (value if isinstance(value, list) else [value])] or None
    return None


def is_map(value: Any) -> bool:
    """Whether a value is a map as Arrow hands it over: a list of pairs."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], tuple)


def plain(value: Any, *, strict: bool = True) -> Any:
    """A value with its maps as mappings and its bytes as text; unless `strict`, bytes that are not UTF-8 as hexadecimal digits.

    Raises:
        UnicodeDecodeError: bytes are not UTF-8, and `strict` is true.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            if strict:
                raise
            return value.hex()
    if is_map(value):
        value = dict(value)
    if isinstance(value, Mapping):
        return {plain(key, strict=strict): plain(item, strict=strict) for key, item in value.items()}
    return [plain(item, strict=strict) for item in value] if isinstance(value, list) else value


def written(value: Any) -> str:
    """A value as text: an item of a list a line, and so is an entry of a map or record; empty where there is none."""
    if isinstance(value, list) and (entries := _entries_of(value)) is not None:
        return "\n".join(entries)
    if isinstance(value, list):
        return "\n".join(filter(None, (item if isinstance(item, str) else _in_line(item) for item in value))).strip()
    return "\n".join(_entries(value.items())) if isinstance(value, Mapping) else _in_line(value)


def _in_line(value: Any) -> str:
    """A value inside of a line."""
    match value:
        case None:
            return ""
        case str():
            return value.strip()
        case bool():
            return "true" if value else "false"
        case float():
            return str(value) if math.isfinite(value) else ""
        case Mapping():
            return ", ".join(_entries(value.items()))
        case list():
            entries = _entries_of(value)
            return ", ".join(filter(None, map(_in_line, value)) if entries is None else entries)
    return str(value)


def _entries_of(items: Sequence[Any]) -> list[str] | None:
    """The entries of a map that is written as a list of records, such as {"name": "Colour", "value": "red"}."""
    if items and all(isinstance(item, Mapping) and set(item) in _PAIRS for item in items):
        return _entries((item.get("key") or item.get("name"), item["value"]) for item in items)
    return None


def _entries(pairs: Any) -> list[str]:
    return [f"{_in_line(name)}: {text}" for name, value in pairs if (text := _in_line(value))]


def _holds_words(value: Any) -> bool:
    """Whether there is text in a value, and not numbers alone."""
    if isinstance(value, Mapping):
        return bool(written(value))
    return any(map(_holds_words, value)) if isinstance(value, list) else isinstance(value, str) and bool(value.strip())
