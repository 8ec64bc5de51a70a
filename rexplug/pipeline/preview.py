"""Token stores to preview: those of a run, or of a small sample that is curated for the purpose."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rexplug.errors import DataError
from rexplug.pipeline.lineage import phases_named
from rexplug.pipeline.run import run_recipe
from rexplug.planning.sources import source_sizes
from rexplug.plugins.discovery import load_plugins
from rexplug.progress import Progress
from rexplug.recipe import Recipe, load_recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory


@contextmanager
def token_stores_for_preview(
    recipe_or_run: Path, overrides: Sequence[str], phase: str | None, documents: int, progress: Progress
) -> Iterator[tuple[Recipe, RunDirectory, list[Phase], str]]:
    """Context with the token stores of a recipe or run; curates and tokenizes a sample where there are none.

    Args:
        recipe_or_run: a recipe file, or the directory of a run that was tokenized.
        overrides: as for `load_recipe`.
        phase: the name of a phase; all phases if None.
        documents: how many documents of each source are curated if the recipe has no run yet.
        progress: receives the notes and progress.

    Yields:
        the recipe, a run directory with its token stores, the phases, and a phrase that says where the stores come from.

    Raises:
        RexplugError: the recipe has problems or does not have the phase, or the folder has no token stores.
    """
    if recipe_or_run.is_dir():
        run = RunDirectory(recipe_or_run)
        if not run.recipe.exists():
            raise DataError(
                f"{recipe_or_run} is not a run directory: it has no recipe.yaml; give a recipe, or a directory like runs/NAME"
            )
        recipe = load_recipe(run.recipe, overrides)
        missing = run.missing_stores(recipe.sources)
        if missing:
            raise DataError(
                f"{recipe_or_run} has no token store of '{missing[0]}'; finish it with rexplug run RECIPE --until tokenize, or "
                "give the recipe itself for a preview of a small sample"
            )
        yield recipe, run, phases_named(recipe, phase), f"from the token stores of {run.root}"
        return
    registry = load_plugins()
    recipe = load_recipe(recipe_or_run, overrides, registry)
    chosen = phases_named(recipe, phase)
    run = RunDirectory(Path("runs") / recipe.name)
    if all(size.store is not None for size in source_sizes(recipe, run).values()):
        yield recipe, run, chosen, f"from the token stores of {run.root}"
        return
    with tempfile.TemporaryDirectory(prefix="rexplug-peek-") as folder:
        sources = {
            name: source.model_copy(update={"limit": min(documents, source.limit or documents)})
            for name, source in recipe.sources.items()
        }
        small = recipe.model_copy(update={"sources": sources})
        note = f"from a sample: {documents} documents of each source, curated for this preview"
        try:
            run_recipe(
                small, Path(folder), progress, plugins=registry.versions(), command="rexplug peek", until="tokenize"
            )
            yield small, RunDirectory(Path(folder)), chosen, note
        except DataError as error:
            more = f"The preview read {documents} documents of each source; --documents reads more"
            raise DataError(f"{error}\n{more}") from None
