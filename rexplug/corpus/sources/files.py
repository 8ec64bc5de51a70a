"""Base class of sources that read files: by path, folder or glob, on disk or in an object store, divided into shards."""

from __future__ import annotations

import glob
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from rexplug.components import Document, DocumentSource, Shard
from rexplug.components.quantities import Positive
from rexplug.corpus.sources.file_io import is_remote, remote_files
from rexplug.errors import DataError, brief
from rexplug.io.compression import DamagedFile

ERROR = "rexplug_error"
"""Metadata key of a record that could not be read; curation drops it with this reason."""


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[
    tuple[str, ...], BeforeValidator(_as_tuple, json_schema_input_type=str | list[str]), Field(min_length=1)
]


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file: its path, what the ids of its documents begin with (not a path of this machine), size in bytes, version."""

    path: str
    id: str
    size: int
    version: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file: bytes (or row groups) from `start` up to `stop`, None for the end; `first` counts rows before."""

    file: InputFile
    start: int = 0
    stop: int | None = None
    first: int = 0


class FileSource(DocumentSource):
    """Base class of sources that read files; large files of some formats are divided, small files of others put together."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Which files of a folder are read."""

    paths: Names
    """Files, folders (read whole, hidden files left out) or globs, relative to the current directory, or addresses that
    fsspec knows (`s3://bucket/folder/*.jsonl.gz`; install the package that it names)."""
    split: Positive = 256_000_000
    """Bytes of a shard, the unit of parallel work: larger files are divided where the format allows it (plain JSON lines,
    Parquet), small pages are put together up to this."""
    longest: Positive = 20_000_000
    """Bytes of the longest record that is read; a longer one is dropped with a reason instead of filling the memory."""
    damaged: Literal["refuse", "skip"] = "refuse"
    """A file that breaks off or cannot be decompressed: `refuse` stops and names it, `skip` keeps the documents before the
    damage and drops the rest with a reason."""

    @cached_property
    def files(self) -> tuple[InputFile, ...]:
        """The files, sorted by path, each once."""
        files: dict[str, tuple[int, str, int, str]] = {}
        for number, pattern in enumerate(self.paths):
            for path, root, size, version in self._matches(pattern):
                files.setdefault(path, (number, _relative(path, root), size, version))
        ids = [id for _, id, _, _ in files.values()]
        clash = len(set(ids)) < len(ids)
        return tuple(
            InputFile(path, f"{number}/{id}" if clash else id, size, version)
            for path, (number, id, size, version) in sorted(files.items())
        )

    def _matches(self, pattern: str) -> Iterator[tuple[str, str, int, str]]:
        """Yield (path, folder that is left out of ids, size, version) of the files that a pattern means.

        Raises:
            DataError: the operating system refuses: a name is too long, a folder may not be read.
        """
        if is_remote(pattern):
            yield from remote_files(pattern, self._is_wanted)
            return
        try:
            yield from self._local_matches(pattern)
        except (OSError, ValueError, re.error) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise DataError(f"{self.name}: paths: {brief(pattern)} cannot be searched: {reason}") from None

    def _local_matches(self, pattern: str) -> Iterator[tuple[str, str, int, str]]:
        path = Path(pattern)
        if path.is_dir():
            places: Iterable[Path] = (p for p in path.rglob("*") if self._is_wanted(p.name))
            root = str(path)
        elif path.is_file():
            places, root = [path], str(path.parent)
        else:
            places, root = map(Path, glob.glob(pattern, recursive=True)), fixed_part(pattern)
        for place in places:
            if place.is_file():
                stat = place.stat()
                yield str(place), root, stat.st_size, str(stat.st_mtime_ns)

    def _is_wanted(self, name: str) -> bool:
        return name.endswith(self.suffixes) and not name.startswith(".")

    @cached_property
    def shards(self) -> tuple[tuple[Piece, ...], ...]:
        """The pieces of each shard; depends on the files and `split`, never on workers."""
        return tuple((piece,) for file in self.files for piece in self.pieces(file))

    def pieces(self, file: InputFile) -> Sequence[Piece]:
        """How a file is divided; the default leaves it whole."""
        return (Piece(file),)

    def inputs(self) -> Sequence[Path]:
        """The local files that the source reads; none if they are in an object store."""
        return [Path(file.path) for file in self.files if not is_remote(file.path)]

    def stamps(self) -> dict[str, list[Any]]:
        """Size and version of each file; for objects in a store as the store reports them."""
        return {file.path: [file.size, file.version] for file in self.files}

    def num_shards(self) -> int:
        """The number of shards that the files are divided into."""
        return max(1, len(self.shards))

    def check(self) -> None:
        """Every pattern must match a file."""
        for pattern in self.paths:
            if not any(True for _ in self._matches(pattern)):
                what = (
                    f"holds no file that ends in {', '.join(self.suffixes)}"
                    if not is_remote(pattern) and Path(pattern).is_dir()
                    else "matches no file"
                )
                where = "" if is_remote(pattern) else f" (looked from {Path.cwd()})"
                raise DataError(f"{self.name}: paths: {brief(pattern)} {what}{where}")

    def documents(self, shard: Shard) -> Iterator[Document]:
        """The documents of every `count`-th shard."""
        for pieces in self.shards[shard.index :: shard.count]:
            for piece in pieces:
                yield from self._read_with_damage(piece)

    def _read_with_damage(self, piece: Piece) -> Iterator[Document]:
        """The documents of a piece; damage is refused with the file's name or becomes the last record of the file."""
        try:
            yield from self.read(piece)
        except DamagedFile as error:
            if self.damaged == "refuse":
                raise DataError(
                    f"{piece.file.path} is damaged: {error}; repair or remove it, or write `damaged: skip` to leave out "
                    "the rest of it"
                ) from None
            yield broken(piece.file, "damage", "a damaged file")

    @abstractmethod
    def read(self, piece: Piece) -> Iterator[Document]:
        """The documents of a piece of a file; raises `DamagedFile` where it cannot be read further."""


def document(
    file: InputFile, place: int | str, text: str, url: str | None = None, id: str | None = None, **metadata: Any
) -> Document:
    """Make a document that was read at a place (offset or row) of a file."""
    name = id if id is not None else f"{file.id}:{place}"
    return Document(name, text, url, {**metadata, "place": f"{file.path}:{place}"})


def broken(file: InputFile, place: int | str, reason: str) -> Document:
    """Make a document in place of a record that could not be read."""
    return document(file, place, "", **{ERROR: reason})


def fixed_part(pattern: str) -> str:
    """The folder before the first wildcard of a glob."""
    parts = PurePosixPath(re.split(r"[*?\[]", pattern, maxsplit=1)[0] + "x").parent
    return str(parts)


def _relative(path: str, root: str) -> str:
    if is_remote(path):
        return path.removeprefix(root).lstrip("/")
    return str(Path(path).relative_to(root)) if root != "." else str(Path(path))
