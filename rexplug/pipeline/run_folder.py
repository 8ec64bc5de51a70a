"""Checks the folder that a run is about to write to, and removes what an earlier run wrote there."""

from __future__ import annotations

from pathlib import Path

from rexplug.errors import DataError, first_few
from rexplug.io.atomic import remove
from rexplug.plugins.calls import input_files
from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory


def require_run_folder(run: RunDirectory, *, fresh: bool) -> None:
    """Refuse a folder that holds something other than a run, before anything in it is written or removed.

    Args:
        run: the folder.
        fresh: whether `--fresh` asks to remove what it holds.

    Raises:
        DataError: it is a file; or it is not a run directory and either holds what a run would overwrite or, with `fresh`, is
            not empty.
    """
    root = run.root
    if root.is_symlink() and not root.exists():
        raise DataError(
            f"{root} is a link to {root.readlink()}, which does not exist; repair the link, or give --run-dir"
        )
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file, but a run needs a folder; give another one with --run-dir")
    if not root.exists() or run.manifest.is_file():
        return
    try:
        names = sorted(path.name for path in root.iterdir() if path.name not in _BEFORE_A_RUN)
    except OSError as error:
        raise DataError(f"{root} cannot be read: {error.strerror}") from None
    if fresh and names:
        raise DataError(
            f"--fresh: {root} is not empty and is not a run directory (it has no {run.manifest.name}), so that nothing in it was "
            f"removed; it holds {_some(names)}. Give a run directory, or another folder with --run-dir"
        )
    taken = [name for name in names if root / name in run_outputs(run)]
    if taken:
        raise DataError(
            f"{root} is not a run directory (it has no {run.manifest.name}), but holds {_some(taken)}, which a run would "
            "overwrite; give another folder with --run-dir"
        )


def require_inputs_elsewhere(recipe: Recipe, run: RunDirectory) -> None:
    """Refuse a recipe that reads what this run itself writes: a stage would remove its own input.

    Raises:
        DataError: a tokenizer, a checkpoint or an input file of the recipe is among the outputs of the run.
    """
    read: list[tuple[str, str | Path]] = [
        (f"{key}.from", name)
        for key, name in (("tokenizer", recipe.tokenizer.from_), ("model", recipe.model.from_))
        if name is not None
    ]
    read += [(f"sources.{name}", path) for name, source in recipe.sources.items() for path in input_files(source)]
    read += [
        (f"evaluators.{number}", path)
        for number, evaluator in enumerate(recipe.evaluators)
        for path in input_files(evaluator)
    ]
    outputs = [(path, path.resolve()) for path in run_outputs(run)]
    for key, name in read:
        place = Path(name).resolve()
        for path, resolved in outputs:
            if place.is_relative_to(resolved):
                raise DataError(
                    f"{key}: '{name}' is in {path}, which this run itself writes and clears; copy it elsewhere, or "
                    "give another folder with --run-dir"
                )


_BEFORE_A_RUN = (".lock", "logs")
"""What a refused start may have left behind."""


def _some(names: list[str]) -> str:
    return first_few([f"'{name}'" for name in names], 4)


def run_outputs(run: RunDirectory) -> tuple[Path, ...]:
    """Everything that a run writes into its folder, except answers of language models, which the next run uses again."""
    return (
        run.recipe, run.plugins, run.manifest, run.plan, run.relevance, run.corpus, run.fitted, run.tokenizer, run.tokens,
        run.checkpoints, run.metrics, run.logs, run.evaluation, run.baselines, run.model, run.report,
        run.items, run.report_plots, run.card, run.card_figures,
    )  # fmt: skip


def remove_run_outputs(run: RunDirectory) -> None:
    """Remove what a run wrote; other files stay, and so do answers of language models."""
    for path in [*run_outputs(run), *run.root.glob(".tmp-*"), *run.root.glob(".old-*")]:
        if path != run.manifest:
            remove(path)
    remove(run.manifest)  # last, so that a removal that is interrupted can be repeated
