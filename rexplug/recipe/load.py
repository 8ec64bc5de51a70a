"""Loads a recipe from a file and overrides; reports all problems at once, with file and line."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from rexplug.components import Component
from rexplug.errors import DataError, RecipeError, brief
from rexplug.plugins.discovery import load_plugins
from rexplug.plugins.registry import Registry
from rexplug.recipe.locate import is_file, recipe_file, resolve_folder, shipped_recipes, with_plugin_files
from rexplug.recipe.missing_plugins import installation_hints, missing_plugins
from rexplug.recipe.schema import Phase, Recipe
from rexplug.recipe.strict_yaml import DEEPEST, KeyPath, ParsedYaml, parse, parse_file, parse_mapping, sound_text
from rexplug.run_directory import RunDirectory, repair_hint

SectionT = TypeVar("SectionT", bound=BaseModel)
_MOST_PROBLEMS = 50
"""How many problems of a file are listed."""
_LONGEST_NAME = 100
"""Longer keys and names are shortened in messages, and not compared with known ones."""


def load_recipe(
    path: Path,
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
    *,
    text: str | None = None,
    earlier_run: bool = False,
) -> Recipe:
    """Read, merge, override and validate a recipe.

    Args:
        path: the YAML file, or the name of a recipe that rexplug or a plugin ships.
        overrides: `dotted.path=value`; list items are named by number, by `name` or by `use`. Those of `defaults` come first,
            whatever their place.
        registry: the installed components; loaded if left out.
        text: the YAML in place of a file; `path` then only names it in messages.
        earlier_run: whether the recipe is only read to describe a run; then options that components no longer have, but can still
            describe, are accepted.

    Raises:
        RecipeError: with a line per problem, `file:line: path: message`.
    """
    registry = registry or load_plugins()
    path = path if text is not None else recipe_file(path, registry)
    source = parse_file(path) if text is None else parse_mapping(text, str(path))
    resolve_folder(source, path.parent)
    source = _extended(path, source, registry)
    of_defaults = [override for override in overrides if re.match(r"defaults[.=]", override)]
    if of_defaults:
        source.value.setdefault("defaults", {})
    problems = [problem for override in of_defaults if (problem := _override(source, override))]
    problems += _apply_defaults(source, str(path))
    others = [override for override in overrides if override not in of_defaults]
    problems += [problem for override in others if (problem := _override(source, override))]
    registry, broken = with_plugin_files(source, registry, str(path))
    problems += broken
    if problems:
        raise _error(path, problems)
    try:
        return Recipe.model_validate(source.value, context={"components": registry, "earlier_run": earlier_run})
    except ValidationError as error:
        # The manifest of a run names the distributions of its plugins.
        hints = [] if earlier_run else installation_hints(error)
        raise _error(path, _problems(error, source, path, registry), hints) from None


def load_run_recipe(run: RunDirectory) -> Recipe:
    """The recipe that a run keeps in its directory.

    Raises:
        DataError: the run has none.
        RecipeError: it cannot be loaded here, e.g. because a plugin is not installed.
    """
    if not run.recipe.is_file():
        raise DataError(f"{run.recipe} is missing; {repair_hint(run.recipe)}")
    registry = load_plugins()
    try:
        return load_recipe(run.recipe, registry=registry, earlier_run=True)
    except RecipeError as error:
        missing = missing_plugins(run, registry)
        raise RecipeError("\n".join([str(error), *missing])) from None


def load_section(
    path: Path,
    section: type[SectionT],
    registry: Registry | None = None,
    change: Callable[[Any], Any] = lambda value: value,
) -> SectionT:
    """Read and validate another YAML file with the rules of recipes, e.g. a suite of evaluators.

    Args:
        path: the YAML file.
        section: the model to validate it with.
        registry: the installed components, if the section holds some.
        change: applied to the parsed value before it is validated.

    Raises:
        RecipeError: with a line per problem, `file:line: path: message`.
    """
    registry = registry or Registry()
    source = parse_file(path)
    source.value = change(source.value)
    try:
        return section.model_validate(source.value, context={"components": registry})
    except ValidationError as error:
        problems = _problems(error, source, path, registry, section)
        raise _error(path, problems, installation_hints(error)) from None


def validate_section(name: str, section: type[SectionT], value: dict[str, Any]) -> SectionT:
    """Validate options that come from Python or the command line with the rules of recipes.

    Args:
        name: of the options, for messages.
        section: the model to validate them with.
        value: the options.

    Raises:
        RecipeError: with a line per problem, `name.option: message`.
    """
    try:
        return section.model_validate(value)
    except ValidationError as error:
        problems = _problems(error, ParsedYaml(value, {}), Path(name), Registry(), section)
        raise RecipeError("; ".join(problem.replace(f"{name}: ", f"{name}.", 1) for problem in problems)) from None


def _error(path: Path, problems: Sequence[str], hints: Sequence[str] = ()) -> RecipeError:
    count = "1 problem" if len(problems) == 1 else f"{len(problems):,} problems"
    shown = [f"  {problem}" for problem in problems[:_MOST_PROBLEMS]]
    if len(problems) > _MOST_PROBLEMS:
        shown.append(f"  and {len(problems) - _MOST_PROBLEMS:,} more")
    return RecipeError("\n".join([f"{path} has {count}:", *shown, *hints]))


def _extended(path: Path, source: ParsedYaml, registry: Registry) -> ParsedYaml:
    """A parsed file, merged over the one that its `extends:` names: mappings are merged, other values replace those of the base."""
    base_name = source.value.pop("extends", None)
    if base_name is None:
        return source
    where = source.lines.get(("extends",), str(path))
    if not isinstance(base_name, str):
        raise RecipeError(f"{where}: extends: write the path of one recipe")
    try:
        base_file = path.parent / base_name
        if not is_file(base_file):
            base_file = shipped_recipes(registry).get(base_name, base_file)
        base = parse_file(base_file)
        resolve_folder(base, base_file.parent)
    except RecipeError as error:
        raise RecipeError(f"{where}: extends: {error}") from None
    if "extends" in base.value:
        raise RecipeError(f"{where}: extends: {base_name} extends another recipe itself; `extends` cannot be chained")
    merged = ParsedYaml(copy.deepcopy(base.value), dict(base.lines))
    _merge(merged, source, merged.value, source.value, ())
    return merged


def _merge(target: ParsedYaml, source: ParsedYaml, into: dict[str, Any], new: dict[str, Any], path: KeyPath) -> None:
    for key, value in new.items():
        here = (*path, key)
        old = into.get(key)
        # Options of the base are not merged into another component, which has other options.
        same = not (
            isinstance(value, dict) and isinstance(old, dict) and value.get("use", old.get("use")) != old.get("use")
        )
        if isinstance(value, dict) and isinstance(old, dict) and same:
            target.lines[here] = source.lines[here]
            _merge(target, source, old, value, here)
        else:
            target.forget(here, old)
            target.take(here, value, source, here)
            into[key] = copy.deepcopy(value)


def _apply_defaults(source: ParsedYaml, name: str) -> list[str]:
    """Add the options under `defaults:` to every phase that does not set them itself."""
    defaults = source.value.pop("defaults", None)
    if defaults is None:
        return []
    where = source.lines.get(("defaults",), name)
    if not isinstance(defaults, dict):
        return [f"{where}: defaults: write a mapping of phase options"]
    phases = source.value.get("phases")
    if not isinstance(phases, list):
        return []
    problems = [
        f"{source.lines[('defaults', key)]}: defaults.{key}: {_unknown_key(key, _keys(Phase))}"
        for key in defaults
        if key not in _keys(Phase)
    ]
    for index, phase in enumerate(phases):
        if isinstance(phase, dict):
            _fill(source, phase, defaults, ("phases", index), ("defaults",))
    return problems


def _fill(source: ParsedYaml, into: dict[str, Any], defaults: dict[str, Any], path: KeyPath, origin: KeyPath) -> None:
    for key, value in defaults.items():
        if key not in into:
            into[key] = copy.deepcopy(value)
            source.take((*path, key), value, source, (*origin, key))
        elif (
            isinstance(value, dict)
            and isinstance(into[key], dict)
            and value.get("use") == into[key].get("use", value.get("use"))
        ):
            _fill(source, into[key], value, (*path, key), (*origin, key))


def _override(source: ParsedYaml, text: str) -> str | None:
    """Set one key; returns the problem with the override, if there is one."""
    dotted, equals, written = text.partition("=")
    blame = f"override {text}" if len(text) <= _LONGEST_NAME else f"override {text[:_LONGEST_NAME]}..."
    if not equals or not dotted:
        return f"{blame}: overrides look like phases.anneal.tokens=2M"
    try:
        sound_text(dotted)
        value = parse(written, blame).value if written.strip() else None
    except RecipeError as error:
        return str(error)
    except ValueError as error:
        return f"{blame}: the path is {error}"
    path: list[str | int] = []
    at: Any = source.value
    steps = dotted.split(".")
    if len(steps) > DEEPEST:
        return f"{blame}: a path of {len(steps):,} keys; recipes are nested at most {DEEPEST} levels deep"
    while steps:
        step = steps.pop(0)
        if isinstance(at, list):
            index = _item(at, step)
            if index is None and steps:  # names of components contain a dot
                index = _item(at, f"{step}.{steps[0]}")
                if index is not None:
                    del steps[0]
            if index is None:
                return f"{blame}: unknown item {'.'.join(map(str, [*path, step]))}; {_items(at)}"
            path.append(index)
        else:
            known = _known(path, at)
            if path == ["sources"] and steps:
                known = list(at)  # an override may add a source, but an option must belong to an existing one
            if step not in at and known is not None and step not in known:
                return f"{blame}: {'.'.join(map(str, [*path, step]))}: {_unknown_key(step, known)}"
            path.append(step)
        here = tuple(path)
        last: Any = path[-1]
        old = at[last] if isinstance(at, list) or last in at else None
        if not steps:
            source.forget(here, old)
            source.lines[here] = blame
            at[last] = value
            return None
        if not isinstance(old, dict | list):
            if old is not None and not isinstance(old, str):
                return f"{blame}: {'.'.join(map(str, path))} is {brief(old)}, which has no keys"
            at[last] = {"use": old} if old else {}
            source.lines[here] = blame
        at = at[last]
    raise AssertionError


def _item(items: list[Any], step: str) -> int | None:
    if step.isascii() and step.isdigit() and len(step) < 10 and int(step) < len(items):
        return int(step)
    for index, item in enumerate(items):
        if step in (item, isinstance(item, dict) and item.get("name"), isinstance(item, dict) and item.get("use")):
            return index
    return None


def _items(items: list[Any]) -> str:
    names = [
        str(item.get("name", item.get("use", i))) if isinstance(item, dict) else str(item)
        for i, item in enumerate(items[:_MOST_PROBLEMS])
    ]
    names = [name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..." for name in names]
    return f"the items are {', '.join(names)}, or 0 to {len(items) - 1}" if names else "the list is empty"


def _known(path: Sequence[str | int], at: dict[str, Any], root: type[BaseModel] = Recipe) -> list[str] | None:
    """The keys that the core schema allows at a path; None where it allows any (sources, component options)."""
    model: type[BaseModel] | None = root
    for step in path:
        if model is None:
            return None
        if isinstance(step, int):
            continue
        model = _section(model, step)
    if model is None or ("use" in at and model is not root and "use" not in _keys(model)):
        return None
    return _keys(model)


def _section(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    """The section under a key; None for a component, whose class its `use` decides."""
    section = _nested(model, key)
    return None if section is not None and issubclass(section, Component) else section


def _nested(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    """The class of the mapping, or of the mappings in the list, that is the value of a key."""
    for name, field in model.model_fields.items():
        if key in (name, field.alias):
            candidates: list[Any] = [field.annotation, *getattr(field.annotation, "__args__", ())]
            for annotated in candidates:
                candidate = getattr(annotated, "__origin__", annotated)
                if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                    return candidate
    return None


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _unknown_key(key: str, known: Iterable[str]) -> str:
    names = list(known)
    if not names:
        return "unknown key"
    close = difflib.get_close_matches(key, names, n=1) if len(key) <= _LONGEST_NAME else ()
    return "unknown key; " + (f"did you mean '{close[0]}'?" if close else f"the keys are {', '.join(names)}")


def _problems(
    error: ValidationError, source: ParsedYaml, file: Path, registry: Registry, root: type[BaseModel] = Recipe
) -> list[str]:
    problems = []
    errors = error.errors(include_url=False, include_context=False)
    for details in errors:
        if details["type"] == "too_short" and any(
            other["loc"][:-1][: len(details["loc"])] == details["loc"] for other in errors
        ):
            continue  # the list is only too short because its items are invalid
        # Of keys of mappings and members of unions pydantic adds a name in brackets.
        path = tuple(part for part in details["loc"] if not str(part).startswith("["))
        dotted = ".".join(map(str, path))
        message = details["msg"].removeprefix("Value error, ")
        if details["type"] == "extra_forbidden":
            message = _unknown_key(str(path[-1]), _siblings(path[:-1], source, registry, root))
        elif details["type"] == "missing":
            message = "is missing"
        elif details["type"] == "model_type":
            known = _known(path, {}, root) or []
            message = "write a mapping" + (f"; its keys are {', '.join(known)}" if known else "")
        elif details["type"] in ("tuple_type", "list_type"):
            message = "write a list, [a, b]"
        elif details["type"] == "too_short":
            message = "is empty"
        place = source.where(path) or str(file)
        problems.append(f"{place}: {dotted}: {message}" if dotted else f"{place}: {message}")
    return list(dict.fromkeys(problems))


def _siblings(path: KeyPath, source: ParsedYaml, registry: Registry, root: type[BaseModel]) -> list[str]:
    """The keys that are allowed where an unknown one was written."""
    classes: dict[str, type[Component]] = {}
    for (_, name), entry in registry.entries.items():
        classes.setdefault(name, entry.component)
    at: Any = source.value
    component: type[BaseModel] | None = None
    keys: list[str] = []
    step: Any
    for step in (None, *path):  # None: the recipe itself
        if step is not None:
            at = at[step] if isinstance(at, dict | list) else None
        if isinstance(at, dict) and isinstance(at.get("use"), str) and at["use"] in classes:
            component = classes[at["use"]]
            keys = ["use", *_keys(component)]
        elif component is not None and isinstance(step, str):
            component = _nested(component, step)
            keys = _keys(component) if component is not None else []
    return keys or _known(path, {}, root) or []
