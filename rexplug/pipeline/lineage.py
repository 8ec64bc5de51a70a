"""The lineage of a run's phases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rexplug.errors import DataError, RecipeError
from rexplug.pipeline.manifest import Manifest
from rexplug.run_directory import RunDirectory, repair_hint

if TYPE_CHECKING:
    from rexplug.batches import Lineage


def finished_phases(root: Path) -> set[str]:
    """The phases that a run has ended, whatever its recipe says of their length now."""
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
    """The lineage of every phase of a run, in order, or of one; phases that have not begun have no steps yet.

    Raises:
        DataError: the folder holds no run, or nothing was tokenized in it yet.
        RecipeError: its recipe cannot be loaded here, or has no such phase.
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
    names = [each.name for each in recipe.phases]
    if phase is not None and phase not in names:
        raise RecipeError(f"--phase {phase}: there is no such phase; the phases are {', '.join(names)}")
    missing = [name for name in recipe.sources if not (run.tokens / name / "store.json").exists()]
    if missing:
        raise DataError(f"{root} has no token store of '{missing[0]}' yet; rexplug run makes it")
    return {
        each.name: Lineage(PositionHistory(run.checkpoints / each.name / FILE, phase_stream(recipe, each, run)))
        for each in recipe.phases
        if phase in (None, each.name)
    }
