"""Base class of the evaluators that measure on documents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field

from rexplug.components import Budget, Document, DocumentSource, EvaluationContext, Evaluator, Shard, Use, split_of
from rexplug.errors import DataError
from rexplug.io.hub import HubName
from rexplug.plugins.calls import read_documents
from rexplug.plugins.declarations import all_input_files, check_component


class DocumentEvaluator(Evaluator):
    """Measures on the documents that a run held out, or on documents of its own."""

    documents: int = Field(default=120, ge=1)
    """Documents of each source."""
    sources: tuple[str, ...] | None = None
    """The sources to measure on; all if left out."""
    part: Literal["all", "dev", "test"] = "all"
    """Half of the documents, by a hash of their text: `dev` to choose by, `test` to report what was chosen."""
    texts: dict[str, Annotated[DocumentSource, Use()]] = Field(default_factory=dict)
    """Name -> source of documents to measure on in place of a run's held-out ones; no model must have trained on them."""

    def at_budget(self, budget: Budget) -> Self:
        """A third of the documents for `quick`, three times as many for `full`."""
        documents = {"quick": -(-self.documents // 3), "standard": self.documents, "full": 3 * self.documents}
        return super().at_budget(budget).model_copy(update={"documents": documents[budget]})

    @property
    def needs_held_out(self) -> bool:
        """Whether a run must hold out documents: only if the evaluator has no texts of its own."""
        return not self.texts

    def check(self) -> None:
        """Check that the evaluator's own texts can be read."""
        for source in self.texts.values():
            check_component(source)

    def hub_names(self) -> Sequence[HubName]:
        """The hub datasets of the evaluator's own texts."""
        return [name for source in self.texts.values() for name in source.hub_names()]

    def inputs(self) -> Sequence[Path]:
        """The files of the evaluator's own texts."""
        return all_input_files(tuple(self.texts.values()))

    def test_texts(self) -> Mapping[str, str]:
        """The full text of the evaluator's own documents, by `<source>/<document id>`."""
        return {
            f"{name}/{document.id}": document.text
            for name, documents in self._own_documents().items()
            for document in documents
        }

    def why_no_test_texts(self) -> str | None:
        """Held-out documents are not known before curation, which keeps them and their copies out of training itself."""
        return None if self.texts else "it measures on documents that the run holds out after curation"

    def select_documents(self, context: EvaluationContext) -> dict[str, Sequence[Document]]:
        """The documents to measure on, by source: the evaluator's own `texts`, or those that the run held out.

        Raises:
            DataError: a source named in `sources` does not exist, or there are no documents.
        """
        if self.texts:
            return self._own_documents()
        if not context.held_out:
            raise DataError(
                f"{self.label}: there are no held-out documents; evaluate with the recipe of a run, or give it 'texts'"
            )
        return self._selected({name: list(documents) for name, documents in context.held_out.items()})

    def _own_documents(self) -> dict[str, Sequence[Document]]:
        by_source = {name: list(read_documents(source, Shard(0, 1))) for name, source in self.texts.items()}
        return self._selected(
            {
                name: sorted(documents, key=lambda d: hashlib.blake2b(d.text.encode(), digest_size=8).digest())
                for name, documents in by_source.items()
            }
        )

    def _selected(self, by_source: Mapping[str, Sequence[Document]]) -> dict[str, Sequence[Document]]:
        selected: dict[str, Sequence[Document]] = {}
        for name in self.sources or tuple(by_source):
            if name not in by_source:
                raise DataError(f"{self.label}: there is no source '{name}'; the sources are {', '.join(by_source)}")
            documents = by_source[name]
            if self.part != "all":
                documents = [
                    document for document in documents if split_of(document.text, dev=0.5, test=0.5) == self.part
                ]
            selected[name] = documents[: self.documents]
            if not selected[name]:
                raise DataError(f"{self.label}: nothing of '{name}' was held out; raise curation.held_out")
        return selected
