"""The results of a run: its stages, metrics, evaluations, corpus and model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexplug.api.explained import explained
from rexplug.api.folders import RunLike, folder_of, shown
from rexplug.errors import DataError, RexplugError

if TYPE_CHECKING:
    from rexplug.api.lineage import DocumentSteps, StepDocuments
    from rexplug.recipe import Recipe
    from rexplug.run_directory import RunDirectory


@dataclass(frozen=True)
class StageRecord:
    """The record of a stage in `run.json`.

    `status` is `running`, `done` or `failed`, and empty for a stage that only was planned; `seconds` is its wall time, over
    all attempts; times are ISO 8601 in UTC. `result` is what the stage returned, as JSON. `stale` says why the outcome no
    longer holds, e.g. because an earlier stage ran again; `taken_over_from` is the run whose outputs this stage reuses.
    """

    name: str
    status: str = ""
    seconds: float = 0.0
    started: str | None = None
    finished: str | None = None
    peak_memory_gib: float | None = None
    result: Any = None
    stale: str | None = None
    error: str | None = None
    taken_over_from: str | None = None

    @property
    def done(self) -> bool:
        """Whether the stage is done and its outcome still holds."""
        return self.status == "done" and not self.stale


@dataclass(frozen=True)
class SourceCounts:
    """Documents of a source that were read, kept for training and held out; `tokens` are None until it is tokenized."""

    read: int
    kept: int
    held_out: int
    tokens: int | None = None


@dataclass(frozen=True)
class Run:
    """A run as it was when it was opened; large files are read when they are asked for.

    `folder` is the run directory, `status` is `running`, `done`, `interrupted`, `incomplete` or `failed`.
    """

    folder: Path
    status: str
    manifest: Mapping[str, Any] = field(repr=False)
    """The contents of run.json: recipe name, command, versions, plugins, host and stages."""

    @property
    def directory(self) -> RunDirectory:
        """The paths of the run's files."""
        from rexplug.run_directory import RunDirectory

        return RunDirectory(self.folder)

    @cached_property
    @explained
    def recipe(self) -> Recipe:
        """The recipe of the run, with every default filled in.

        Raises:
            DataError: recipe.yaml is missing.
            RecipeError: it cannot be loaded here, e.g. because a plugin is not installed.
        """
        from rexplug.recipe import load_run_recipe

        return load_run_recipe(self.directory)

    @cached_property
    @explained
    def stages(self) -> Mapping[str, StageRecord]:
        """Stage name (`curate`, `train.pretrain`) -> its record, in the order in which the stages first ran."""
        names = StageRecord.__dataclass_fields__.keys() - {"name"}
        return {
            name: StageRecord(
                name, **{key: value for key, value in known.items() if key in names and value is not None}
            )
            for name, known in self.manifest["stages"].items()
        }

    @property
    def seconds(self) -> float:
        """Wall time of all stages."""
        return sum(stage.seconds for stage in self.stages.values())

    @property
    @explained
    def metrics(self) -> list[dict[str, Any]]:
        """A row per training step, in order: `phase`, `step`, `tokens`, `loss`, `learning_rate`, `source_loss` and so on.

        `pandas.DataFrame(run.metrics)` makes a table of them; `columns` picks some.

        Raises:
            DataError: metrics.jsonl is damaged.
        """
        from rexplug.run_directory import read_metrics

        return list(read_metrics(self.directory.metrics))

    def columns(self, *names: str, phase: str | None = None) -> dict[str, list[Any]]:
        """Metrics as columns, e.g. `run.columns("total_tokens", "loss", "source_loss.web")`.

        Args:
            names: metrics; a dot leads into those that are kept per source.
            phase: only the steps of this phase.

        Returns:
            Name -> a value per step; None where a step has no such metric.

        Raises:
            DataError: no step has a metric of that name, no phase has that name, or metrics.jsonl is damaged.
        """
        for name in names:
            if not isinstance(name, str):
                raise RexplugError(
                    f"the name of a metric is a string, not {shown(name)}; write columns('step', 'loss')"
                )
        metrics = self.metrics
        rows = [row for row in metrics if phase in (None, row["phase"])]
        if phase is not None and not rows and f"train.{phase}" not in self.stages:
            phases = dict.fromkeys(row["phase"] for row in metrics)
            raise DataError(
                f"{self.folder} has trained no phase '{phase}'; there are {', '.join(phases) or 'none yet'}"
            )
        table = {name: [_value(row, name) for row in rows] for name in names}
        for name, values in table.items():
            if rows and all(value is None for value in values):
                known = dict.fromkeys(key for row in rows for key in row)
                raise DataError(f"no step of {self.folder} has the metric '{name}'; there are {', '.join(known)}")
        return table

    @property
    @explained
    def evaluations(self) -> list[dict[str, Any]]:
        """A row per metric of every evaluation that still holds.

        Each has `moment` (`initial`, the name of a phase, or `baselines`), `model` (the moment, or the baseline's label),
        `evaluator`, `metric`, `main` (whether it represents the evaluator in summaries), `value`, `low` and `high` (95 %
        interval, or None) and `num_items`.

        Raises:
            DataError: a file of results is damaged.
        """
        from rexplug.report.results import load_results

        rows = []
        for stage in self.stages.values():
            group, _, moment = stage.name.partition(".")
            if group != "evaluate" or not stage.done:
                continue
            baselines = moment == "baselines"
            places = sorted(self.directory.baselines.glob("*/")) if baselines else [self.directory.evaluation / moment]
            for place in places:
                for evaluator, result in load_results(place, place.name).results.items():
                    for name, metric in result.get("metrics", {}).items():
                        rows.append(
                            {
                                "moment": moment, "model": place.name, "evaluator": evaluator, "metric": name,
                                "main": name == result.get("main"),
                                **{key: metric.get(key) for key in ("value", "low", "high", "num_items")},
                            }
                        )  # fmt: skip
        return rows

    @property
    @explained
    def corpus(self) -> dict[str, SourceCounts]:
        """Source -> how many of its documents were read, kept and held out, and their tokens; empty before curation."""
        curated, tokenized = (self.stages.get(name) for name in ("curate", "tokenize"))
        if curated is None or not curated.done:
            return {}
        tokens = (tokenized.result or {}) if tokenized is not None and tokenized.done else {}
        return {
            name: SourceCounts(
                read=counts["read"]["documents"],
                kept=counts["kept"]["documents"],
                held_out=counts["held_out"]["documents"],
                tokens=tokens.get(name, {}).get("tokens"),
            )
            for name, counts in curated.result["sources"].items()
        }

    @property
    def model(self) -> Path:
        """The folder of the exported model, which `transformers` and `sentence-transformers` load.

        Raises:
            DataError: the run has exported none yet.
        """
        folder = self.directory.model
        if not (folder / "config.json").is_file():
            raise DataError(
                f"{self.folder} has no exported model yet; run the recipe to its end, or export a checkpoint with "
                "rexplug.api.export_checkpoint"
            )
        return folder

    @explained
    def load_model(self) -> Any:
        """The exported model with its masked-LM head, in evaluation mode (`transformers.AutoModelForMaskedLM`).

        Raises:
            DataError: the run has exported none yet.
        """
        from transformers import AutoModelForMaskedLM
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        return AutoModelForMaskedLM.from_pretrained(self.model).eval()

    @explained
    def load_tokenizer(self) -> Any:
        """The run's tokenizer (`transformers.PreTrainedTokenizerFast`).

        Raises:
            DataError: there is none yet, or its files are damaged.
        """
        from rexplug.io.tokenizer_files import load_fast
        from rexplug.run_directory import repair_hint

        path = self.directory.tokenizer / "tokenizer.json"
        if not path.is_file():
            raise DataError(f"{path} is missing; {repair_hint(path)}")
        return load_fast(self.directory.tokenizer)

    def documents_of_step(self, step: int, phase: str | None = None) -> StepDocuments:
        """The documents in the batch of a step; see `rexplug.api.documents_of_step`."""
        from rexplug.api.lineage import documents_of_step

        return documents_of_step(self, step, phase)

    def steps_of_document(self, document: str, phase: str | None = None) -> DocumentSteps:
        """The steps that saw a document, and those that will; see `rexplug.api.steps_of_document`."""
        from rexplug.api.lineage import steps_of_document

        return steps_of_document(self, document, phase)


def _value(row: Mapping[str, Any], name: str) -> Any:
    value: Any = row
    for part in [name] if name in row else name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


@explained
def open_run(run: RunLike) -> Run:
    """Open a run directory, at any stage of the run.

    Raises:
        DataError: the folder is not a run, or its manifest is damaged.
    """
    from rexplug.pipeline.manifest import Manifest
    from rexplug.run_directory import RunDirectory

    root = folder_of(run)
    manifest = Manifest.existing(RunDirectory(root))
    return Run(root, manifest.values.get("status", ""), manifest.values)
