"""Suites: lists of evaluators for any model, shipped by plugins or written by users."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from rexplug.components import Budget, Evaluator, Use
from rexplug.errors import RecipeError
from rexplug.plugins.registry import Registry
from rexplug.recipe.load import load_section
from rexplug.recipe.schema import Recipe, Section, distinct_labels

FILE = "suite.yaml"
DATA = "$DATA"
FOLDER = "$SUITE_DIR"


class Suite(Section):
    """The evaluators of `rexplug evaluate --suite`."""

    description: str = ""
    """What the suite is for."""
    budget: Budget = "standard"
    """How much they may take, unless the command says otherwise: `quick`, `standard` or `full`."""
    evaluators: tuple[Annotated[Evaluator, Use()], ...] = Field(min_length=1)
    """The evaluators; in their options `$DATA` stands for the folder given with `--data`, and `$SUITE_DIR` at the beginning of a
    path for the suite's own folder."""

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        distinct_labels(self.evaluators)
        return self


def load_suite(
    name: str, data: Path | None, registry: Registry, *, option: str = "--suite", data_option: str = "--data DIR"
) -> Suite:
    """Read the suite of a plugin (`suite.yaml` beside its module), or a YAML file.

    Args:
        name: a plugin's name, or the path of a file.
        data: what `$DATA` stands for.
        registry: the installed components.
        option: where the suite was named, for messages.
        data_option: where its data can be named, for messages.

    Raises:
        RecipeError: no suite has that name, it needs `--data`, or it has problems, listed with file and line.
    """
    path = _path(name, registry, option)

    def changed(value: Any) -> Any:
        if isinstance(value, dict) and "sources" in value and "phases" in value:
            raise RecipeError(
                f"{path} is a recipe, not a suite; evaluate with --recipe {path}, or in Python with load_recipe({name!r})"
            )
        return filled(value)

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [filled(item) for item in value]
        if isinstance(value, str) and value.startswith(DATA):
            if data is None:
                raise RecipeError(f"the suite {name} reads local data: give its folder with {data_option}")
            return f"{data}{value.removeprefix(DATA)}"
        if isinstance(value, str) and (value == FOLDER or value.startswith(f"{FOLDER}/")):
            return f"{path.parent.absolute()}{value.removeprefix(FOLDER)}"
        return value

    return load_section(path, Suite, registry, changed)


def suites_in_use(recipe: Recipe, registry: Registry) -> list[str]:
    """The plugins that ship a suite and of which the recipe uses a component, by name."""
    used: set[str] = set()

    def collect(value: Any) -> None:
        if isinstance(value, Mapping):
            used.add(str(value.get("use", "")).partition(".")[0])
            value = list(value.values())
        for item in value if isinstance(value, list) else ():
            collect(item)

    collect(recipe.model_dump(mode="json"))
    return sorted(used & _shipped(registry).keys())


def _shipped(registry: Registry) -> dict[str, Path]:
    """Plugin -> its suite."""
    return {plugin: folder / FILE for plugin, folder in registry.folders().items() if (folder / FILE).is_file()}


def _path(name: str, registry: Registry, option: str) -> Path:
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    shipped = _shipped(registry)
    if name not in shipped:
        raise RecipeError(
            f"{option} {name}: no plugin of that name ships a suite; write the path of a YAML file or one "
            f"of the installed suites: {', '.join(sorted(shipped)) or 'none'}"
        )
    return shipped[name]
