"""Document sources: read documents from files, archives or elsewhere."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from rexplug.components.base import Component, Use
from rexplug.components.corpus_filter import CorpusFilter
from rexplug.components.document import Document, Unreadable
from rexplug.components.quantities import Quantity


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` parts of a source, with the number `index` from 0.

    rexplug makes them and reads the shards in several processes and in any order; `count` is what `num_shards()` returned. After a
    stop, curation reads only shards that were not finished. Where all documents are needed at once it asks for `Shard(0, 1)`, so a
    source must work for any `count`.
    """

    index: int
    """The number of the shard, from 0 to `count - 1`."""
    count: int
    """The number of shards."""


class DocumentSource(Component):
    """Yields documents. In the recipe, the filters that decide which of them are kept belong to the source.

    Curation reads it in worker processes, several shards at a time, and again where something learns from a sample: what it yields
    depends on its options and its files alone.
    """

    kind: ClassVar[str] = "document source"

    filters: tuple[Annotated[CorpusFilter, Use()], ...] = ()
    """Filters, in the order in which they judge; the first one that rejects a document drops it."""
    limit: Annotated[Quantity, Field(gt=0)] | None = None
    """Read at most this many documents of the source (before filters), spread evenly over its shards; all if left out."""
    sample: Annotated[float, Field(gt=0, le=1)] | None = None
    """Read this share of the documents, chosen by a hash of their ids, before `limit` applies; all if left out."""
    license: str | None = None
    """The licence of the texts, as the Hugging Face hub spells it (`cc-by-4.0`); shown on the dataset card."""

    @abstractmethod
    def documents(self, shard: Shard) -> Iterator[Document | Unreadable]:
        """The documents of `shard`, always the same in the same order; all shards together yield every document once.

        In place of one that cannot be read `Unreadable` is yielded; an exception ends the curation.
        """

    def num_shards(self) -> int:
        """The number of shards into which the source divides: the units of parallel work and of resuming after a stop."""
        return 1

    def inputs(self) -> Sequence[Path]:
        """The local files that the source reads; empty if it reads none."""
        return ()

    def stamps(self) -> dict[str, list[Any]]:
        """File -> its size and modification time, which show that an input has changed without reading it."""
        return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in self.inputs()}

    def check(self) -> None:
        """Check that the source can be read, without reading it; `rexplug check` and `run` call this first.

        Raises:
            DataError: files are missing or a package that the source needs is not installed.
        """

    @property
    def synthetic(self) -> bool:
        """Whether a program generated the texts; reports label results on them as synthetic."""
        return False
