"""Runs: start one, continue it, and open what it left."""

from __future__ import annotations

import multiprocessing
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexplug.api.folders import RunLike, StrPath, folder_of
from rexplug.api.recipes import default_run_dir
from rexplug.errors import DataError, RexplugError
from rexplug.progress import Progress, Silent

if TYPE_CHECKING:
    from rexplug.api.lineage import DocumentSteps, StepDocuments
    from rexplug.pipeline.verify import VerifiedPart
    from rexplug.recipe import Recipe
    from rexplug.run_directory import RunDirectory


@dataclass(frozen=True)
class StageRecord:
    """What a run keeps of one of its stages.

    `status` is `running`, `done` or `failed`, and empty for a stage that only was planned; `seconds` is its wall time, over
    all attempts; times are ISO 8601 in UTC. `result` is what the stage returned, as JSON. `stale` says why the outcome no
    longer holds, e.g. because an earlier stage ran again.
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

    `folder` is the run's folder, `status` is `running`, `done`, `interrupted`, `incomplete` or `failed`.
    """

    folder: Path
    status: str
    manifest: Mapping[str, Any] = field(repr=False)
    """The contents of run.json: recipe name, command, versions, plugins, host and stages."""

    @property
    def directory(self) -> RunDirectory:
        """Where each file of the run lies."""
        from rexplug.run_directory import RunDirectory

        return RunDirectory(self.folder)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of the run, with every default filled in.

        Raises:
            DataError: recipe.yaml is missing.
            RecipeError: it cannot be loaded here, e.g. because a plugin is not installed.
        """
        from rexplug.recipe import load_recipe
        from rexplug.run_directory import repair_hint

        path = self.directory.recipe
        if not path.is_file():
            raise DataError(f"{path} is missing; {repair_hint(path)}")
        return load_recipe(path)

    @cached_property
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
            DataError: no step has a metric of that name, or metrics.jsonl is damaged.
        """
        rows = [row for row in self.metrics if phase in (None, row["phase"])]
        table = {name: [_value(row, name) for row in rows] for name in names}
        for name, values in table.items():
            if rows and all(value is None for value in values):
                raise DataError(f"no step of {self.folder} has the metric '{name}'; there are {', '.join(rows[0])}")
        return table

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """A row per metric of every evaluation that still holds.

        Each has `moment` (`initial`, the name of a phase, or `baselines`), `model` (the moment, or the baseline's label),
        `evaluator`, `metric`, `main` (whether it stands for the evaluator in summaries), `value`, `low` and `high` (95 %
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

    def load_model(self) -> Any:
        """The exported model with its masked-LM head, in evaluation mode (`transformers.AutoModelForMaskedLM`).

        Raises:
            DataError: the run has exported none yet.
        """
        from transformers import AutoModelForMaskedLM

        return AutoModelForMaskedLM.from_pretrained(self.model).eval()

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


def open_run(run: RunLike) -> Run:
    """Open the folder of a run, at any stage of it.

    Raises:
        DataError: the folder is not a run, or its manifest is damaged.
    """
    from rexplug.pipeline.manifest import Manifest
    from rexplug.run_directory import RunDirectory

    root = folder_of(run)
    manifest = Manifest.existing(RunDirectory(root))
    return Run(root, manifest.values.get("status", ""), manifest.values)


def run(
    recipe: Recipe,
    *,
    run_dir: StrPath | None = None,
    until: str | None = None,
    from_: str | None = None,
    fresh: bool = False,
    allow: Sequence[str] = (),
    command: str | None = None,
    progress: Progress | None = None,
) -> Run:
    """Do what a recipe says, in this process: curate, tokenize, train, evaluate, export and report.

    Stages that are done are skipped, and a run that was stopped continues; calling this again with the same recipe is safe.
    Several processes (one per GPU) train a recipe with `rexplug run --processes N`, torchrun or srun. In a script, call it under
    `if __name__ == "__main__":`; the workers of curation import the script that starts them.

    Args:
        recipe: the recipe.
        run_dir: the run's folder; `runs/NAME` if left out.
        until: stop after this stage, e.g. `tokenize` or `train.pretrain`.
        from_: do this stage, and what depends on it, again.
        fresh: remove what an earlier run left in the folder first.
        allow: keys that may have changed although a phase is under way, e.g. `phases.anneal.tokens`.
        command: what run.json names as the command that makes this run again; `rexplug run` on the saved recipe if left out.
        progress: is told what happens; nothing is printed if left out.

    Returns:
        The run as it is afterwards.

    Raises:
        RexplugError: something that the user can repair; its text says what.
        RunInterrupted: training was asked to stop (Ctrl-C, SIGTERM) and saved a checkpoint; call again to continue.
        Incomplete: everything is done but some evaluations, which failed; `open_run` opens the rest.
    """
    from rexplug.pipeline.run import run_recipe
    from rexplug.plugins.discovery import load_plugins

    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing itself asks
        raise RexplugError(
            "rexplug.run was called while a worker process imported this script; put the call under "
            "`if __name__ == '__main__':`, since workers import the script that starts them"
        )
    root = Path(run_dir) if run_dir is not None else default_run_dir(recipe)
    run_recipe(
        recipe, root, progress or Silent(), plugins=load_plugins().versions(),
        command=command or shlex.join(["rexplug", "run", str(root / "recipe.yaml"), "--run-dir", str(root)]),
        until=until, from_=from_, fresh=fresh, allow=allow,
    )  # fmt: skip
    return open_run(root)


def train_with_main_rank(recipe: Recipe, run_dir: StrPath) -> None:
    """Be one of the ranks above 0: train every phase that rank 0 (which calls `run`) begins, until its run ends.

    Raises:
        RexplugError: something that the user can repair.
    """
    from rexplug.pipeline.run import train_with_main_rank as train

    train(recipe, Path(run_dir))


def export_checkpoint(
    run: RunLike, checkpoint: str | None = None, *, to: StrPath | None = None, onnx: bool = False
) -> tuple[Path, dict[str, Any]]:
    """Write a checkpoint as a Hugging Face model and compare its logits with those of training.

    Args:
        run: the run.
        checkpoint: `PHASE` or `PHASE/STEP`; the newest one if left out.
        to: the folder to write; `RUN/exports/PHASE-STEP` if left out.
        onnx: write model.onnx too.

    Returns:
        The folder, and the comparison of logits (`max_difference` and what it was measured on).

    Raises:
        DataError: there is no such run or checkpoint, the folder is in use, or logits differ.
    """
    from rexplug.pipeline.export import export_checkpoint as export

    return export(folder_of(run), checkpoint, Path(to) if to is not None else None, onnx=onnx)


def write_report(run: RunLike) -> list[Path]:
    """Write report.html and the model card of a run again, from what is in its folder; returns the files.

    Raises:
        DataError: the folder is not a run.
        RecipeError: its recipe names components that are not installed.
    """
    from rexplug.pipeline.run import rewrite_report
    from rexplug.plugins.discovery import load_plugins

    return rewrite_report(folder_of(run), load_plugins())


def verify(run: RunLike) -> Iterator[VerifiedPart]:
    """Read every file of a run and compare it with its checksum, part by part (a folder, its files, what differs).

    Raises:
        DataError: the folder is not a run, or its manifest is damaged.
    """
    from rexplug.pipeline.verify import verify_run

    return verify_run(folder_of(run))


def damage_in(arguments: Sequence[str]) -> Iterator[str]:
    """What is damaged in the runs that a command line names (as `RUN`, `LABEL=RUN`, `RUN@MOMENT` or a place within one)."""
    from rexplug.pipeline.damage import damage, runs_among

    for root in runs_among(arguments):
        yield from damage(root)
