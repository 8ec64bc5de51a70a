"""Documents in Parquet files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rexplug.components import Document
from rexplug.run_directory import replacing


def write_documents(path: Path, documents: Sequence[Document], **columns: Sequence[Any]) -> None:
    """Write documents, and further columns of the same length, in one step."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "id": pa.array([each.id for each in documents], pa.string()),
            "text": pa.array([each.text for each in documents], pa.string()),
            "url": pa.array([each.url for each in documents], pa.string()),
            "metadata": pa.array([_json(each.metadata) for each in documents], pa.string()),
            **columns,
        }
    )
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _json(metadata: Mapping[str, Any]) -> str:
    return json.dumps(dict(metadata), default=str)


def read_documents(folder: Path) -> Iterator[Document]:
    """The documents of a folder of Parquet files, in order of file and row."""
    for path in sorted(folder.glob("[!.]*.parquet")):
        yield from read_file(path)


def read_file(path: Path) -> Iterator[Document]:
    """The documents of one file in order."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=256, columns=["id", "text", "url", "metadata"]):
            for row in batch.to_pylist():
                yield Document(row["id"], row["text"], row["url"], json.loads(row["metadata"]))
