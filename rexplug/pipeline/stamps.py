"""What decides a stage besides the options of the recipe: versions of formats, and which files were read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

FORMATS: Mapping[str, int] = {
    "relevance": 1,
    "curate": 1,
    "tokenize": 1,
    "train.initial": 1,
    "train": 1,
    "evaluate": 1,
    "export": 1,
    "report": 1,
}
"""The version of what each stage writes. One rises when later stages can no longer read what an earlier version of rexplug
wrote, or when the same inputs come out otherwise; an upgrade of rexplug that changes neither redoes nothing."""

TOKENIZER_FILES = ("*.json", "*.txt", "*.model")
MODEL_FILES = ("*.json", "*.safetensors", "*.bin")


def file_stamps(paths: Sequence[Path]) -> dict[str, list[int]]:
    """Size and time of change of each file: enough to notice that an input changed without reading it."""
    return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in paths}


def folder_stamps(name: str | None, patterns: Sequence[str]) -> dict[str, list[int]]:
    """The same for the files of a model or tokenizer, if `name` is a folder and no name of the hub."""
    if name is None or not Path(name).is_dir():
        return {}
    found = {path for pattern in patterns for path in Path(name).glob(pattern) if path.is_file()}
    return file_stamps(sorted(found))
