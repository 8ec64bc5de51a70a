"""Reads and writes documents in Parquet files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rexplug.components import Document
from rexplug.errors import DataError, brief
from rexplug.io.atomic import replacing
from rexplug.io.compression import DamagedFile
from rexplug.io.tabular import BadRecord, open_parquet, parquet_records

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_ROWS, _GROUP_CHARACTERS = 5000, 8_000_000
"""A group of rows is written once it has so many documents, or characters of text."""


class UnwritableMetadata(DataError):
    """The metadata of a document hold something that JSON cannot store: a mapping that contains itself, a key that is a tuple."""


class DocumentWriter:
    """Writes documents, and further columns, to a Parquet file in groups of rows: memory does not grow with the file.

    The file takes its name when the block ends without error.
    """

    def __init__(self, path: Path, **columns: str) -> None:
        self.path = path
        self.columns = columns
        self.num_documents = 0
        self._rows: list[tuple[Any, ...]] = []
        self._batches: list[Any] = []
        self._num_pending = 0
        self._num_characters = 0
        self._writer: Any = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        import pyarrow as pa
        import pyarrow.parquet as pq

        temporary = self._stack.enter_context(replacing(self.path))
        kinds = {"id": "string", "text": "string", "url": "string", "metadata": "string", **self.columns}
        self._schema = pa.schema(list(kinds.items()))
        self._writer = pq.ParquetWriter(temporary, self._schema, compression="zstd", compression_level=1)
        self._stack.push(self._close)
        return self

    def write(self, document: Document, *columns: Any) -> None:
        """Add a document and its further columns.

        Raises:
            UnwritableMetadata: JSON cannot store the document's metadata.
        """
        try:
            metadata = _json(document.metadata)
        except (TypeError, ValueError, RecursionError) as error:
            raise UnwritableMetadata(
                f"the metadata {brief(document.metadata)} of the document '{document.id}' cannot be written as JSON: {error}"
            ) from error
        self._rows.append((document.id, document.text, document.url, metadata, *columns))
        self._added(1, len(document.text))

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Add rows of another file of documents as they are; the result is that of `write` for each document."""
        import numpy as np
        import pyarrow.compute as pc

        ends = np.cumsum(pc.utf8_length(batch["text"]).to_numpy())
        start = 0
        while start < len(ends):
            before = int(ends[start - 1]) if start else 0
            fills = int(np.searchsorted(ends, before + _GROUP_CHARACTERS - self._num_characters))
            stop = min(start + _GROUP_ROWS - self._num_pending, fills + 1, len(ends))
            self._take_rows()
            self._batches.append(batch.slice(start, stop - start))
            self._added(stop - start, int(ends[stop - 1]) - before)
            start = stop

    def _added(self, num_documents: int, num_characters: int) -> None:
        self.num_documents += num_documents
        self._num_pending += num_documents
        self._num_characters += num_characters
        if self._num_pending >= _GROUP_ROWS or self._num_characters >= _GROUP_CHARACTERS:
            self._flush()

    def _take_rows(self) -> None:
        """Turn the rows that wait into a batch, so that they keep their place before those that follow."""
        import pyarrow as pa

        if self._rows:
            values = zip(*self._rows, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(values, self._schema, strict=True)]
            self._batches.append(pa.record_batch(arrays, schema=self._schema))
            self._rows = []

    def _flush(self) -> None:
        """Write what waits as one group of rows."""
        import pyarrow as pa

        self._take_rows()
        if self._batches:
            # In one piece: where pages begin must not depend on how the rows came in.
            self._writer.write_table(pa.Table.from_batches(self._batches, self._schema).combine_chunks())
        self._batches, self._num_pending, self._num_characters = [], 0, 0

    def _close(self, kind: type[BaseException] | None, *_: object) -> None:
        """Complete the temporary file, before it takes its name; what is raised here keeps it from doing so."""
        if kind is None:
            self._flush()
        self._writer.close()

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)


def _json(metadata: Mapping[str, Any]) -> str:
    import orjson

    try:
        return orjson.dumps(metadata, default=str).decode()
    except TypeError:  # a number beyond 64 bits, a key that is not text, half a pair of surrogates
        text = json.dumps(dict(metadata), default=str)
    try:
        return orjson.dumps(json.loads(text)).decode()
    except TypeError:
        return text


def files_in(folder: Path) -> list[Path]:
    """The Parquet files of a folder in their order; those that are still being written are left out."""
    return sorted(folder.glob("[!.]*.parquet"))


def read_documents(folder: Path) -> Iterator[Document]:
    """The documents of a folder of Parquet files, in order of file and row."""
    for path in files_in(folder):
        yield from read_file(path)


def read_file(path: Path) -> Iterator[Document]:
    """The documents of one file in order.

    Raises:
        DataError: the file is damaged.
    """
    try:
        with open_parquet(path) as reader:
            for row in parquet_records(reader, ("id", "text", "url", "metadata")):
                if isinstance(row, BadRecord):
                    raise DamagedFile(row.detail)
                yield document_of(row)
    except DamagedFile as error:
        raise DataError(f"{path} is damaged: {error}") from None


def document_of(row: Mapping[str, Any]) -> Document:
    """The document in a row of such a file."""
    return Document(row["id"], row["text"], row["url"], json.loads(row["metadata"]))
