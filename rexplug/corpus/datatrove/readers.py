"""datatrove's own readers by name: `{use: datatrove.IpcReader, data_folder: data/arrow, stream: true}`.

Their options are read from the installed source (`rexplug.corpus.datatrove.introspect`) and checked like any other
options. Records that these readers skip silently are counted here as far as they can be observed.
"""

from __future__ import annotations

import csv
import sys
import zlib
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import create_model, model_validator
from pydantic_core import PydanticCustomError

from rexplug.components import Document, DocumentSource, Shard
from rexplug.corpus.datatrove.introspect import Block, blocks
from rexplug.corpus.sources.files import ERROR, Positive
from rexplug.errors import DataError, one_line

# Functions cannot be written in a recipe; `limit` and `sample` are ours; the others make documents depend on the number of
# shards, on chance, or draw bars.
_OURS = {"self", "adapter", "limit", "skip", "shuffle_files", "file_progress", "doc_progress", "add_file_path"}
_LEFT_OUT = {"BaseReader", "BaseDiskReader"}
_ROWS = 50_000
"""Rows of a dataset in a shard."""


class DatatroveReader(DocumentSource):
    """What the classes below share: build datatrove's block from the options, read with it, and count what is broken."""

    module: ClassVar[str] = ""
    theirs: ClassVar[str] = ""

    damaged: Literal["refuse", "skip"] = "refuse"
    """A file that breaks off or cannot be read further: `refuse` stops and names it, `skip` keeps the documents before the
    damage and drops the rest with a reason."""
    longest: Positive = 20_000_000
    """Characters of the longest text; a longer one is dropped with a reason."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_jsonl(cls, options: Any) -> Any:
        if cls.theirs == "JsonlReader":
            raise PydanticCustomError(
                "reader",
                "datatrove's JSONL reader loses the rest of a file at one invalid byte and counts no broken line; "
                "write `use: jsonl` with `paths`, which reads the same files",
                {},
            )
        return options

    @cached_property
    def _block(self) -> Any:
        fields = type(self).model_fields
        own = {name: getattr(self, name) for name in fields if name not in DatatroveReader.model_fields}
        options = {name: value for name, value in own.items() if value != fields[name].default}
        try:
            block = getattr(import_module(self.module), self.theirs)(**options)
        except Exception as error:
            raise DataError(f"{self.name}: datatrove refuses these options: {error}") from None
        block.adapter = self._adapted
        return block

    @cached_property
    def _files(self) -> list[str]:
        """The files below `data_folder`, sorted, hidden ones left out (datatrove would read an editor's leftovers)."""
        from datatrove.io import get_shard_from_paths_file

        block = self._block
        if block.paths_file:
            found = [path for path in get_shard_from_paths_file(block.paths_file, 0, 1) if path]
        else:
            found = block.data_folder.list_files(recursive=block.recursive, glob_pattern=block.glob_pattern)
        return [path for path in found if not path.rpartition("/")[2].startswith(".")]

    @cached_property
    def _num_rows_shards(self) -> int:
        """Into how many shards a dataset divides: by its files if it is streamed, by rows otherwise."""
        import datasets

        block = self._block
        try:
            if block.load_from_disk:
                found = datasets.load_from_disk(block.dataset)
            else:
                found = datasets.load_dataset(block.dataset, **block.dataset_options, streaming=block.streaming)
        except Exception as error:
            raise DataError(f"{self.name}: the dataset '{block.dataset}' cannot be opened: {one_line(error)}") from None
        if isinstance(found, dict):
            raise DataError(
                f"{self.name}: write which split is read, e.g. `dataset_options: {{split: {next(iter(found))}}}`; "
                f"the splits are {', '.join(found)}"
            )
        if (known := found.column_names) and block.text_key not in known:
            raise DataError(f"{self.name}: {block.dataset} has no column {block.text_key}; {_its_columns(known)}")
        return int(found.num_shards) if block.streaming else max(1, -(-len(found) // _ROWS))

    @property
    def _on_disk(self) -> bool:
        return "data_folder" in type(self).model_fields

    def num_shards(self) -> int:
        """One per file; of a dataset see `_num_rows_shards`."""
        return max(1, len(self._files)) if self._on_disk else self._num_rows_shards

    def inputs(self) -> list[Path]:
        """The local files."""
        if not self._on_disk:
            folder = Path(self._block.dataset)
            return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
        return [Path(path) for path in map(self._block.data_folder.resolve_paths, self._files) if "://" not in path]

    def stamps(self) -> dict[str, list[Any]]:
        """Size and version of each file; for objects in a store what the store says."""
        local = super().stamps()
        if self._on_disk and not local:
            folder = self._block.data_folder
            return {path: [folder.info(path).get("size"), str(folder.ukey(path))] for path in self._files}
        return local

    def check(self) -> None:
        """Build the block, so that refused options and missing packages show before the run; find files or columns.

        A dataset on the hub that is not streamed is not looked at: it would be downloaded whole.
        """
        if not self._on_disk:
            if self._block.streaming or Path(self._block.dataset).is_dir():
                self._num_rows_shards  # noqa: B018
        elif not self._files:
            pattern = f" that match {self._block.glob_pattern}" if self._block.glob_pattern else ""
            raise DataError(f"{self.name}: data_folder: '{self._block.data_folder.path}' has no files{pattern}")

    def documents(self, shard: Shard) -> Iterator[Document]:
        """The documents of every `count`-th file, or rows of a dataset."""
        if not self._on_disk:
            count = self._num_rows_shards
            for index in range(shard.index, count, shard.count):
                yield from map(self._document, self._block.run(None, index, count))
            return
        # Python's own limit of 128 KiB is below the length of real documents; a field beyond this one ends the file.
        csv.field_size_limit(10 * self.longest)
        for path in self._files[shard.index :: shard.count]:
            try:
                yield from map(self._document, self._block.read_file(path))
            except Exception as error:
                if not _is_damage(error):
                    raise
                where = self._block.data_folder.resolve_paths(path)
                if self.damaged == "refuse":
                    raise DataError(
                        f"{where} is damaged: {one_line(error, 200)}; mend or remove it, or write "
                        "`damaged: skip` to go on without the rest of it"
                    ) from None
                yield Document(f"{path}/damage", "", None, {"place": f"{where}:damage", ERROR: "a damaged file"})

    def _adapted(self, data: dict[Any, Any], path: str, id_in_file: int | str) -> dict[str, Any]:
        """A record as datatrove's reader wants it; a broken one travels on with the reason in its metadata."""
        block = self._block
        where = block.data_folder.resolve_paths(path) if self._on_disk else path
        known = {"place": f"{where}:{id_in_file}"}
        name = f"{path}/{id_in_file}"
        if None in data:
            return _broken(name, known, "a row with more fields than the header")
        if block.text_key not in data:
            raise DataError(f"{where} has no column {block.text_key}; {_its_columns(data)}")
        text = data[block.text_key]
        if isinstance(text, list):
            text = "\n".join(str(item) for item in text if item)
        if not isinstance(text, str) or not text.strip():
            return _broken(name, known, f"no text in {block.text_key}")
        if len(text) > self.longest:
            return _broken(name, known, f"longer than {self.longest} characters")
        made: dict[str, Any] = block._default_adapter({**data, "media": []}, path, id_in_file)
        own = made["id"]
        return {
            **made, "text": text.strip(), "id": name if own is None else str(own), "metadata": {**made["metadata"], **known},
        }  # fmt: skip

    def _document(self, theirs: Any) -> Document:
        metadata = {str(key): value for key, value in theirs.metadata.items() if key not in ("file_path", "url")}
        url = theirs.metadata.get("url")
        return Document(theirs.id, "" if ERROR in metadata else theirs.text, str(url) if url else None, metadata)

    def __getstate__(self) -> dict[Any, Any]:
        """Without the opened block and what it found: each worker opens it itself."""
        state = super().__getstate__()
        kept = {key: value for key, value in state["__dict__"].items() if key in type(self).model_fields}
        return {**state, "__dict__": kept}


def _broken(name: str, known: Mapping[str, Any], reason: str) -> dict[str, Any]:
    # A record without text would be left out by datatrove's reader, uncounted.
    return {"text": " ", "id": name, "media": [], "metadata": {**known, ERROR: reason}}


def _its_columns(known: Any) -> str:
    return f"its columns are {', '.join(sorted(map(str, known)))}"


def _is_damage(error: Exception) -> bool:
    """Whether an error tells of the file's content; its own errors a reader's library does not translate."""
    kinds = (EOFError, OSError, zlib.error, UnicodeError, csv.Error)
    names = {"ArrowInvalid", "ArrowException", "ZstdError", "ArchiveLoadFailed"}
    return isinstance(error, kinds) or bool(names & {each.__name__ for each in type(error).__mro__})


@cache
def datatrove_readers() -> tuple[type[DocumentSource], ...]:
    """A component class for each reader that the installed datatrove has; empty if there is none."""
    return tuple(_component(block) for block in blocks("readers", "Reader") if block.name not in _LEFT_OUT)


def _component(block: Block) -> type[DocumentSource]:
    fields = block.options(_OURS) if block.name != "JsonlReader" else {}
    if "data_folder" in fields:
        fields["data_folder"] = (str | tuple[str, dict[str, Any]], fields["data_folder"][1])
        fields["paths_file"] = (str | None, fields["paths_file"][1])
    made: type[DocumentSource] = create_model(block.name, __base__=DatatroveReader, __module__=__name__, **fields)
    made.__doc__ = f"datatrove's {block.name}{f': {block.doc}' if block.doc else ''}."
    if block.name == "JsonlReader":
        made.__doc__ = "Refused: it loses the rest of a file at one invalid byte; use `jsonl`."
    made.name = f"datatrove.{block.name}"
    made.module, made.theirs = block.module, block.theirs
    setattr(sys.modules[__name__], block.name, made)  # where pickle looks for it
    return made


def __getattr__(name: str) -> Any:
    """Workers unpickle the classes by name before anybody listed them."""
    if not name.startswith("_"):
        for each in datatrove_readers():
            if each.__name__ == name:
                return each
    raise AttributeError(name)
