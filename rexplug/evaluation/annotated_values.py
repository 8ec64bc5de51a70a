"""Texts with annotated attribute values, read from tables: which values there are, and where they occur in their texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rexplug.errors import DataError, brief
from rexplug.io.tabular import column, read_records
from rexplug.text.characters import BEYOND_PLAIN
from rexplug.text.words import word_bounds

NO_VALUE = "n/a"
"""How AE-110K and OA-Mine write that the text has no value of an attribute."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value of an attribute, and where it occurs in its text.

    Attributes:
        attribute: name of the attribute.
        text: the value as it is written in the text.
        places: first character and end of each occurrence as whole words, in order.
    """

    attribute: str
    text: str
    places: tuple[tuple[int, int], ...]


@dataclass
class AnnotatedText:
    """A text and its values; no two of them begin and end at the same characters."""

    text: str
    values: list[Value] = field(default_factory=list)

    def add(self, attribute: str, value: str, places: tuple[tuple[int, int], ...]) -> None:
        """Add a value unless there is one at the same place already, of this or of another attribute."""
        if all(known.places[0] != places[0] for known in self.values):
            self.values.append(Value(attribute, value, places))


@dataclass(frozen=True)
class Annotations:
    """The texts of some tables by text, and how many values occur only inside longer words and are left out."""

    texts: Mapping[str, AnnotatedText]
    num_inside_words: int


def read_annotations(
    paths: Sequence[Path], text_column: str, value_column: str, fields: Sequence[str], label: str
) -> Annotations:
    """Read texts and values; rows with the same text become one.

    Args:
        paths: .jsonl, .csv or .tsv files, compressed or not.
        text_column: the column with the text.
        value_column: the column with the values by attribute; not read if there are `fields`.
        fields: columns that are attributes. Their values count where they occur in the text, and need not occur there.
        label: name of the evaluator, for messages.

    Raises:
        DataError: a file cannot be read, or a row does not hold what it should.
    """
    texts: dict[str, AnnotatedText] = {}
    known_fields: set[str] = set()
    num_inside_words = 0
    for path in paths:
        for number, row in read_records(path):
            place = f"{label}: {path}:{number}"
            text = column(row, [text_column], place)
            if not isinstance(text, str):
                raise DataError(f"{place}: {text_column} is {brief(text)}, expected a text")
            annotated = texts.setdefault(text, AnnotatedText(text))
            if fields:
                known_fields.update(name for name in fields if name in row)
                for name in fields:
                    for value in _field_values(row.get(name)):
                        if places := whole_word_places(value, text):
                            annotated.add(name, value, places)
                continue
            for attribute, value in _annotated_values(column(row, [value_column], place), value_column, place):
                if value not in text:
                    raise DataError(
                        f"{place}: the value {brief(value)} of {brief(attribute)} does not occur in {text_column}"
                    )
                if places := whole_word_places(value, text):
                    annotated.add(attribute, value, places)
                else:
                    num_inside_words += 1
    missing = [name for name in fields if name not in known_fields]
    if missing and texts:
        raise DataError(f"{label}: fields: no row of {', '.join(map(str, paths))} has a column '{missing[0]}'")
    return Annotations(texts, num_inside_words)


def whole_word_places(value: str, text: str) -> tuple[tuple[int, int], ...]:
    """First character and end of each occurrence of `value` that does not continue a word: `Men` not in `Women's`.

    In scripts without spaces it must begin and end where a word of the text does.
    """
    if not text.isascii() and BEYOND_PLAIN.search(text):
        return tuple(_places_between_words(value, text))
    pattern = rf"(?<!\w){re.escape(value)}" if re.match(r"\w", value) else re.escape(value)
    if re.search(r"\w$", value):
        pattern += r"(?!\w)"
    return tuple(match.span() for match in re.finditer(pattern, text))


def _places_between_words(value: str, text: str) -> Iterator[tuple[int, int]]:
    import numpy as np

    starts, ends = word_bounds(text)
    inside = np.zeros(len(text) + 1, np.bool_)
    """Whether two neighbouring characters belong to the same word."""
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        inside[start + 1 : end] = True
    at = text.find(value)
    while at >= 0:
        end = at + len(value)
        if not inside[at] and not inside[end]:
            yield at, end
            at = text.find(value, end)
        else:
            at = text.find(value, at + 1)


def _field_values(content: Any) -> Iterator[str]:
    """The values of a field: texts and numbers, or a list of them; nothing else is a value that a text might hold."""
    for value in content if isinstance(content, list) else [content]:
        if isinstance(value, str) and any(char.isalnum() for char in value):
            yield value.strip()
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{value:g}" if isinstance(value, float) else str(value)


def _annotated_values(content: Any, name: str, place: str) -> Iterator[tuple[str, str]]:
    """Yield (attribute, value) of `{attribute: value}`, `{attribute: [value, ...]}` or `{attribute: {value: anything}}`."""
    if not isinstance(content, Mapping):
        raise DataError(
            f'{place}: {name} is {brief(content)}, expected values by attribute such as {{"Brand": "Acme"}}'
        )
    for attribute, values in content.items():
        if values is None:
            continue
        listed = values if isinstance(values, list | Mapping) else [values]
        for value in listed:
            if not isinstance(value, str):
                raise DataError(f"{place}: {name}: a value of {brief(attribute)} is {brief(value)}, expected a text")
            # A value without letters and digits ("-") is a mistake of the annotation.
            if value != NO_VALUE and any(char.isalnum() for char in value):
                yield str(attribute), value.strip()
