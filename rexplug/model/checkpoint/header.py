"""Reads the headers of weight files: names, shapes and number formats, without torch and without reading a tensor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rexplug.errors import DataError
from rexplug.io.json_files import require_file

SAFETENSORS, PICKLE = "model.safetensors", "pytorch_model.bin"
_MAX_HEADER = 100_000_000
"""safetensors itself reads no longer headers."""
_LFS = b"version https://git-lfs"

WeightShape = tuple[int, ...]


@dataclass(frozen=True)
class StoredWeights:
    """Shape and number format of each weight of safetensors files, by its name."""

    shapes: Mapping[str, WeightShape]
    formats: Mapping[str, str]


def has_weights(folder: Path) -> bool:
    """Whether a folder holds weights whose header can be read."""
    return any((folder / name).exists() for name in (SAFETENSORS, f"{SAFETENSORS}.index.json"))


def stored_weights(folder: Path) -> StoredWeights | None:
    """The weights that transformers would load from a folder, by the headers of their files; None for pickled ones.

    Raises:
        DataError: there are none, or a file is damaged.
    """
    if (folder / SAFETENSORS).exists():
        return read_header(folder / SAFETENSORS)
    index = folder / f"{SAFETENSORS}.index.json"
    if index.exists():
        return _sharded_weights(index)
    if (folder / PICKLE).exists() or (folder / f"{PICKLE}.index.json").exists():
        return None
    more = " and none of their parts' index" if any(folder.glob("model-*.safetensors")) else ""
    raise DataError(f"the folder holds no weights ({SAFETENSORS} or {PICKLE}){more}")


def _sharded_weights(index: Path) -> StoredWeights:
    """The weights of all files that an index names."""
    try:
        file_of = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = sorted({str(file) for file in file_of.values()})
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{index} is not an index of weights (a JSON object with a 'weight_map')") from None
    shapes: dict[str, WeightShape] = {}
    formats: dict[str, str] = {}
    for file in files:
        if Path(file).name != file:
            raise DataError(f"{index} names the file '{file}', which is not a file of its folder")
        shard = read_header(index.parent / file)
        shapes |= shard.shapes
        formats |= shard.formats
    return StoredWeights(shapes, formats)


def read_header(path: Path) -> StoredWeights:
    """Shapes and number formats of the weights of a safetensors file.

    Raises:
        DataError: it is not a complete safetensors file.
    """
    require_file(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            if (start + file.read(len(_LFS))).startswith(_LFS):
                raise DataError(f"{path} is a Git LFS pointer and not the weights; fetch them (git lfs pull)")
            length = int.from_bytes(start, "little")
            if len(start) < 8 or not 2 <= length <= min(size - 8, _MAX_HEADER):
                raise DataError(f"{path} is not a safetensors file, or is cut short")
            file.seek(8)
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        shapes = {name: tuple(int(n) for n in entry["shape"]) for name, entry in header.items()}
        formats = {name: str(entry["dtype"]) for name, entry in header.items()}
        end = 8 + length + max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{path} is not a safetensors file, or is damaged") from None
    if end != size:
        raise DataError(f"{path} has {size:,} bytes, where its header says {end:,}; it is cut short or damaged")
    return StoredWeights(shapes, formats)
