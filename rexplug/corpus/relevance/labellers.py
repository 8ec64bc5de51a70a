"""The core's labellers that need no model: a file of labels, and the sources themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator

from rexplug.components import Candidate, Document, Labeller, LabellingContext
from rexplug.errors import DataError
from rexplug.io.tabular import read_records


def _words(value: Any) -> Any:
    return [_word(each) for each in (value if isinstance(value, list | tuple) else [value])]


def _word(value: Any) -> str:
    return str(value).strip().lower()


Values = Annotated[
    tuple[str, ...], BeforeValidator(_words, json_schema_input_type=list[str | bool | int]), Field(min_length=1)
]


class LabelFile(Labeller):
    """Labels from a file of JSON lines or CSV (.gz, .bz2 or .zst may follow).

    Rows with a text are the sample themselves; rows with an id alone label documents of the sources. A row without a label is
    left out.
    """

    name: ClassVar[str] = "label_file"

    path: Path
    """The file."""
    label_field: str = "label"
    """Column of the label."""
    text_field: str = "text"
    """Column of the text, if there is one."""
    id_field: str = "id"
    """Column of the document's id."""
    relevant: Values = ("1", "true", "yes", "relevant")
    """Labels that mean relevant, whatever their case."""
    other: Values = ("0", "false", "no", "other", "not relevant")
    """Labels that mean not relevant. Any other label is an error."""

    def inputs(self) -> Sequence[Path]:
        """The file."""
        return (self.path,)

    def check(self) -> None:
        """Read the file.

        Raises:
            DataError: it is missing, damaged, or a row has no known label; with file and line.
        """
        if not self._rows:
            raise DataError(f"label_file: {self.path} holds no labels")

    def own_documents(self) -> Iterator[Document] | None:
        """The texts of the file, if it has some."""
        if not any(text for _, text, _ in self._rows):
            return None
        return (Document(key, text) for key, text, _ in self._rows if text)

    def labelled_ids(self) -> frozenset[str] | None:
        """The ids of the file."""
        return frozenset(key for key, _, _ in self._rows)

    def label(self, candidates: Sequence[Candidate], context: LabellingContext) -> list[bool | None]:
        """By id."""
        labels = {key: label for key, _, label in self._rows}
        return [labels.get(each.document.id) for each in candidates]

    @cached_property
    def _rows(self) -> list[tuple[str, str, bool]]:
        """Id, text (empty if there is none) and label of each labelled row; the place is the id of a row that has none."""
        if not self.path.is_file():
            raise DataError(f"label_file: {self.path} does not exist")
        found: dict[str, tuple[str, str, bool]] = {}
        for number, row in self._records():
            place = f"{self.path}:{number}"
            value = row.get(self.label_field)
            if value is None or not _word(value):
                continue
            word = _word(value)
            if word not in self.relevant + self.other:
                raise DataError(
                    f"label_file: {place}: the label '{value}' is neither relevant ({', '.join(self.relevant)}) "
                    f"nor other ({', '.join(self.other)})"
                )
            text, key = str(row.get(self.text_field) or ""), str(row.get(self.id_field) or "")
            if not text.strip() and not key:
                raise DataError(
                    f"label_file: {place}: a row has '{self.text_field}' or '{self.id_field}', this one has neither"
                )
            if key in found and found[key][2] != (word in self.relevant):
                raise DataError(f"label_file: {place}: '{key}' was labelled otherwise before")
            found[key or place] = (key or place, text, word in self.relevant)
        return list(found.values())

    def _records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        kind = next((suffix for suffix in (".csv", ".tsv") if suffix in self.path.suffixes), ".jsonl")
        try:
            yield from read_records(self.path, kind=kind, short_rows=True)
        except DataError as error:
            raise DataError(f"label_file: {error}") from None


class SourceLabels(Labeller):
    """Each document has the label of its source: crude, but free where whole sources are known to be in or out."""

    name: ClassVar[str] = "source_labels"

    relevant: tuple[str, ...] = Field(min_length=1)
    """Sources whose documents are all relevant."""
    other: tuple[str, ...] = Field(min_length=1)
    """Sources whose documents are not."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        both = sorted(set(self.relevant) & set(self.other))
        if both:
            raise ValueError(f"'{both[0]}' is under `relevant` and under `other`")
        return self

    def label(self, candidates: Sequence[Candidate], context: LabellingContext) -> list[bool | None]:
        """By source; documents of sources that are in neither list teach nothing."""
        labels = {**dict.fromkeys(self.relevant, True), **dict.fromkeys(self.other, False)}
        return [labels.get(each.source) for each in candidates]
