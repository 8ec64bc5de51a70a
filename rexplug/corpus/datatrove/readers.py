"""Readers of datatrove: `{use: datatrove.reader, class: IpcReader, options: {data_folder: data/arrow, stream: true}}`.

Records that these readers skip silently are counted here as far as they can be observed.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from rexplug.components import Document, DocumentSource, Shard
from rexplug.components.document import ERROR
from rexplug.components.quantities import Positive
from rexplug.corpus.datatrove.blocks import block_call, checked_options, find_block
from rexplug.corpus.datatrove.named_block import NamedBlock
from rexplug.corpus.sources.http_bodies import mend_brotli_of_warcio
from rexplug.errors import DataError, error_text, one_line

_ROWS_PER_SHARD = 50_000
"""Rows of a dataset in a shard."""


class DatatroveReader(NamedBlock, DocumentSource):
    """A reader of datatrove, by the name of its class; texts and ids are those that datatrove gives, and a shard is a file."""

    name: ClassVar[str] = "datatrove.reader"
    block_kind = "reader"

    class_: str = Field(alias="class")
    """A class of `datatrove.pipeline.readers`, e.g. `IpcReader`; or the dotted path of one in another package, e.g.
    `my_package.readers.MyReader`."""
    options: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    """Arguments of the class (`data_folder`, `glob_pattern`, `text_key`, ...), checked against its signature."""
    damaged: Literal["refuse", "skip"] = "refuse"
    """A file that breaks off or cannot be read further: `refuse` stops and names it, `skip` keeps the documents before the
    damage and drops the rest with a reason."""
    longest: Positive = 20_000_000
    """Characters of the longest text; a longer one is dropped with a reason."""

    @cached_property
    def _block(self) -> Any:
        options = checked_options("reader", self.class_, self.options)
        try:
            block = find_block("reader", self.class_)(**options)
        except (Exception, SystemExit) as error:  # each class checks its options in its own way
            raise DataError(f"{self.called}: datatrove refuses these options: {error_text(error)}") from None
        if not hasattr(block, "data_folder") and not hasattr(block, "dataset"):
            raise DataError(
                f"{self.called}: it reads neither a data_folder nor a dataset, so its documents cannot be divided into shards; "
                "use a subclass of datatrove's BaseDiskReader or HuggingFaceDatasetReader, or write a plugin with a "
                "DocumentSource"
            )
        default_adapter = block.adapter
        block.adapter = lambda data, path, id_in_file: self._adapt(default_adapter, data, path, id_in_file)
        return block

    @cached_property
    def _files(self) -> list[str]:
        """The files below `data_folder`, sorted, hidden ones left out (datatrove would read an editor's leftovers)."""
        from datatrove.io import get_shard_from_paths_file

        block = self._block
        if block.paths_file:
            paths = [path for path in get_shard_from_paths_file(block.paths_file, 0, 1) if path]
        else:
            paths = block.data_folder.list_files(recursive=block.recursive, glob_pattern=block.glob_pattern)
        return [path for path in paths if not path.rpartition("/")[2].startswith(".")]

    @cached_property
    def _num_dataset_shards(self) -> int:
        """How many shards a dataset has: as many as files if it is streamed, by rows otherwise."""
        import datasets

        block = self._block
        try:
            if block.load_from_disk:
                dataset = datasets.load_from_disk(block.dataset)
            else:
                dataset = datasets.load_dataset(block.dataset, **block.dataset_options, streaming=block.streaming)
        except Exception as error:
            raise DataError(
                f"{self.called}: the dataset '{block.dataset}' cannot be opened: {one_line(error)}"
            ) from None
        if isinstance(dataset, dict):
            raise DataError(
                f"{self.called}: write which split is read, e.g. `dataset_options: {{split: {next(iter(dataset))}}}`; "
                f"the splits are {', '.join(dataset)}"
            )
        if (columns := dataset.column_names) and block.text_key not in columns:
            raise DataError(f"{self.called}: {block.dataset} has no column {block.text_key}; {_list_columns(columns)}")
        return int(dataset.num_shards) if block.streaming else max(1, -(-len(dataset) // _ROWS_PER_SHARD))

    @property
    def _on_disk(self) -> bool:
        """Whether the reader reads files of a folder, as all but that of datasets do."""
        return hasattr(self._block, "data_folder")

    def num_shards(self) -> int:
        """One per file; a dataset divides by its files if it is streamed, by rows otherwise."""
        return max(1, len(self._files)) if self._on_disk else self._num_dataset_shards

    def inputs(self) -> list[Path]:
        """The local files that the source reads; none if they are in an object store."""
        if not self._on_disk:
            folder = Path(self._block.dataset)
            return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
        return [Path(path) for path in map(self._block.data_folder.resolve_paths, self._files) if "://" not in path]

    def stamps(self) -> dict[str, list[Any]]:
        """Size and version of each file; for objects in a store as the store reports them."""
        local = super().stamps()
        if self._on_disk and not local:
            folder = self._block.data_folder
            return {path: [folder.info(path).get("size"), str(folder.ukey(path))] for path in self._files}
        return local

    def check(self) -> None:
        """Build the block, so that refused options and missing packages show before the run, and look for files or columns.

        A dataset on the hub that is not streamed is not checked: it would be downloaded as a whole.

        Raises:
            DataError: the class refuses its options, there are no files, or the dataset cannot be opened.
        """
        if not self._on_disk:
            if self._block.streaming or Path(self._block.dataset).is_dir():
                self._num_dataset_shards  # noqa: B018
        elif not self._files:
            pattern = f" that match {self._block.glob_pattern}" if self._block.glob_pattern else ""
            raise DataError(f"{self.called}: data_folder: '{self._block.data_folder.path}' has no files{pattern}")

    def documents(self, shard: Shard) -> Iterator[Document]:
        """The documents of every `count`-th file, or rows of a dataset."""
        if not self._on_disk:
            count = self._num_dataset_shards
            for index in range(shard.index, count, shard.count):
                with block_call(self._block, "run", f"on part {index + 1} of {count}"):
                    yield from map(_document, self._block.run(None, index, count))
            return
        if any(kind.__name__ == "WarcReader" for kind in type(self._block).__mro__):
            mend_brotli_of_warcio()
        # Python's own limit of 128 KiB is below the length of real documents; a field beyond this one ends the file.
        csv.field_size_limit(10 * self.longest)
        for path in self._files[shard.index :: shard.count]:
            try:
                yield from map(_document, self._block.read_file(path))
            except (Exception, SystemExit) as error:
                where = self._block.data_folder.resolve_paths(path)
                if not _is_damage(error):
                    with block_call(self._block, "read_file", f"on {where}"):
                        raise
                if self.damaged == "refuse":
                    raise DataError(
                        f"{where} is damaged: {one_line(error, 200)}; repair or remove it, or write "
                        "`damaged: skip` to leave out the rest of it"
                    ) from None
                yield Document(f"{path}/damage", "", None, {"place": f"{where}:damage", ERROR: "a damaged file"})

    def _adapt(
        self, default_adapter: Callable[..., dict[str, Any]], data: dict[Any, Any], path: str, id_in_file: int | str
    ) -> dict[str, Any]:
        """The record as datatrove's reader expects it from an adapter; a broken one carries the reason in its metadata."""
        block = self._block
        where = block.data_folder.resolve_paths(path) if self._on_disk else path
        place = {"place": f"{where}:{id_in_file}"}
        default_id = f"{path}/{id_in_file}"
        if None in data:
            return _broken_record(default_id, place, "a row with more fields than the header")
        if block.text_key not in data:
            raise DataError(f"{where} has no column {block.text_key}; {_list_columns(data)}")
        text = data[block.text_key]
        if isinstance(text, list):
            text = "\n".join(str(item) for item in text if item)
        if not isinstance(text, str) or not text.strip():
            return _broken_record(default_id, place, f"no text in {block.text_key}")
        if len(text) > self.longest:
            return _broken_record(default_id, place, f"longer than {self.longest} characters")
        record = default_adapter({**data, "media": []}, path, id_in_file)
        id = default_id if record["id"] is None else str(record["id"])
        return {**record, "text": text.strip(), "id": id, "metadata": {**record["metadata"], **place}}

    def __getstate__(self) -> dict[Any, Any]:
        """Without the block and the list of files: each worker builds them itself."""
        state = super().__getstate__()
        kept = {key: value for key, value in state["__dict__"].items() if key in type(self).model_fields}
        return {**state, "__dict__": kept}


def _document(read: Any) -> Document:
    """A document of datatrove as one of rexplug."""
    metadata = {str(key): value for key, value in read.metadata.items() if key not in ("file_path", "url")}
    url = read.metadata.get("url")
    return Document(read.id, "" if ERROR in metadata else read.text, str(url) if url else None, metadata)


def _broken_record(id: str, place: Mapping[str, Any], reason: str) -> dict[str, Any]:
    # A record without text would be left out by datatrove's reader, uncounted.
    return {"text": " ", "id": id, "media": [], "metadata": {**place, ERROR: reason}}


def _list_columns(columns: Any) -> str:
    return f"its columns are {', '.join(sorted(map(str, columns)))}"


def _is_damage(error: BaseException) -> bool:
    """Whether an error is about the content of a file; the libraries below a reader raise classes of their own."""
    kinds = (EOFError, OSError, zlib.error, UnicodeError, csv.Error)
    names = {"ArrowInvalid", "ArrowException", "ZstdError", "ArchiveLoadFailed"}
    return isinstance(error, kinds) or bool(names & {base.__name__ for base in type(error).__mro__})
