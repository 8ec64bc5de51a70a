"""Loads, checks and plans recipes, and gives their JSON Schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexplug.api.arguments import optional_path_of, path_of, recipe_of, strings_of, whole_number
from rexplug.api.explained import explained
from rexplug.api.folders import RunLike, StrPath
from rexplug.errors import RecipeError

if TYPE_CHECKING:
    from rexplug.pipeline.preflight.report import PreflightReport
    from rexplug.planning import Forecast
    from rexplug.recipe import Recipe

TEXT = "<text>"
"""What error messages call a recipe that was given as text."""


@explained
def load_recipe(recipe: StrPath, overrides: str | Sequence[str] = ()) -> Recipe:
    """Read, merge, override and validate a recipe.

    Args:
        recipe: the path of a YAML file, or YAML itself: a `str` with a line break is text, any other `str` is a path. In text
            `extends:` is relative to the current folder.
        overrides: `dotted.path=value`, e.g. `phases.anneal.tokens=2M`; items of lists by number or, for phases, by name;
            one, or a list of them.

    Returns:
        The recipe: frozen pydantic models with every default filled in.

    Raises:
        RecipeError: with one line per problem, `file:line: key: message`.
    """
    from rexplug.recipe import load_recipe as load

    settings = strings_of("overrides", overrides)
    if isinstance(recipe, str) and "\n" in recipe:
        return load(Path(TEXT), settings, text=recipe)
    path = path_of("recipe", recipe)
    if isinstance(recipe, str) and ": " in recipe and not path.exists():
        raise RecipeError(f"{recipe}: there is no such file; YAML text has more than one line")
    return load(path, settings)


def dump_recipe(recipe: Recipe) -> str:
    """A recipe as YAML with every default written out; `load_recipe` reads it back to an equal recipe."""
    from rexplug.recipe import dump_recipe as dump

    return dump(recipe_of(recipe))


def recipe_schema() -> dict[str, Any]:
    """The JSON Schema of recipes, with the installed components under each `use`."""
    from rexplug.plugins.discovery import load_plugins
    from rexplug.recipe import recipe_schema as schema

    return schema(load_plugins())


@explained
def check(recipe: Recipe, *, hub: bool = False) -> PreflightReport:
    """Check whether everything that a recipe reads is there and fits together; problems are returned, not raised.

    Args:
        recipe: the recipe.
        hub: ask the Hugging Face Hub for the datasets and models that are not on this machine.

    Returns:
        A report with `problems` and `warnings` (one line each), `unchecked` (place in the recipe -> name on the Hub) and `ok`.
    """
    from rexplug.pipeline.preflight.inputs import preflight

    return preflight(recipe_of(recipe), hub=hub)


def default_run_dir(recipe: Recipe) -> Path:
    """`runs/NAME`, the folder of a recipe's run unless another one is given."""
    return Path("runs") / recipe_of(recipe).name


@explained
def plan(
    recipe: Recipe, *, run_dir: RunLike | None = None, gpus: str | Sequence[str] | None = None, num_gpus: int = 1
) -> Forecast:
    """Work out what a recipe will do and take: tokens, epochs, steps, operations, time, memory and disk.

    Reads the recipe, what a run in the folder has counted, and how long earlier runs on this machine took; imports no torch.

    Args:
        recipe: the recipe.
        run_dir: the run directory, which makes the plan exact once it is tokenized; `runs/NAME` if left out.
        gpus: GPUs to work training out for, `"h100"` or `["h100", "l4"]`; all known ones if left out.
        num_gpus: how many of each.

    Returns:
        A forecast: `plan` (tokens, steps, curves per phase), `stages` (seconds, GiB), `disk` (bytes) and `gpus`.

    Raises:
        RecipeError: no GPU has that name.
        RexplugError: `num_gpus` is less than 1.
        DataError: a token store in the folder is damaged.
    """
    from rexplug.planning import GPUS, find_gpu, make_forecast
    from rexplug.run_directory import RunDirectory

    num_gpus = whole_number("num_gpus", num_gpus, at_least=1)
    chosen = list(GPUS.values()) if gpus is None else [find_gpu(name) for name in strings_of("gpus", gpus)]
    root = optional_path_of("run_dir", run_dir) or default_run_dir(recipe)
    return make_forecast(recipe_of(recipe), RunDirectory(root), gpus=chosen, num_gpus=num_gpus, processes=num_gpus)
