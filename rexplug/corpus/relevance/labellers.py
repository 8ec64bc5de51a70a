"""Labellers without a language model: labels from a file, and labels by source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator

from rexplug.components import Candidate, Document, Labeller, LabellingContext
from rexplug.errors import DataError
from rexplug.io.tabular import read_records


def _normalised_labels(value: Any) -> Any:
    return [_normalised_label(item) for item in (value if isinstance(value, list | tuple) else [value])]


def _normalised_label(value: Any) -> str:
    return str(value).strip().lower()


Values = Annotated[
    tuple[str, ...],
    BeforeValidator(_normalised_labels, json_schema_input_type=list[str | bool | int]),
    Field(min_length=1),
]


class LabelFile(Labeller):
    """Labels from a file of JSON lines or CSV (.gz, .bz2, .zst or .xz may follow).

    Rows with a text are the sample themselves; rows with an id alone label documents of the sources. A row without a label is
    left out.
    """

    name: ClassVar[str] = "label_file"

    path: Path
    """The file of labels."""
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
        """The file of labels, so that a change of it is noticed."""
        return (self.path,)

    def check(self) -> None:
        """Check that the file can be read and has labels.

        Raises:
            DataError: it is missing, damaged, or a row has no known label; with file and line.
        """
        if not self._rows:
            raise DataError(f"label_file: {self.path} holds no labels")

    def own_documents(self) -> Iterator[Document] | None:
        """The texts of the file; None if it has none."""
        if not any(text for _, text, _ in self._rows):
            return None
        return (Document(key, text) for key, text, _ in self._rows if text)

    def labelled_ids(self) -> frozenset[str] | None:
        """The ids that the file labels."""
        return frozenset(key for key, _, _ in self._rows)

    def label(self, candidates: Sequence[Candidate], context: LabellingContext) -> list[bool | None]:
        """The labels that the file has for the ids of the candidates."""
        labels = {key: label for key, _, label in self._rows}
        return [labels.get(candidate.document.id) for candidate in candidates]

    @cached_property
    def _rows(self) -> list[tuple[str, str, bool]]:
        """Id, text (empty if there is none) and label of each labelled row; the place is the id of a row that has none."""
        if not self.path.is_file():
            raise DataError(f"label_file: {self.path} does not exist")
        rows: dict[str, tuple[str, str, bool]] = {}
        for number, row in self._records():
            place = f"{self.path}:{number}"
            value = row.get(self.label_field)
            if value is None or not _normalised_label(value):
                continue
            word = _normalised_label(value)
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
            if key in rows and rows[key][2] != (word in self.relevant):
                raise DataError(f"label_file: {place}: '{key}' has another label in an earlier row")
            rows[key or place] = (key or place, text, word in self.relevant)
        return list(rows.values())

    def _records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        kind = next((suffix for suffix in (".csv", ".tsv") if suffix in self.path.suffixes), ".jsonl")
        try:
            yield from read_records(self.path, kind=kind, short_rows=True)
        except DataError as error:
            raise DataError(f"label_file: {error}") from None


class SourceLabels(Labeller):
    """Each document has the label of its source: crude, but free where it is known that sources are relevant or not as a whole."""

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
        """The labels of the candidates' sources; None for a source that is in neither list."""
        labels = {**dict.fromkeys(self.relevant, True), **dict.fromkeys(self.other, False)}
        return [labels.get(candidate.source) for candidate in candidates]
