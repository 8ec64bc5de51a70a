"""Lineage of a run: which documents its steps were trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rexplug.errors import DataError, RecipeError
from rexplug.pipeline.manifest import Manifest
from rexplug.recipe import Recipe, load_run_recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory

if TYPE_CHECKING:
    from rexplug.batches import Lineage


def phases_named(recipe: Recipe, name: str | None) -> list[Phase]:
    """The phase that `--phase` names; all phases if it is None.

    Raises:
        RecipeError: the recipe has no phase of that name.
    """
    phases = [phase for phase in recipe.phases if name in (None, phase.name)]
    if not phases:
        known = ", ".join(phase.name for phase in recipe.phases)
        raise RecipeError(f"--phase {name}: unknown phase; the phases are {known}")
    return phases


def run_lineages(root: Path, phase: str | None = None) -> dict[str, Lineage]:
    """Phase -> lineage, in the order of the recipe; a phase that has not started has no steps.

    Args:
        root: the run directory.
        phase: only this phase; all if None.

    Raises:
        DataError: the folder is not a run directory, or has no token stores yet.
        RecipeError: its recipe cannot be loaded here, or does not have the phase.
    """
    from rexplug.batches import Lineage, PositionHistory
    from rexplug.batches.history import FILE
    from rexplug.phase_stream import phase_stream

    run = RunDirectory(root)
    if not run.recipe.exists():
        Manifest.existing(run)
    recipe = load_run_recipe(run)
    chosen = phases_named(recipe, phase)
    missing = run.missing_stores(recipe.sources)
    if missing:
        raise DataError(f"{root} has no token store of '{missing[0]}' yet; rexplug run makes it")
    return {
        one.name: Lineage(PositionHistory(run.checkpoints / one.name / FILE, phase_stream(recipe, one, run)))
        for one in chosen
    }
