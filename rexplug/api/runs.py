"""Runs: start or resume one; export, report and verify its results."""

from __future__ import annotations

import multiprocessing
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexplug.api.arguments import optional_path_of, path_of, progress_of, recipe_of, strings_of
from rexplug.api.explained import explained
from rexplug.api.folders import RunLike, StrPath, folder_of
from rexplug.api.recipes import default_run_dir
from rexplug.api.results import Run, open_run
from rexplug.errors import RexplugError
from rexplug.progress import Progress

if TYPE_CHECKING:
    from rexplug.pipeline.verify import VerifiedPart
    from rexplug.recipe import Recipe


@explained
def run(
    recipe: Recipe,
    *,
    run_dir: RunLike | None = None,
    until: str | None = None,
    from_: str | None = None,
    fresh: bool = False,
    allow: str | Sequence[str] = (),
    command: str | None = None,
    progress: Progress | None = None,
) -> Run:
    """Do what a recipe says, in this process: curate, tokenize, train, evaluate, export and report.

    Stages that are done are skipped, and a run that was stopped continues; calling this again with the same recipe is safe.
    Several processes (one per GPU) train a recipe with `rexplug run --processes N`, torchrun or srun. In a script, call it under
    `if __name__ == "__main__":`; the workers of curation import the script that starts them. In a thread other than the main
    one a run works, but signals do not stop it.

    Args:
        recipe: the recipe.
        run_dir: the run directory; `runs/NAME` if left out.
        until: stop after this stage, e.g. `tokenize` or `train.pretrain`.
        from_: do this stage, and what depends on it, again.
        fresh: remove what an earlier run left in the folder first.
        allow: keys that may have changed although a phase is under way, e.g. `phases.anneal.tokens`.
        command: what run.json names as the command that makes this run again; `rexplug run` on the saved recipe if left out.
        progress: receives what happens; nothing is printed if left out.

    Returns:
        The run as it is afterwards.

    Raises:
        RexplugError: something that the user can repair; its text says what.
        RunInterrupted: training was asked to stop (Ctrl-C, SIGTERM) and saved a checkpoint; call again to continue.
        KeyboardInterrupt: Ctrl-C in a stage other than training; what was finished is kept, and a call continues from there.
        Incomplete: everything is done but some evaluations, which failed; `open_run` opens the rest.
    """
    from rexplug.pipeline.run import run_recipe
    from rexplug.plugins.discovery import load_plugins

    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing itself asks
        raise RexplugError(
            "rexplug.run was called while a worker process imported this script; put the call under "
            "`if __name__ == '__main__':`, since workers import the script that starts them"
        )
    recipe = recipe_of(recipe)
    root = optional_path_of("run_dir", run_dir) or default_run_dir(recipe)
    run_recipe(
        recipe, root, progress_of(progress), plugins=load_plugins().versions(),
        command=command or shlex.join(["rexplug", "run", str(root / "recipe.yaml"), "--run-dir", str(root)]),
        until=until, from_=from_, fresh=fresh, allow=strings_of("allow", allow),
    )  # fmt: skip
    return open_run(root)


def train_with_main_rank(recipe: Recipe, run_dir: StrPath) -> None:
    """The main loop of ranks above 0: train every phase that rank 0 (which calls `run`) begins, until its run ends.

    Raises:
        RexplugError: something that the user can repair.
    """
    from rexplug.pipeline.run import train_with_main_rank as train

    train(recipe_of(recipe), path_of("run_dir", run_dir))


@explained
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

    return export(folder_of(run), checkpoint, optional_path_of("to", to), onnx=onnx)


@explained
def write_report(run: RunLike) -> list[Path]:
    """Write report.html and the model card of a run again, from what is in its folder; returns the files.

    Raises:
        DataError: the folder is not a run.
        RecipeError: its recipe names components that are not installed.
    """
    from rexplug.pipeline.run import rewrite_report

    return rewrite_report(folder_of(run))


@explained
def verify(run: RunLike) -> Iterator[VerifiedPart]:
    """Read every file of a run and compare it with its checksum, part by part (a folder, its files, what differs).

    Raises:
        DataError: the folder is not a run, or its manifest is damaged.
    """
    from rexplug.pipeline.verify import verify_run

    return verify_run(open_run(run).folder)


def damage_in(arguments: Sequence[str]) -> Iterator[str]:
    """What is damaged in the runs that a command line names (as `RUN`, `LABEL=RUN`, `RUN@MOMENT` or a place within one)."""
    from rexplug.pipeline.damage import damage_in as problems

    return problems(arguments)
