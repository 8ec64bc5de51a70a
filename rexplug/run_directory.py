"""The run directory: where each file of a run lies, and how damaged ones are made again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rexplug.errors import DataError
from rexplug.io.json_files import read_json_file


def read_json(path: Path) -> Any:
    """Read a JSON file that a run wrote.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    try:
        return read_json_file(path)
    except DataError as error:
        if not path.exists():
            raise
        raise DataError(f"{error}; {repair_hint(path)}") from None


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a metrics file; a last one that a kill cut off is left out.

    Raises:
        DataError: another line is not what training writes.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; {repair_hint(path)}") from None
    except ValueError as error:
        raise DataError(f"{path} is damaged: it is no UTF-8 ({error}); {repair_hint(path)}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
            if number == len(lines):
                return
        sound = isinstance(entry, dict) and all(
            isinstance(entry.get(key), kind) and not isinstance(entry.get(key), bool)
            for key, kind in (("phase", str), ("step", int), ("tokens", int))
        )
        if not sound:
            raise DataError(f"{path}:{number} is damaged: it is no line that training writes; {repair_hint(path)}")
        yield entry


def repair_hint(path: Path) -> str:
    """What makes a file of a run again, as a clause."""
    name, folder = path.name, path.parent.name
    if name == "run.json":
        return "put a copy of it back, or begin anew in this folder with rexplug run RECIPE --fresh"
    if name == "recipe.yaml":
        return "remove it, and rexplug run RECIPE writes it again"
    if name == "plan.json":
        return "remove it: a run goes on without it"
    if name == "metrics.jsonl":
        return "remove the line: the others are used; --from train makes all of them again"
    if folder == "tokenizer" or name == "store.json" or name.startswith(("shard-", "counts-")):
        return "rexplug run RECIPE --from tokenize makes it again"
    if folder in ("corpus", "fitted") or folder.startswith("salience-"):
        return "rexplug run RECIPE --from curate makes it again"
    if path.parent.parent.name in ("evaluation", "baselines"):
        stage = "baselines" if path.parent.parent.name == "baselines" else folder
        return f"rexplug run RECIPE --from evaluate.{stage} makes it again"
    return "remove it, and what wrote it makes it again"


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
