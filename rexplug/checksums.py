"""Checksums of the files that a run writes: recorded when a file is written, compared when it is read again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rexplug.errors import DataError
from rexplug.io.atomic import write_json
from rexplug.run_directory import read_json

FILE = "checksums.json"
"""The file in a folder that holds its checksums: name -> size and BLAKE2b of each file."""


def checksum(path: Path) -> str:
    """BLAKE2b (16 bytes, hexadecimal) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def file_entry(path: Path) -> dict[str, Any]:
    """Size and checksum of a file, as they are recorded."""
    return {"bytes": path.stat().st_size, "blake2b": checksum(path)}


def is_entry(value: Any) -> bool:
    """Whether a value has the shape that `file_entry` returns."""
    return isinstance(value, dict) and isinstance(value.get("bytes"), int) and isinstance(value.get("blake2b"), str)


def record_checksums(folder: Path, *, leave_out: Sequence[str] = ()) -> None:
    """Write the checksums of all files of a folder into it.

    Args:
        folder: the folder.
        leave_out: names of files that may change later.
    """
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    write_checksums(folder, {name: file_entry(folder / name) for name in names if name not in (FILE, *leave_out)})


def write_checksums(folder: Path, entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Write checksums that were computed while the files were written."""
    write_json(folder / FILE, {"files": dict(entries)})


def read_checksums(folder: Path) -> dict[str, dict[str, Any]]:
    """File name -> size and checksum; empty for a folder without recorded checksums.

    Raises:
        DataError: the record is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    content = read_json(path)
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, dict) or not all(map(is_entry, files.values())):
        raise DataError(f'{path} is damaged: it holds no {{"files": {{NAME: {{"bytes": ..., "blake2b": ...}}}}}}')
    return files


def file_problem(path: Path, entry: Mapping[str, Any], *, content: bool = True) -> str | None:
    """How a file differs from its recorded entry, as a sentence; None if it does not. Without `content` only sizes are compared."""
    try:
        size = path.stat().st_size
        if size != entry["bytes"]:
            how = "was cut short" if size < entry["bytes"] else "was altered"
            return f"{path} {how}: it has {size:,} bytes, and {entry['bytes']:,} were written"
        if content and checksum(path) != entry["blake2b"]:
            return f"{path} was altered: its content does not have the checksum that was recorded when it was written"
    except FileNotFoundError:
        return f"{path} is missing"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return None


def folder_problems(
    folder: Path, *, content_up_to: int | None = None, leave_out: Callable[[str], bool] | None = None
) -> Iterator[str]:
    """Compare every file of a folder with its checksum; yields a sentence per difference.

    Args:
        folder: the folder; one without recorded checksums has no differences.
        content_up_to: of files larger than this many bytes only the size is compared.
        leave_out: tells by name which files are not compared.
    """
    try:
        entries = read_checksums(folder)
    except DataError as error:
        yield str(error)
        return
    for name, entry in entries.items():
        if leave_out is not None and leave_out(name):
            continue
        content = content_up_to is None or entry["bytes"] <= content_up_to
        problem = file_problem(folder / name, entry, content=content)
        if problem is not None:
            yield problem


def require_intact(folder: Path, repair: str) -> None:
    """Refuse a folder in which a file was damaged or altered since it was written.

    Args:
        folder: the folder.
        repair: what the user can do about it, for the message.

    Raises:
        DataError: a file differs from its checksum.
    """
    for problem in folder_problems(folder):
        raise DataError(f"{problem}; {repair}")


def require_as_written(folder: Path, leave_out: Callable[[str], bool]) -> None:
    """Refuse a model or tokenizer that another run wrote if it was altered since.

    Args:
        folder: the model or tokenizer.
        leave_out: tells by name which files are not compared.

    Raises:
        DataError: a file differs from its checksum.
    """
    for problem in folder_problems(folder, leave_out=leave_out):
        raise DataError(f"{problem}; restore the file, or remove {folder / FILE} if the change is intended")
