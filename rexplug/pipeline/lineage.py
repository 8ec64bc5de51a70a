"""Lineage of a run: which documents its steps were trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rexplug.errors import DataError, RecipeError
from rexplug.pipeline.manifest import Manifest
from rexplug.run_directory import RunDirectory, repair_hint

if TYPE_CHECKING:
    from rexplug.batches import Lineage


def finished_phases(root: Path) -> set[str]:
    """The phases that a run has finished, even if its recipe has changed since."""
    run = RunDirectory(root)
    if not run.manifest.exists():
        return set()
    stages = Manifest.open(run).values["stages"]
    return {
        name.partition(".")[2]
        for name, stage in stages.items()
        if name.startswith("train.") and stage.get("status") == "done"
    }


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
    from rexplug.plugins.discovery import load_plugins
    from rexplug.recipe import load_recipe

    run = RunDirectory(root)
    if not run.recipe.exists():
        Manifest.existing(run)
        raise DataError(f"{run.recipe} is missing; {repair_hint(run.recipe)}")
    recipe = load_recipe(run.recipe, (), load_plugins())
    names = [known.name for known in recipe.phases]
    if phase is not None and phase not in names:
        raise RecipeError(f"--phase {phase}: unknown phase; the phases are {', '.join(names)}")
    missing = run.missing_stores(recipe.sources)
    if missing:
        raise DataError(f"{root} has no token store of '{missing[0]}' yet; rexplug run makes it")
    return {
        chosen.name: Lineage(PositionHistory(run.checkpoints / chosen.name / FILE, phase_stream(recipe, chosen, run)))
        for chosen in recipe.phases
        if phase in (None, chosen.name)
    }
