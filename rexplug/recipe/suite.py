"""Suites: lists of evaluators that run on any model, shipped by plugins or written by users."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from rexplug.components import Evaluator, Use
from rexplug.errors import RecipeError
from rexplug.plugins.registry import Registry
from rexplug.recipe.load import load_section
from rexplug.recipe.schema import Section

FILE = "suite.yaml"
DATA = "$DATA"


class Suite(Section):
    """What `rexplug evaluate --suite` measures."""

    description: str = ""
    """What the suite is for."""
    evaluators: tuple[Annotated[Evaluator, Use()], ...] = Field(min_length=1)
    """The evaluators; in their options `$DATA` stands for the folder given with `--data`."""


def load_suite(name: str, data: Path | None, registry: Registry) -> Suite:
    """The suite of a plugin (`suite.yaml` beside its module), or of a YAML file.

    Args:
        name: a plugin's name, or the path of a file.
        data: what `$DATA` stands for.
        registry: what is installed.

    Raises:
        RecipeError: there is no such suite, it needs `--data`, or it has problems, with file and line.
    """
    path = _path(name, registry)

    def changed(value: Any) -> Any:
        if isinstance(value, dict) and "sources" in value and "phases" in value:
            raise RecipeError(
                f"{path} is a recipe, not a suite; evaluate with --recipe {path}, or in Python with load_recipe({name!r})"
            )
        return filled(value)

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(each) for key, each in value.items()}
        if isinstance(value, list):
            return [filled(each) for each in value]
        if isinstance(value, str) and value.startswith(DATA):
            if data is None:
                raise RecipeError(f"the suite {name} reads local data: give its folder with --data DIR")
            return f"{data}{value.removeprefix(DATA)}"
        return value

    return load_section(path, Suite, registry, changed)


def _path(name: str, registry: Registry) -> Path:
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    shipped = {}
    for entry in registry.entries.values():
        package = entry.component.__module__.partition(".")[0]
        found = files(package) / FILE
        if package != "rexplug" and isinstance(found, Path) and found.is_file():
            shipped[entry.plugin] = found
    if name not in shipped:
        raise RecipeError(
            f"--suite {name}: no plugin of that name ships a suite; there are {', '.join(sorted(shipped)) or 'none'}, "
            "or write the path of a YAML file"
        )
    return shipped[name]
