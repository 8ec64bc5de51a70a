"""What decides a stage's result besides the options of the recipe: format versions, and the files that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rexplug.components import DocumentSource
from rexplug.plugins.calls import file_versions, input_files

FORMATS: Mapping[str, int] = {
    "relevance": 2,
    "curate": 2,
    "tokenize": 1,
    "train.initial": 1,
    "train": 1,
    "evaluate": 1,
    "export": 1,
    "report": 1,
}
"""Version of each stage's output format. It rises when later stages can no longer read what an earlier version of rexplug
wrote, or when the same inputs give another result; an upgrade of rexplug that changes neither redoes no stage."""

TOKENIZER_FILES = ("*.json", "*.txt", "*.model")
MODEL_FILES = ("*.json", "*.safetensors", "*.bin")


def file_stamps(paths: Sequence[Path]) -> dict[str, list[int]]:
    """Path -> size and modification time in ns: enough to notice that an input changed without reading it."""
    return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in paths}


def folder_stamps(name: str | None, patterns: Sequence[str]) -> dict[str, list[int]]:
    """`file_stamps` of a model or tokenizer; empty if `name` is not a folder but a name on the Hugging Face hub."""
    if name is None or not Path(name).is_dir():
        return {}
    files = {path for pattern in patterns for path in Path(name).glob(pattern) if path.is_file()}
    return file_stamps(sorted(files))


def source_stamps(source: DocumentSource) -> dict[str, list[Any]]:
    """What shows that an input of a source changed: `file_stamps` of its local files, and for objects in a store what
    `DocumentSource.stamps` says of them.

    Local files are written as integers, not as the source writes them: runs made before object stores were asked keep their
    fingerprints.
    """
    local: dict[str, list[Any]] = {path: list(stamp) for path, stamp in file_stamps(input_files(source)).items()}
    remote = {address: stamp for address, stamp in file_versions(source).items() if str(Path(address)) not in local}
    return {**local, **remote}
