"""What earlier runs left: lines of figures that are taken over, and folders that are emptied."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from rexplug.errors import DataError, first_few
from rexplug.io.atomic import remove
from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory


def metric_lines(run: RunDirectory, wanted: Callable[[str], bool]) -> list[str]:
    """The whole lines of `metrics.jsonl` whose phase is wanted."""
    if not run.metrics.exists():
        return []
    kept = []
    for line in run.metrics.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if wanted(json.loads(line)["phase"]):
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # a line that a killed run did not finish
    return kept


def require_run_folder(run: RunDirectory, *, fresh: bool) -> None:
    """Refuse a folder that holds something else than a run, before anything in it is written or removed.

    Raises:
        DataError: it is a file, or no run and not empty (`fresh`), or no run and holds what a run would write over.
    """
    root = run.root
    if root.is_symlink() and not root.exists():
        raise DataError(f"{root} is a link to {root.readlink()}, which is not there; mend the link, or give --run-dir")
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file, but a run is a folder; give another one with --run-dir")
    if not root.exists() or run.manifest.is_file():
        return
    try:
        there = sorted(path.name for path in root.iterdir() if path.name not in _BEFORE_A_RUN)
    except OSError as error:
        raise DataError(f"{root} cannot be read: {error.strerror}") from None
    if fresh and there:
        raise DataError(
            f"--fresh: {root} is not empty and is no run (it has no {run.manifest.name}), so that nothing in it was removed; it "
            f"holds {_some(there)}. Give a folder of a run, or another one with --run-dir"
        )
    taken = [name for name in there if root / name in run_outputs(run)]
    if taken:
        raise DataError(
            f"{root} is no run (it has no {run.manifest.name}), but holds {_some(taken)}, which a run would write over; give "
            "another folder with --run-dir"
        )


def require_inputs_elsewhere(recipe: Recipe, run: RunDirectory) -> None:
    """Refuse a recipe that reads what this very run writes: a stage would clear its own input.

    Raises:
        DataError: a tokenizer, a checkpoint or a file of the recipe lies among what the run makes.
    """
    read: list[tuple[str, str | Path]] = [
        (f"{key}.from", name)
        for key, name in (("tokenizer", recipe.tokenizer.from_), ("model", recipe.model.from_))
        if name is not None
    ]
    read += [(f"sources.{name}", path) for name, source in recipe.sources.items() for path in source.inputs()]
    read += [(f"evaluators.{number}", path) for number, each in enumerate(recipe.evaluators) for path in each.inputs()]
    made = [(path, path.resolve()) for path in run_outputs(run)]
    for key, name in read:
        place = Path(name).resolve()
        for path, resolved in made:
            if place.is_relative_to(resolved):
                raise DataError(
                    f"{key}: '{name}' lies in {path}, which this run itself writes and clears; copy it to another place, or "
                    "give another folder with --run-dir"
                )


_BEFORE_A_RUN = (".lock", "logs")
"""What a start that was refused may have left."""


def _some(names: list[str]) -> str:
    return first_few([f"'{name}'" for name in names], 4)


def run_outputs(run: RunDirectory) -> tuple[Path, ...]:
    """Everything that a run writes into its folder; answers of language models are kept for the next one."""
    return (
        run.recipe, run.manifest, run.plan, run.relevance, run.corpus, run.fitted, run.tokenizer, run.tokens,
        run.checkpoints, run.metrics, run.logs, run.evaluation, run.baselines, run.model, run.report, run.card,
    )  # fmt: skip


def remove_run_outputs(run: RunDirectory) -> None:
    """Remove what a run made, and nothing else: files of other kinds stay, and so do answers of language models."""
    for path in [*run_outputs(run), *run.root.glob(".tmp-*"), *run.root.glob(".old-*")]:
        if path != run.manifest:
            remove(path)
    remove(run.manifest)  # last: a removal that is cut short can be repeated
