"""Reads and writes embeddings of texts that were computed before; imports no torch, so that `rexplug check` can read them too.

A folder holds files of any of these kinds, read in the order of their names:

- `.parquet`, and `.jsonl` (also compressed as .gz, .bz2, .zst, .xz): a column `text`, a column `embedding` with a list of
  numbers, and perhaps a column `role`: `query`, `document`, or null for any.
- `.npz`: arrays `texts` `[n]` and `embeddings` `[n, dimensions]`, perhaps `roles` `[n]` (numpy.savez).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexplug.errors import DataError, brief, one_line
from rexplug.io.atomic import replacing
from rexplug.io.compression import COMPRESSED
from rexplug.io.tabular import read_records

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROLES = ("query", "document", "", None)
Key = tuple[str, str]
"""A text, and its role; empty for any."""


def embedding_files(folder: Path) -> list[Path]:
    """The files of a folder that hold embeddings.

    Raises:
        DataError: there is no such folder, or none of its files does.
    """
    if not folder.is_dir():
        raise DataError(f"embeddings:{folder}: there is no such folder")
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and _kind(path) is not None]
    if not files:
        raise DataError(f"embeddings:{folder} holds no .parquet, .jsonl or .npz file with texts and embeddings")
    return files


def read_embeddings(folder: Path) -> dict[Key, NDArray[np.float32]]:
    """The embeddings of a folder by text and role; a later file replaces earlier ones.

    Raises:
        DataError: a file cannot be read, or its embeddings have different lengths or are not finite.
    """
    import numpy as np

    found: dict[Key, NDArray[np.float32]] = {}
    dimensions: int | None = None
    for path in embedding_files(folder):
        for number, (text, role, values) in enumerate(_READERS[_kind(path) or ""](path), 1):
            if not isinstance(text, str):
                raise DataError(f"{path}: row {number}: text is {brief(text)}, not a text")
            if role not in _ROLES:
                raise DataError(f"{path}: row {number}: role is {brief(role)}; write query, document or nothing")
            try:
                embedding = np.asarray(values, np.float32)
            except (TypeError, ValueError):
                embedding = np.zeros(0, np.float32)
            if embedding.ndim != 1 or not len(embedding):
                raise DataError(f"{path}: row {number}: embedding is not a list of numbers")
            if not np.isfinite(embedding).all():
                raise DataError(
                    f"{path}: row {number}: the embedding of {brief(text)} holds values that are not finite numbers"
                )
            dimensions = dimensions or len(embedding)
            if len(embedding) != dimensions:
                raise DataError(
                    f"{path}: row {number}: the embedding of {brief(text)} has {len(embedding)} dimensions, others have "
                    f"{dimensions}"
                )
            found[text, role or ""] = embedding
    if not found:
        raise DataError(f"embeddings:{folder} holds no embeddings: its files are empty")
    return found


def write_embeddings(path: Path, embeddings: Mapping[Key, NDArray[np.float32]]) -> None:
    """Write a `.parquet` file with the columns `text`, `role` and `embedding`, for `read_embeddings`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {
            "text": pa.array([text for text, _ in embeddings], pa.string()),
            "role": pa.array([role or None for _, role in embeddings], pa.string()),
            "embedding": pa.array(list(embeddings.values()), pa.list_(pa.float32())),
        }
    )
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _kind(path: Path) -> str | None:
    name = path.name.lower()
    for ending in COMPRESSED:
        name = name.removesuffix(ending) if name.endswith(f".jsonl{ending}") else name
    return next(
        (kind for kind in (".parquet", ".jsonl", ".npz") if name.endswith(kind) and not name.startswith(".")), None
    )


def _of_parquet(path: Path) -> Iterator[tuple[Any, Any, Any]]:
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        columns = _columns(path, file.schema_arrow.names)
        for batch in file.iter_batches(columns=columns):
            roles = batch.column("role").to_pylist() if "role" in columns else [None] * len(batch)
            yield from zip(batch.column("text").to_pylist(), roles, batch.column("embedding").to_pylist(), strict=True)
    except (OSError, ValueError) as error:  # pyarrow's errors are of these kinds
        raise DataError(f"{path} cannot be read as Parquet: {one_line(error, 200)}") from None


def _of_lines(path: Path) -> Iterator[tuple[Any, Any, Any]]:
    for _, record in read_records(path):
        _columns(path, list(record))
        yield record["text"], record.get("role"), record["embedding"]


def _of_arrays(path: Path) -> Iterator[tuple[Any, Any, Any]]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read: {one_line(error, 200)} (texts are an array of strings, not of objects)"
        ) from None
    if not {"texts", "embeddings"} <= set(arrays):
        raise DataError(f"{path} has the arrays {', '.join(arrays) or 'none'}; it needs `texts` and `embeddings`")
    texts = arrays["texts"].tolist()
    roles = arrays["roles"].tolist() if "roles" in arrays else [None] * len(texts)
    if not len(texts) == len(roles) == len(arrays["embeddings"]):
        raise DataError(f"{path} has {len(texts)} texts and {len(arrays['embeddings'])} embeddings")
    yield from zip(texts, roles, arrays["embeddings"], strict=True)


_READERS = {".parquet": _of_parquet, ".jsonl": _of_lines, ".npz": _of_arrays}


def _columns(path: Path, names: Sequence[str]) -> list[str]:
    if missing := [name for name in ("text", "embedding") if name not in names]:
        raise DataError(f"{path} has no column '{missing[0]}'; it needs `text` and `embedding`")
    return [name for name in ("text", "role", "embedding") if name in names]
