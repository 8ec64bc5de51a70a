"""Where everything of a run lies, and how files are written so that a stop never leaves half of one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rexplug.errors import DataError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what is written there takes its place when the block ends without error.

    Works for files and for folders. The temporary name keeps the suffix and starts with a dot.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    remove(temporary)
    try:
        yield temporary
        if temporary.is_file():
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        if path.is_dir():
            # A folder cannot be replaced in one step: the old one is moved away first, and removed last.
            aside = path.with_name(f".old-{os.getpid()}-{path.name}")
            remove(aside)
            path.rename(aside)
            temporary.rename(path)
            remove(aside)
        else:
            temporary.replace(path)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there; of a link the link alone, never what it points to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file in one step."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that a run wrote.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


@dataclass(frozen=True)
class RunDirectory:
    """The paths of a run below `root` (`runs/<name>`)."""

    root: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.root / "recipe.yaml"

    @property
    def manifest(self) -> Path:
        """`run.json`: versions, plugins, host, stage fingerprints, timings."""
        return self.root / "run.json"

    @property
    def plan(self) -> Path:
        """`plan.json`: what was expected of each stage when it began."""
        return self.root / "plan.json"

    @property
    def relevance(self) -> Path:
        """The relevance classifier and `relevance.json`, which says how good it is."""
        return self.root / "relevance"

    @property
    def labels(self) -> Path:
        """Answers of language models; no stage clears them, they cost money."""
        return self.root / "labels"

    @property
    def corpus(self) -> Path:
        """`<source>/{kept,held_out,dropped}/*.parquet`, and `statistics.json`."""
        return self.root / "corpus"

    @property
    def fitted(self) -> Path:
        """What filters and scorers learnt from the corpus."""
        return self.root / "fitted"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer, as transformers saves it."""
        return self.root / "tokenizer"

    @property
    def tokens(self) -> Path:
        """A token store per source."""
        return self.root / "tokens"

    @property
    def checkpoints(self) -> Path:
        """A folder per phase."""
        return self.root / "checkpoints"

    @property
    def metrics(self) -> Path:
        """`metrics.jsonl`: one line per training step."""
        return self.root / "metrics.jsonl"

    @property
    def logs(self) -> Path:
        """What libraries say while they work."""
        return self.root / "logs"

    @property
    def evaluation(self) -> Path:
        """`<moment>/<evaluator>.json`, where a moment is `initial` or a phase's name."""
        return self.root / "evaluation"

    @property
    def baselines(self) -> Path:
        """`<model>/<evaluator>.json`: the same figures of other models."""
        return self.root / "baselines"

    @property
    def model(self) -> Path:
        """The exported Hugging Face model."""
        return self.root / "model"

    @property
    def report(self) -> Path:
        """`report.html`."""
        return self.root / "report.html"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.root / "README.md"
