"""A run: from a recipe to a model, a report and everything in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rexplug.errors import RunInterrupted
from rexplug.io.atomic import write_text
from rexplug.pipeline.damage import explain_damage
from rexplug.pipeline.forecast_log import ForecastRecorder
from rexplug.pipeline.manifest import Manifest, host, locked, now, versions
from rexplug.pipeline.plugin_copies import PluginCopies
from rexplug.pipeline.preflight.inputs import check_inputs
from rexplug.pipeline.recipe_stages import RecipeStages
from rexplug.pipeline.run_folder import remove_run_outputs, require_inputs_elsewhere, require_run_folder
from rexplug.pipeline.run_stages import run_stages
from rexplug.pipeline.stage_work import StageWork, write_documents
from rexplug.pipeline.stages import Incomplete
from rexplug.plugins.discovery import distributions
from rexplug.progress import Progress, Silent
from rexplug.recipe import Recipe, dump_recipe, load_run_recipe
from rexplug.run_directory import RunDirectory
from rexplug.version import __version__


def run_recipe(
    recipe: Recipe,
    root: Path,
    progress: Progress,
    *,
    plugins: Mapping[str, str],
    command: str,
    until: str | None = None,
    from_: str | None = None,
    fresh: bool = False,
    siblings: Sequence[RunDirectory] = (),
    allow: Sequence[str] = (),
) -> Manifest:
    """Do what a recipe says in the folder `root`, skipping what was done before.

    Args:
        recipe: the resolved recipe.
        root: the run directory, `runs/<name>`.
        progress: receives the notes and progress.
        plugins: plugin name -> version, for the manifest.
        command: the command line that repeats this run, for the manifest.
        until: stop after this stage.
        from_: redo this stage and what depends on it.
        fresh: first remove what an earlier run wrote.
        siblings: runs whose finished stages are reused where their fingerprints are the same.
        allow: keys of the recipe that may have changed although a phase is half done, e.g. `phases.anneal.tokens`.

    Returns:
        the manifest of the finished run.

    Raises:
        RexplugError: something that the user can correct.
        RunInterrupted: training was asked to stop, and saved a checkpoint.
        Incomplete: everything is done except for evaluations that failed.
    """
    run = RunDirectory(root)
    for line in check_inputs(recipe, hub=True).lines():
        progress.note(line)
    require_run_folder(run, fresh=fresh)
    require_inputs_elsewhere(recipe, run)
    copies = PluginCopies.of(recipe)
    plugins = {**plugins, **copies.versions}
    with locked(run):
        if fresh:
            remove_run_outputs(run)
        manifest = Manifest.open(run)
        started = False

        def begin() -> None:
            nonlocal started
            started = True
            write_text(run.recipe, dump_recipe(copies.write(run.plugins)))
            manifest.update(
                rexplug=__version__, recipe=recipe.name, description=recipe.description, seed=recipe.seed,
                command=command, versions=versions(), plugins=dict(plugins), distributions=distributions(),
                host=host(), started=now(), status="running",
            )  # fmt: skip

        stages = RecipeStages(recipe, run, progress, plugins)
        try:
            with explain_damage(root):
                run_stages(
                    stages.build(), manifest, progress, until=until, from_=from_, siblings=siblings, allow=allow,
                    watch=ForecastRecorder(recipe, run, progress), begin=begin,
                )  # fmt: skip
            stages.work.require_evaluations()
        except BaseException as error:
            if started:  # a start that is refused leaves the folder as it was
                manifest.update(status=_status(error), finished=now(), peak_memory_gib=_peak_memory_gib(manifest))
            raise
        manifest.update(status="done", finished=now(), peak_memory_gib=_peak_memory_gib(manifest))
        return manifest


def _status(error: BaseException) -> str:
    """The status of a run that ended with an error."""
    if isinstance(error, KeyboardInterrupt | RunInterrupted):
        return "interrupted"
    return "incomplete" if isinstance(error, Incomplete) else "failed"


def _peak_memory_gib(manifest: Manifest) -> float:
    """The most memory that a stage took, in this process or in an earlier one."""
    stages = manifest.values.get("stages", {}).values()
    return max((float(stage.get("peak_memory_gib") or 0) for stage in stages), default=0.0)


def train_with_main_rank(recipe: Recipe, root: Path) -> None:
    """The main loop of ranks above 0: train each phase that rank 0 broadcasts, until the run is over."""
    from rexplug import distributed

    work = StageWork(recipe, RunDirectory(root), Silent())
    phases = {phase.name: phase for phase in recipe.phases}
    while (name := distributed.broadcast(None)) is not None:
        work.train(phases[name])
    distributed.disconnect()


def rewrite_report(root: Path) -> list[Path]:
    """Write the report and the model card of a run again from the files in its directory; returns their paths.

    Raises:
        DataError: the folder is not a run directory, or holds no recipe.
        RecipeError: its recipe names components that are not installed.
    """
    run = RunDirectory(root)
    Manifest.existing(run)
    return write_documents(run, load_run_recipe(run))
