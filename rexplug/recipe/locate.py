"""Finds recipes by name, and what a recipe names relative to its own folder: plugin files and `$RECIPE_DIR`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rexplug.errors import PluginError, RecipeError, brief
from rexplug.plugins.discovery import add_plugin_file
from rexplug.plugins.files import PluginFile
from rexplug.plugins.registry import Registry
from rexplug.recipe.strict_yaml import ParsedYaml

FOLDER = "$RECIPE_DIR"
"""What stands for a recipe's own folder at the beginning of a text in it."""
_PACKAGE = Path(__file__).parents[1]


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that the operating system refuses (too long, a nul) is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def recipe_file(path: Path, registry: Registry) -> Path:
    """The file of a recipe: `path` itself, or where it is a name and no file, the recipe of that name that a plugin ships.

    Raises:
        RecipeError: there is neither a file nor a recipe of that name.
    """
    if is_file(path) or path.suffix in (".yaml", ".yml") or path.is_absolute() or str(path).startswith("."):
        return path
    recipes = shipped_recipes(registry)
    name = path.as_posix()
    if name in recipes:
        return recipes[name]
    close = difflib.get_close_matches(name, list(recipes), n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"the recipes of installed plugins are {', '.join(recipes)}"
    raise RecipeError(f"{path}: there is no such file, and no installed plugin has a recipe of that name; {hint}")


def shipped_recipes(registry: Registry) -> dict[str, Path]:
    """Name -> file of the recipes that rexplug and its plugins ship, sorted.

    A plugin's `recipe.yaml` has the name of the plugin, and `recipes/NAME.yaml` is `NAME`, or `PLUGIN/NAME` where `NAME` is taken.
    """
    recipes: dict[str, Path] = {}
    own = [folder for folder in (_PACKAGE / "recipes", _PACKAGE.parent / "recipes") if folder.is_dir()]
    folders: Mapping[str, Path] = registry.folders()
    places = [("rexplug", folder) for folder in own[:1]] + [(name, at / "recipes") for name, at in folders.items()]
    for plugin, folder in folders.items():
        if (folder / "recipe.yaml").is_file():
            recipes[plugin] = folder / "recipe.yaml"
    for plugin, folder in places:
        for file in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
            recipes[file.stem if file.stem not in recipes else f"{plugin}/{file.stem}"] = file
    return dict(sorted(recipes.items()))


def resolve_folder(source: ParsedYaml, folder: Path) -> None:
    """Put the folder of a recipe's file before its plugin files, and in place of `$RECIPE_DIR`."""
    plugins = source.value.get("plugins")
    if isinstance(plugins, list):
        source.value["plugins"] = [str((folder / name).absolute()) if _is_text(name) else name for name in plugins]
    source.value = _filled(source.value, str(folder.absolute()))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _filled(value: Any, folder: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, folder) for item in value]
    if isinstance(value, str) and (value == FOLDER or value.startswith(f"{FOLDER}/")):
        return f"{folder}{value.removeprefix(FOLDER)}"
    return value


def with_plugin_files(source: ParsedYaml, registry: Registry, name: str) -> tuple[Registry, list[str]]:
    """The registry with the components of the files under `plugins`, and the problems with them."""
    plugins = source.value.get("plugins")
    if plugins is None:
        return registry, []
    if not isinstance(plugins, list):
        return registry, [f"{source.where(('plugins',)) or name}: plugins: write a list of files, [./legal.py]"]
    registry = registry.copy()
    problems = []
    for number, path in enumerate(plugins):
        where = f"{source.where(('plugins', number)) or name}: plugins.{number}"
        if not _is_text(path):
            problems.append(f"{where}: {brief(path)} is not the path of a Python file")
            continue
        try:
            add_plugin_file(registry, PluginFile(Path(path).absolute()))
        except PluginError as error:
            problems.append(f"{where}: {path} did not load: {error}")
    source.value["plugins"] = [str(Path(path).absolute()) if _is_text(path) else path for path in plugins]
    return registry, problems
