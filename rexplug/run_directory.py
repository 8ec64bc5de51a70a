"""The run directory: the path of each file of a run, readers of its JSON files, its metrics, and how damaged files are restored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rexplug.errors import DataError
from rexplug.io.atomic import write_text
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
    """The lines of a metrics file, parsed. An incomplete last line, which a killed run leaves, is left out.

    Raises:
        DataError: the file cannot be read, or another line does not hold phase, step and tokens.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; {repair_hint(path)}") from None
    except ValueError as error:
        raise DataError(f"{path} is damaged: it is not UTF-8 ({error}); {repair_hint(path)}") from None
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
            raise DataError(f"{path}:{number} is damaged: it is not a line of training metrics; {repair_hint(path)}")
        yield entry


def metric_lines(path: Path, keep: Callable[[str, int], bool]) -> list[str]:
    """The lines of a metrics file, as text with line ends, whose phase and step pass `keep`; damaged lines are left out."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
            if isinstance(entry["step"], int) and keep(entry["phase"], entry["step"]):
                lines.append(line + "\n")
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # a line that a killed run did not finish
    return lines


def truncate_metrics(path: Path, phase: str, step: int) -> None:
    """Remove the lines of a phase after `step` from a metrics file, since these steps are repeated; all of them for step 0."""
    if path.exists():
        write_text(path, "".join(metric_lines(path, lambda name, number: name != phase or number <= step)))


def read_fitted(record: Path) -> Any:
    """The options of a fitted component: `<name>.json`, next to a folder `<name>` with the component's files.

    Options that are paths into that folder name the files next to `record`, also in a run that was moved or copied, or that
    was written with a relative path in another current directory.

    Raises:
        DataError: the file is missing or damaged.
    """
    return _with_own_files(read_json(record), record.with_suffix(""))


def _with_own_files(value: Any, folder: Path) -> Any:
    """`value` with paths that end in `<parent>/<folder>/...` replaced by those below `folder`, if such files exist."""
    if isinstance(value, dict):
        return {key: _with_own_files(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_own_files(item, folder) for item in value]
    if not isinstance(value, str):
        return value
    stored = Path(value)
    at = (folder.parent.name, folder.name)
    parts = stored.parts
    for end in range(len(parts), 1, -1):
        if parts[end - 2 : end] == at:
            own = folder.joinpath(*parts[end:])
            moved = own.exists() and not (stored.exists() and stored.samefile(own))
            return str(own) if moved else value  # the same file keeps its spelling, which keys of results contain
    return value


def repair_hint(path: Path) -> str:
    """How a missing or damaged file of a run is restored, as a clause for messages."""
    name, folder = path.name, path.parent.name
    if name == "run.json":
        return "restore it from a copy, or start over in this folder with rexplug run RECIPE --fresh"
    if name == "recipe.yaml":
        again = "rexplug run RECIPE writes it again"
        return f"remove it, and {again}" if path.exists() else again
    if name == "plan.json":
        return "remove it: a run continues without it"
    if name == "metrics.jsonl":
        return "remove the line: the others are used; --from train makes all of them again"
    if folder == "tokenizer" or name == "store.json" or name.startswith(("shard-", "counts-")):
        return "rexplug run RECIPE --from tokenize makes it again"
    if folder in ("corpus", "fitted") or folder.startswith("salience-"):
        return "rexplug run RECIPE --from curate makes it again"
    if path.parent.parent.name in ("evaluation", "baselines"):
        stage = "baselines" if path.parent.parent.name == "baselines" else folder
        return f"rexplug run RECIPE --from evaluate.{stage} makes it again"
    return "remove it, and the command that wrote it writes it again"


@dataclass(frozen=True)
class RunDirectory:
    """The paths of a run below `root` (`runs/<name>`)."""

    root: Path

    @property
    def recipe(self) -> Path:
        """`recipe.yaml`: the resolved recipe."""
        return self.root / "recipe.yaml"

    @property
    def plugins(self) -> Path:
        """`plugins/`: copies of the plugin files that the recipe names."""
        return self.root / "plugins"

    @property
    def manifest(self) -> Path:
        """`run.json`: versions, plugins, host, stage fingerprints, timings."""
        return self.root / "run.json"

    @property
    def plan(self) -> Path:
        """`plan.json`: the forecast of each stage, as it was when the stage started."""
        return self.root / "plan.json"

    @property
    def relevance(self) -> Path:
        """The relevance classifier, and `relevance.json` with its quality metrics."""
        return self.root / "relevance"

    @property
    def labels(self) -> Path:
        """Answers of language models; they cost money, so no stage removes them."""
        return self.root / "labels"

    @property
    def corpus(self) -> Path:
        """The curated corpus: `<source>/{kept,held_out,dropped}/*.parquet`, and `statistics.json`."""
        return self.root / "corpus"

    @property
    def fitted(self) -> Path:
        """What filters and salience scorers learnt from the corpus."""
        return self.root / "fitted"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer, as transformers saves it."""
        return self.root / "tokenizer"

    @property
    def tokens(self) -> Path:
        """`<source>/`: a token store per source."""
        return self.root / "tokens"

    def missing_stores(self, sources: Iterable[str]) -> list[str]:
        """Those of the sources that have no finished token store."""
        return [name for name in sources if not (self.tokens / name / "store.json").exists()]

    @property
    def checkpoints(self) -> Path:
        """`initial/` and `<phase>/`: the checkpoints."""
        return self.root / "checkpoints"

    @property
    def metrics(self) -> Path:
        """`metrics.jsonl`: one line per training step."""
        return self.root / "metrics.jsonl"

    @property
    def logs(self) -> Path:
        """Log files of libraries and worker processes."""
        return self.root / "logs"

    @property
    def evaluation(self) -> Path:
        """`<moment>/<evaluator>.json`, where a moment is `initial` or a phase's name."""
        return self.root / "evaluation"

    @property
    def baselines(self) -> Path:
        """`<model>/<evaluator>.json`: the same metrics of other models."""
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
    def items(self) -> Path:
        """`items.html`: the models' answers on single items."""
        return self.root / "items.html"

    @property
    def report_plots(self) -> Path:
        """`report-plots`: plots of the report's comparison as SVG and PNG."""
        return self.root / "report-plots"

    @property
    def card_figures(self) -> Path:
        """`figures`: the figures that the model card shows."""
        return self.root / "figures"

    @property
    def card(self) -> Path:
        """`README.md`: the model card."""
        return self.root / "README.md"
