"""mteb tasks in a local folder that describes itself in `task.yaml`: reading and checking."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from rexplug.components import RetrievalCollection
from rexplug.errors import DataError
from rexplug.evaluation.beir import CANDIDATES, OPTIONAL_FILES, REQUIRED_FILES, read_collection
from rexplug.io.compression import COMPRESSED
from rexplug.io.tabular import KINDS, column, read_records
from rexplug.recipe.load import load_section
from rexplug.recipe.section import Section

DESCRIPTION = "task.yaml"
MAIN_SCORES = {"sts": "cosine_spearman", "pair_classification": "max_ap", "classification": "accuracy"}
"""mteb's main score of each kind of task that has tables."""
_COLUMNS = {
    "sts": ("sentence1", "sentence2", "score"),
    "pair_classification": ("sentence1", "sentence2", "label"),
    "classification": ("text", "label"),
}
_SPLITS = {"sts": ("test",), "pair_classification": ("test",), "classification": ("train", "test")}


class TaskDescription(Section):
    """`task.yaml` of a local task."""

    type: Literal["retrieval", "reranking", "sts", "classification", "pair_classification"]
    """The kind of task; it decides which files the folder holds."""
    description: str = ""
    """One sentence for mteb's metadata."""
    language: str = Field(default="eng-Latn", pattern=r"^[a-z]{3}-[A-Z][a-z]{3}$")
    """Language and script as mteb writes them."""
    synthetic: bool = False
    """Whether the texts were written by a program; shown wherever results are."""


@dataclass(frozen=True)
class LocalTask:
    """A task as read from its folder: `collection` of (re)ranking tasks, else `rows` of its tables by split.

    `revision` is a hash of the files.
    """

    name: str
    description: TaskDescription
    collection: RetrievalCollection | None
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    revision: str

    def texts(self) -> dict[str, str]:
        """Documents and queries, or the texts of the test split: those that decontamination looks for in the corpus."""
        if self.collection is not None:
            return self.collection.texts()
        columns = [name for name in _COLUMNS[self.description.type] if name not in ("score", "label")]
        return {f"test {number}, {name}": row[name] for number, row in enumerate(self.rows["test"]) for name in columns}


def read_task(folder: Path) -> LocalTask:
    """Read and check a task.

    Raises:
        RecipeError: `task.yaml` has mistakes; with their lines.
        DataError: a file is missing, or a line does not hold what it should; with file and line.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise DataError(f"{path} is missing; it says what the task is, e.g. 'type: retrieval'")
    description = load_section(path, TaskDescription)
    kind = description.type
    if kind in ("retrieval", "reranking"):
        collection = read_collection(folder)
        if (kind == "reranking") != (collection.candidates is not None):
            problem = "needs" if kind == "reranking" else "has no use for"
            raise DataError(f"{path}: a {kind} task {problem} {folder / CANDIDATES}")
        return LocalTask(folder.name, description, collection, {}, _hash(folder))
    rows = {split: _read_rows(_table(folder, split), kind) for split in _SPLITS[kind]}
    if kind == "classification":
        unknown = sorted({row["label"] for row in rows["test"]} - {row["label"] for row in rows["train"]})
        if unknown:
            raise DataError(f"{_table(folder, 'test')}: the class '{unknown[0]}' does not occur in train")
    return LocalTask(folder.name, description, None, rows, _hash(folder))


def task_files(folder: Path) -> list[Path]:
    """The files of a task that exist."""
    tables = [folder / f"{split}{kind}{c}" for split in ("train", "test") for kind in KINDS for c in ("", *COMPRESSED)]
    named = [folder / name for name in (DESCRIPTION, *REQUIRED_FILES, *OPTIONAL_FILES)]
    return [path for path in dict.fromkeys([*named, *tables]) if path.is_file()]


def _table(folder: Path, split: str) -> Path:
    tables = [path for path in task_files(folder) if path.name.split(".")[0] == split]
    if len(tables) != 1:
        kinds = ", ".join(f"{split}{kind}" for kind in KINDS)
        problem = f"several files of the split {split}" if tables else f"no {split} split"
        raise DataError(f"{folder} has {problem}; it is one of {kinds} (.gz, .bz2, .zst and .xz may follow)")
    return tables[0]


def _read_rows(path: Path, kind: str) -> list[dict[str, Any]]:
    rows = []
    for number, record in read_records(path):
        place = f"{path}:{number}"
        row = {name: column(record, [name], place) for name in _COLUMNS[kind]}
        for name, value in row.items():
            if name in ("score", "label"):
                continue
            if not isinstance(value, str) or not value.strip():
                raise DataError(f"{place}: {name} is not a text")
        if kind == "sts":
            row["score"] = _number(row["score"], place)
        if kind == "pair_classification":
            if str(row["label"]) not in ("0", "1"):
                raise DataError(f"{place}: label is {row['label']!r}; it is 1 for pairs that belong together, else 0")
            row["label"] = int(row["label"])
        if kind == "classification":
            row["label"] = str(row["label"])
        rows.append(row)
    if not rows:
        raise DataError(f"{path} is empty")
    return rows


def _number(value: Any, place: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(f"{place}: score is {value!r}, which is not a number") from None


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in task_files(folder):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]
