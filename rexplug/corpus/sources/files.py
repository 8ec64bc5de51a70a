"""Base class of sources that read files: by path, folder or glob, on disk or in an object store, divided into shards."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from rexplug.components import Document, DocumentSource, Shard, Unreadable
from rexplug.components.document import ERROR
from rexplug.components.quantities import Positive
from rexplug.corpus.sources.charsets import utf8_stream
from rexplug.corpus.sources.file_io import RemoteFile, is_remote, opened, refuse_changed, remote_files, shown
from rexplug.corpus.sources.local_files import LEFT_OUT, LocalFile, local_files, matches_only_folders, printable
from rexplug.errors import DataError, brief
from rexplug.io.compression import DamagedFile
from rexplug.io.hub import is_folder
from rexplug.io.json_values import json_texts
from rexplug.io.tabular import BadRecord, byte_lines, json_records

MOST_FILES = 2000
"""Files in a shard, at most."""
_GROUP_BYTES = 4_000_000
"""Bytes up to which small files of records are put together: few enough that some hundred megabytes keep many workers busy."""


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[
    tuple[str, ...], BeforeValidator(_as_tuple, json_schema_input_type=str | list[str]), Field(min_length=1)
]


@dataclass(frozen=True, slots=True, order=True)
class InputFile:
    """A file of a source.

    `FileSource.files` makes one for each file that `paths` match.
    """

    path: str
    """Its path, or its address in an object store."""
    id: str
    """What the ids of its documents begin with; the same on every machine."""
    size: int
    """Its size in bytes, as it is stored (compressed)."""
    version: str
    """A text that changes when the file does: its modification time, or the version that an object store reports."""

    @property
    def printed_path(self) -> str:
        """The path for messages and metadata: without a password, and bytes of a local name that are not UTF-8 as `\\xff`."""
        return shown(self.path)


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, or a part of one, that one job reads.

    `FileSource.pieces` makes them, before curation; `read` gets one at a time, in the worker processes. `start` and `stop` count
    what the source's own `pieces` counts; the default divides no file.
    """

    file: InputFile
    """The file."""
    start: int = 0
    """The first byte (or row group, in Parquet) of the part."""
    stop: int | None = None
    """One past its last; None for the end of the file."""
    first: int = 0
    """The number of rows before the part, so that the places of documents can be counted through the whole file."""


class FileSource(DocumentSource):
    """Base class of sources that read files; large files of some formats are divided, small files of others put together.

    A subclass sets `suffixes` and implements `read`; paths, object stores, decompression, shards and damaged files are done here.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Endings of the files of a folder that are read, such as `(".txt", ".txt.gz")`."""

    paths: Names
    """Files, folders (with all folders in them) or globs, relative to the current directory, or addresses that fsspec knows
    (`s3://bucket/folder/*.jsonl.gz`; install the package that it names). Links are followed, a file is read once, and names
    that begin with `.` or `_` are left out."""
    split: Positive = 256_000_000
    """Bytes of a shard, the unit of parallel work: larger files are divided where the format allows it (plain JSON lines,
    Parquet), small pages are put together up to this, other small files up to 4 MB."""
    longest: Positive = 20_000_000
    """Bytes of the longest record that is read; a longer one is dropped with a reason instead of filling the memory."""
    damaged: Literal["refuse", "skip"] = "refuse"
    """A file that breaks off or cannot be decompressed: `refuse` stops and names it, `skip` keeps the documents before the
    damage and drops the rest with a reason."""

    @cached_property
    def files(self) -> tuple[InputFile, ...]:
        """The files, sorted by path; one that several paths or links lead to is taken once."""
        chosen: dict[str, tuple[tuple[int, bool, str], str, InputFile]] = {}
        for number, pattern in enumerate(self.paths):
            for real, file in self._matches(pattern):
                rank = number, isinstance(file, LocalFile) and file.linked, file.path
                if real not in chosen or rank < chosen[real][0]:
                    chosen[real] = rank, real, _input_file(file)
        files = sorted((rank[0], file) for rank, _, file in chosen.values())
        clash = len({file.id for _, file in files}) < len(files)
        named = (replace(file, id=f"{number}/{file.id}") if clash else file for number, file in files)
        return tuple(sorted(named, key=lambda file: file.path))

    def _matches(self, pattern: str) -> Iterator[tuple[str, LocalFile | RemoteFile]]:
        """Yield (what identifies the file, the file) of the files that a pattern means.

        Raises:
            DataError: the operating system refuses: a name is too long, a folder may not be read.
        """
        if not pattern.strip():
            raise DataError(f"{self.name}: paths: a path is empty; the current folder is '.'")
        if is_remote(pattern):
            yield from ((file.path, file) for file in remote_files(pattern, self._is_wanted))
            return
        try:
            yield from ((file.real, file) for file in local_files(pattern, self.suffixes))
        except (OSError, ValueError, re.error) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            within = getattr(error, "filename", None)
            where = f" ({printable(str(within))})" if within and str(within) != pattern else ""
            raise DataError(f"{self.name}: paths: {brief(pattern)} cannot be searched: {reason}{where}") from None

    def _is_wanted(self, path: str) -> bool:
        """Whether a file of a folder in an object store is read, by its path below the folder."""
        return path.lower().endswith(self.suffixes) and not any(part.startswith(LEFT_OUT) for part in path.split("/"))

    @cached_property
    def shards(self) -> tuple[tuple[Piece, ...], ...]:
        """The pieces of each shard; depends on the files and `split`, never on workers.

        Neighbouring small files are put together: a shard of its own costs some twenty files and as many waits for the disk.
        """
        return grouped(
            (piece for file in self.files for piece in self.pieces(file)), min(self.split, _GROUP_BYTES), MOST_FILES
        )

    def pieces(self, file: InputFile) -> Sequence[Piece]:
        """How a file is divided; the default leaves it whole."""
        return (Piece(file),)

    def inputs(self) -> Sequence[Path]:
        """The local files that the source reads; none if they are in an object store."""
        return [Path(file.path) for file in self.files if not is_remote(file.path)]

    def stamps(self) -> dict[str, list[Any]]:
        """Size and version of each file; for objects in a store as the store reports them."""
        return {file.printed_path: [file.size, file.version] for file in self.files}

    def num_shards(self) -> int:
        """The number of shards that the files are divided into."""
        return max(1, len(self.shards))

    def check(self) -> None:
        """Every pattern must match a file."""
        for pattern in self.paths:
            if not any(True for _ in self._matches(pattern)):
                where = "" if is_remote(pattern) else f" (looked from {Path.cwd()})"
                raise DataError(f"{self.name}: paths: {brief(pattern)} {self._without_files(pattern)}{where}")

    def _without_files(self, pattern: str) -> str:
        """What is wrong with a pattern that no file matches."""
        if is_remote(pattern):
            return "matches no file"
        if is_folder(str(Path(pattern).expanduser())):
            return (
                f"holds no file that ends in {', '.join(self.suffixes)} (names that begin with '.' or '_' are left out)"
            )
        if matches_only_folders(pattern):
            return f"matches only folders; '{pattern.rstrip('/')}/**' is all files in them"
        return "matches no file"

    def documents(self, shard: Shard) -> Iterator[Document | Unreadable]:
        """The documents of every `count`-th shard."""
        for pieces in self.shards[shard.index :: shard.count]:
            for piece in pieces:
                yield from self._read_with_damage(piece)

    def _read_with_damage(self, piece: Piece) -> Iterator[Document | Unreadable]:
        """The documents of a piece; damage is refused with the file's name or becomes the last record of the file."""
        try:
            yield from self.read(piece)
        except DamagedFile as error:
            refuse_changed(piece.file.path, piece.file.size, piece.file.version)
            if self.damaged == "refuse":
                raise DataError(
                    f"{piece.file.printed_path} is damaged: {error}; repair or remove it, or write `damaged: skip` to leave "
                    "out the rest of it"
                ) from None
            yield broken(piece.file, "damage", "a damaged file")
        if not is_remote(
            piece.file.path
        ):  # in an object store an object is replaced as a whole, and asking costs a request
            refuse_changed(piece.file.path, piece.file.size, piece.file.version)

    @abstractmethod
    def read(self, piece: Piece) -> Iterator[Document | Unreadable]:
        """The documents of a piece of a file, and `Unreadable` in place of a record that cannot be read.

        An error of `open` while it is read passes: `damaged` says what follows.
        """

    def open(self, piece: Piece) -> AbstractContextManager[IO[bytes]]:
        """The bytes of the file of a piece, decompressed as its name says, from a disk or an object store."""
        return opened(piece.file.path)

    def json_records(self, piece: Piece) -> Iterator[tuple[int, dict[str, Any] | Unreadable]]:
        """The JSON objects of a piece, each with its place, for `read` of a source that makes several documents of a record.

        The file holds an object a line, an array, or objects over several lines, in UTF-8 or UTF-16.

        Returns:
            (offset in the decompressed file, the object or, in place of one that cannot be read, an `Unreadable`).
        """
        with self.open(piece) as file:
            if piece.start or piece.stop is not None:
                texts = byte_lines(file, self.longest, piece.start, piece.stop)
            else:
                texts = json_texts(utf8_stream(file), self.longest)
            for place, record in json_records(texts):
                if isinstance(record, BadRecord):
                    yield place, self.unreadable_at(piece.file, place, record.reason)
                else:
                    yield place, record

    def document_at(
        self,
        file: InputFile,
        place: int | str,
        text: str,
        url: str | None = None,
        id: str | None = None,
        **metadata: Any,
    ) -> Document:
        """A document that was read at a place (line, row, offset) of a file; its id is file and place if `id` is left out."""
        return document(file, place, text, url, id, **metadata)

    def unreadable_at(self, file: InputFile, place: int | str, reason: str) -> Unreadable:
        """What stands for a record at a place of a file that cannot be read."""
        return Unreadable(f"{file.id}:{place}", reason, f"{file.printed_path}:{place}")


def grouped(pieces: Iterable[Piece], num_bytes: int, num_files: int) -> tuple[tuple[Piece, ...], ...]:
    """Put neighbouring whole files together, up to `num_bytes` bytes and `num_files` files; parts of files stay alone."""
    shards: list[list[Piece]] = []
    size = 0
    for piece in pieces:
        whole = piece.start == 0 and piece.stop is None
        if not shards or not whole or len(shards[-1]) == num_files or size + piece.file.size > num_bytes:
            shards.append([])
            size = 0
        shards[-1].append(piece)
        size += piece.file.size if whole else num_bytes
    return tuple(map(tuple, shards))


def document(
    file: InputFile, place: int | str, text: str, url: str | None = None, id: str | None = None, **metadata: Any
) -> Document:
    """Make a document that was read at a place (offset or row) of a file."""
    return document_with(file, place, text, url, id, metadata)


def document_with(
    file: InputFile, place: int | str, text: str, url: str | None, id: str | None, metadata: dict[str, Any]
) -> Document:
    """`document` with metadata of any names, `id` and `text` among them; `place` is added to it."""
    metadata["place"] = f"{file.printed_path}:{place}"
    return Document(id if id is not None else f"{file.id}:{place}", text, url, metadata)


def broken(file: InputFile, place: int | str, reason: str) -> Document:
    """Make a document in place of a record that could not be read."""
    return document(file, place, "", **{ERROR: reason})


def _input_file(file: LocalFile | RemoteFile) -> InputFile:
    return InputFile(file.path, printable(file.relative), file.size, file.version)
