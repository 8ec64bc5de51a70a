"""The source for datasets of the Hugging Face hub, streamed, and for folders that hold one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from rexplug.components import Document, Shard
from rexplug.corpus.sources.fields import Fields
from rexplug.corpus.sources.files import InputFile
from rexplug.errors import DataError, brief, one_line
from rexplug.io.hub import HubName, is_folder, is_hub_name


class HuggingFace(Fields):
    """A dataset by its name on the hub, or a folder with data files or one that `save_to_disk` wrote.

    Rows are streamed: nothing is downloaded whole. A private dataset needs `huggingface-cli login` or HF_TOKEN.
    """

    name: ClassVar[str] = "huggingface"

    dataset: str
    """`owner/name` on the hub, or a folder."""
    config: str | None = None
    """The dataset's configuration (subset), if it has several."""
    part: str = "train"
    """Which split is read."""
    revision: str | None = None
    """Branch, tag or commit; name a commit to read the same rows in a year."""
    files: tuple[str, ...] = ()
    """Read only these files of the repository (globs)."""

    @property
    def _local(self) -> bool:
        return is_folder(self.dataset)

    @cached_property
    def _rows(self) -> Any:
        """The opened dataset.

        Raises:
            DataError: it cannot be opened, or has none of the text fields.
        """
        try:
            rows = self._opened()
        except Exception as error:
            raise DataError(f"{self.name}: the dataset '{self.dataset}' cannot be opened: {one_line(error)}") from None
        features = rows.features
        if features is not None and not self.has_text_column(features):
            raise DataError(
                f"{self.name}: '{self.dataset}' has no column {' or '.join(self.text)}; "
                f"its columns are {', '.join(sorted(features))}"
            )
        return rows

    def _opened(self) -> Any:
        import datasets

        if self._local and (Path(self.dataset) / "state.json").exists():
            stored = datasets.load_from_disk(self.dataset)
            return stored.to_iterable_dataset(num_shards=min(len(stored) or 1, len(stored.cache_files) or 1))
        if self._local and (Path(self.dataset) / "dataset_dict.json").exists():
            stored = datasets.load_from_disk(self.dataset)[self.part]
            return stored.to_iterable_dataset(num_shards=len(stored.cache_files) or 1)
        return datasets.load_dataset(
            self.dataset, self.config, split=self.part, streaming=True, revision=self.revision,
            data_files=list(self.files) or None,
        )  # fmt: skip

    def num_shards(self) -> int:
        """One per file of the dataset."""
        return max(1, int(self._rows.num_shards))

    def inputs(self) -> list[Path]:
        """The files of a local folder; datasets on the hub are known by their revision."""
        return sorted(path for path in Path(self.dataset).rglob("*") if path.is_file()) if self._local else []

    def check(self) -> None:
        """A folder must hold a dataset with the split and one of the text fields; the hub is not asked.

        Raises:
            DataError: it does not, or `dataset` is neither a folder nor written like a name on the hub.
        """
        if self._local:
            self.num_shards()
        elif not is_hub_name(self.dataset):
            raise DataError(
                f"{self.name}: dataset: {brief(self.dataset)} is neither a folder nor a name like 'owner/name'"
            )

    def hub_names(self) -> list[HubName]:
        """The dataset, unless it is a folder."""
        return [] if self._local else [HubName("dataset", self.dataset, self.revision)]

    def documents(self, shard: Shard) -> Iterator[Document]:
        """The rows of every `count`-th file; ids are the dataset's name, split, number of the file and of the row."""
        name = Path(self.dataset).resolve().name if self._local else self.dataset
        count = self.num_shards()
        for index in range(shard.index, count, shard.count):
            place = "/".join(filter(None, (name, self.config, self.part, f"{index:05d}")))
            file = InputFile(self.dataset, place, 0, self.revision or "")
            rows = self._rows.shard(num_shards=count, index=index) if count > 1 else self._rows
            for number, row in enumerate(rows):
                yield self.document_of(row, file, number)

    def __getstate__(self) -> dict[Any, Any]:
        """Without the opened dataset: each worker opens it itself."""
        state = super().__getstate__()
        kept = {key: value for key, value in state["__dict__"].items() if key != "_rows"}
        return {**state, "__dict__": kept}
