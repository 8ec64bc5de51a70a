"""The curated documents, as tokenization reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from rexplug.components import Document


def read_parquet(folder: Path) -> Iterator[Document]:
    """The documents of a folder of Parquet files, file by file in name order."""
    for path in sorted(folder.glob("[!.]*.parquet")):
        yield from read_file(path)


def read_file(path: Path) -> Iterator[Document]:
    """The documents of one Parquet file in order."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=256, columns=["id", "text", "url", "metadata"]):
            for row in batch.to_pylist():
                yield Document(row["id"], row["text"], row["url"], json.loads(row["metadata"] or "{}"))
