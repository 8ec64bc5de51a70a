"""Documents in Parquet files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import orjson

from rexplug.components import Document
from rexplug.errors import DataError
from rexplug.io.atomic import replacing
from rexplug.io.compression import DamagedFile
from rexplug.io.tabular import open_parquet, parquet_records

_GROUP_ROWS, _GROUP_BYTES = 5000, 8_000_000


class DocumentWriter:
    """Writes documents, and further columns, to a Parquet file in groups of rows: memory does not grow with the file.

    The file takes its name when the block ends without error.
    """

    def __init__(self, path: Path, **columns: str) -> None:
        self.path = path
        self.columns = columns
        self.num_documents = 0
        self._rows: list[tuple[Any, ...]] = []
        self._size = 0
        self._writer: Any = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        import pyarrow as pa
        import pyarrow.parquet as pq

        temporary = self._stack.enter_context(replacing(self.path))
        kinds = {"id": "string", "text": "string", "url": "string", "metadata": "string", **self.columns}
        self._schema = pa.schema(list(kinds.items()))
        self._writer = pq.ParquetWriter(temporary, self._schema, compression="zstd", compression_level=1)
        return self

    def write(self, document: Document, *columns: Any) -> None:
        """Add a document and its further columns."""
        self._rows.append((document.id, document.text, document.url, _json(document.metadata), *columns))
        self._size += len(document.text)
        self.num_documents += 1
        if len(self._rows) >= _GROUP_ROWS or self._size >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            values = zip(*self._rows, strict=True)
            arrays = [pa.array(each, field.type) for each, field in zip(values, self._schema, strict=True)]
            self._writer.write_table(pa.table(arrays, schema=self._schema))
            self._rows, self._size = [], 0

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        try:
            if kind is None:
                self._flush()
            self._writer.close()
        except BaseException as problem:
            self._stack.__exit__(type(problem), problem, problem.__traceback__)
            raise
        self._stack.__exit__(kind, error, trace)


def _json(metadata: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(metadata, default=str).decode()
    except TypeError:  # a number beyond 64 bits, a key that is no text
        return json.dumps(dict(metadata), default=str)


def read_documents(folder: Path) -> Iterator[Document]:
    """The documents of a folder of Parquet files, in order of file and row."""
    for path in sorted(folder.glob("[!.]*.parquet")):
        yield from read_file(path)


def read_file(path: Path) -> Iterator[Document]:
    """The documents of one file in order.

    Raises:
        DataError: the file is damaged.
    """
    try:
        with open_parquet(path) as reader:
            for row in parquet_records(reader, ("id", "text", "url", "metadata")):
                yield Document(row["id"], row["text"], row["url"], json.loads(row["metadata"]))
    except DamagedFile as error:
        raise DataError(f"{path} is damaged: {error}") from None
