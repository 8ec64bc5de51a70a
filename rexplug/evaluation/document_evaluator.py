"""Base class of the evaluators that measure on documents."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from rexplug.components import (
    Budget,
    CorpusFilter,
    Document,
    DocumentSource,
    EvaluationContext,
    Evaluator,
    Shard,
    Use,
    split_of,
)
from rexplug.components.evaluation_tasks import scaled_items
from rexplug.corpus.filtered import filtered
from rexplug.corpus.sources import Csv, FileSource, HtmlFiles, Jsonl, Parquet, TextFiles
from rexplug.errors import DataError
from rexplug.io.hub import HubName
from rexplug.plugins.calls import all_input_files, check_component, hub_names, read_documents

_READERS: tuple[type[FileSource], ...] = (Jsonl, Parquet, Csv, TextFiles, HtmlFiles)
"""The sources that read files of a user's own, by how the names end."""


class DocumentEvaluator(Evaluator):
    """Measures on the documents that a run held out, or on documents of its own."""

    documents: int = Field(default=120, ge=1)
    """Documents of each source."""
    sources: tuple[str, ...] | None = None
    """The sources to measure on; all if left out."""
    part: Literal["all", "dev", "test"] = "all"
    """Half of the documents, by a hash of their text: `dev` to choose by, `test` to report what was chosen."""
    texts: dict[str, Annotated[DocumentSource, Use()]] = Field(default_factory=dict)
    """Name -> source of documents to measure on in place of a run's held-out ones, with the filters that they pass first; no
    model must have trained on them."""
    files: tuple[str, ...] = ()
    """Files or globs to measure on in place of a run's held-out documents, each a source named by its file: .jsonl, .json,
    .parquet, .csv, .tsv, .txt, .md, .html, compressed or not. They are read as a recipe's source with default options reads them,
    the text from the column `text`; `texts` is for other options. A text file is one document."""

    @field_validator("texts")
    @classmethod
    def _filters_need_no_corpus(cls, value: dict[str, DocumentSource]) -> dict[str, DocumentSource]:
        for name, source in value.items():
            for corpus_filter in source.filters:
                if type(corpus_filter).fit is not CorpusFilter.fit:
                    raise PydanticCustomError(
                        "texts",
                        "{name}: the filter {filter} learns from the corpus of a run, and an evaluator has none",
                        {"name": name, "filter": corpus_filter.name},
                    )
        return value

    @field_validator("files", mode="before")
    @classmethod
    def _one_file(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("files")
    @classmethod
    def _readable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for path in value:
            if _reader(path) is None:
                raise PydanticCustomError(
                    "files",
                    "{path}: no source reads files of this name; they end in {known}, or write it as a source under `texts`",
                    {"path": path, "known": ", ".join(dict.fromkeys(_plain_suffixes()))},
                )
        return value

    def at_budget(self, budget: Budget) -> Self:
        """A third of the documents for `quick`, three times as many for `full`."""
        documents = scaled_items(self.documents, budget)
        return super().at_budget(budget).model_copy(update={"documents": documents})

    @property
    def needs_held_out(self) -> bool:
        """Whether a run must hold out documents: only if the evaluator has no texts of its own."""
        return not self._own

    @property
    def _own(self) -> dict[str, DocumentSource]:
        """The evaluator's own documents by name: its `texts`, and a source for each of its `files`."""
        own: dict[str, DocumentSource] = dict(self.texts)
        for path in self.files:
            reader = _reader(path)
            assert reader is not None
            stem = Path(path).name.split(".")[0]
            stem = Path(path).parent.name or "files" if not stem or set(stem) & set("*?[") else stem
            name, number = stem, 1
            while name in own:
                number += 1
                name = f"{stem}-{number}"
            own[name] = reader(paths=(path,))
        return own

    def check(self) -> None:
        """Check that the evaluator's own texts can be read."""
        for source in self._own.values():
            for component in (source, *source.filters):
                check_component(component)

    def hub_names(self) -> Sequence[HubName]:
        """The hub datasets of the evaluator's own texts."""
        return [name for source in self._own.values() for name in hub_names(source)]

    def inputs(self) -> Sequence[Path]:
        """The files of the evaluator's own texts."""
        return all_input_files(tuple(self._own.values()))

    def test_texts(self) -> Mapping[str, str]:
        """The full text of the evaluator's own documents, by `<source>/<document id>`."""
        return {
            f"{name}/{document.id}": document.text
            for name, documents in self._own_documents().items()
            for document in documents
        }

    def why_no_test_texts(self) -> str | None:
        """Held-out documents are not known before curation, which keeps them and their copies out of training itself."""
        return None if self._own else "it measures on documents that the run holds out after curation"

    def select_documents(self, context: EvaluationContext) -> dict[str, Sequence[Document]]:
        """The documents to measure on, by source: the evaluator's own `texts` and `files`, or those that the run held out.

        Raises:
            DataError: a source named in `sources` does not exist, or there are no documents.
        """
        if self._own:
            return self._required(self._own_documents(), "'{}' has no documents with text")
        if not context.held_out:
            raise DataError(
                f"{self.label}: there are no held-out documents; evaluate with the recipe of a run, or give it 'files' or 'texts'"
            )
        selected: dict[str, Sequence[Document]] = {
            name: [document for document in context.held_out[name] if self._in_part(document)][: self.documents]
            for name in self._names(context.held_out)
        }
        return self._required(selected, "nothing of '{}' was held out; raise curation.held_out")

    def _own_documents(self) -> dict[str, Sequence[Document]]:
        own = self._own
        return {name: self._chosen(own[name]) for name in self._names(own)}

    def _chosen(self, source: DocumentSource) -> Sequence[Document]:
        """At most `documents` that pass the source's filters, by a hash of their text; the others are not kept in memory."""
        kept = (filtered(d, source.filters) for d in read_documents(source, Shard(0, 1)) if d.text)
        with_text = (d for d in kept if d is not None and d.text and self._in_part(d))
        return heapq.nsmallest(
            self.documents, with_text, key=lambda d: hashlib.blake2b(d.text.encode(), digest_size=8).digest()
        )

    def _in_part(self, document: Document) -> bool:
        return self.part == "all" or split_of(document.text, dev=0.5, test=0.5) == self.part

    def _names(self, by_source: Mapping[str, object]) -> Sequence[str]:
        """The names of the sources to measure on."""
        for name in self.sources or ():
            if name not in by_source:
                raise DataError(f"{self.label}: there is no source '{name}'; the sources are {', '.join(by_source)}")
        return self.sources or tuple(by_source)

    def _required(self, selected: dict[str, Sequence[Document]], why: str) -> dict[str, Sequence[Document]]:
        for name, documents in selected.items():
            if not documents:
                raise DataError(f"{self.label}: {why.format(name)}")
        return selected


def _reader(path: str) -> type[FileSource] | None:
    """The source that reads a file of this name; None if there is none."""
    return next((reader for reader in _READERS if path.lower().endswith(reader.suffixes)), None)


def _plain_suffixes() -> list[str]:
    """Ends of the names of readable files, without those of compressed ones."""
    return [suffix for reader in _READERS for suffix in reader.suffixes if suffix.count(".") == 1]
