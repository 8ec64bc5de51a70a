"""Random changes of a recipe's parsed content: values, keys, options and items of lists."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from functools import cache
from types import UnionType
from typing import Any

from foreign.recipes.odd_values import KEYS, NUMBERS, TEXTS, odd


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values below `value`: keys of mappings and places in lists, at most 12 levels deep."""
    paths = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if len(path) < 12:
            paths += paths_of(item, (*path, key))
    return paths


def value_at(value: Any, path: Sequence[Any]) -> Any:
    """The value at a path."""
    for step in path:
        value = value[step]
    return value


def _paths_to(value: Any, kind: type | UnionType) -> list[tuple[Any, ...]]:
    """The paths of all values of a type below `value`."""
    return [path for path in paths_of(value) if isinstance(value_at(value, path), kind)]


def _replace(draw: random.Random, value: Any) -> str:
    """Replace a value by an odd one."""
    paths = paths_of(value)
    if not paths:
        return "nothing"
    *head, last = draw.choice(paths)
    new = odd(draw)
    value_at(value, head)[last] = new
    return f"{[*head, last]} = {new!r:.80}" if not isinstance(new, int) else f"{[*head, last]} = a number"


def _scale(draw: random.Random, value: Any) -> str:
    """Replace a number by a multiple of itself or another number."""
    paths = _paths_to(value, int | float)
    if not paths:
        return "nothing"
    *head, last = draw.choice(paths)
    old = value_at(value, (*head, last))
    factors = (10, 1e3, 1e6, 1e9, 1e30, -1, 1e-9, 0.5, 2, 7) if abs(old) < 1e100 else ()
    new = draw.choice(
        (*NUMBERS, *(old * factor for factor in factors))
        if draw.random() < 0.5
        else (*NUMBERS[:4], *(old * f for f in factors))
    )
    value_at(value, head)[last] = new
    return f"{[*head, last]} = another number"


def _retext(draw: random.Random, value: Any) -> str:
    """Replace a text by another."""
    paths = _paths_to(value, str)
    if not paths:
        return "nothing"
    *head, last = draw.choice(paths)
    new = draw.choice(TEXTS)
    value_at(value, head)[last] = new
    return f"{[*head, last]} = {new!r:.60}"


def _remove(draw: random.Random, value: Any) -> str:
    """Remove a value."""
    paths = paths_of(value)
    if not paths:
        return "nothing"
    *head, last = draw.choice(paths)
    del value_at(value, head)[last]
    return f"{[*head, last]} removed"


def _rename(draw: random.Random, value: Any) -> str:
    """Rename a key."""
    paths = [path for path in paths_of(value) if isinstance(path[-1], str)]
    if not paths:
        return "nothing"
    *head, last = draw.choice(paths)
    new = draw.choice(KEYS)
    parent = value_at(value, head)
    parent[new] = parent.pop(last)
    return f"{[*head, last]} renamed to {new!r:.40}"


def _add(draw: random.Random, value: Any) -> str:
    """Add a key with an odd value to a mapping."""
    path = draw.choice([(), *_paths_to(value, dict)])
    key, new = draw.choice(KEYS), odd(draw)
    if isinstance(value_at(value, path), dict):
        value_at(value, path)[key] = new
    return f"{list(path)}: {key!r:.40} added"


@cache
def _options() -> dict[str, tuple[str, ...]]:
    """The options of each section of a recipe and of each component, by its name."""
    from rexplug.plugins.discovery import load_plugins
    from rexplug.recipe.schema import Curation, LearningRate, Model, Optimizer, Phase, Recipe, Tokenizer

    sections = {
        "phase": Phase, "recipe": Recipe, "curation": Curation, "model": Model, "tokenizer": Tokenizer,
        "learning_rate": LearningRate, "optimizer": Optimizer,
    }  # fmt: skip
    entries = load_plugins().entries.values()
    models = sections | {entry.component.name: entry.component for entry in entries}
    return {
        name: tuple(field.alias or key for key, field in model.model_fields.items()) for name, model in models.items()
    }


def _option(draw: random.Random, value: Any) -> str:
    """Set a known option of a section or component, to a plausible value or an odd one."""
    path = draw.choice([(), *_paths_to(value, dict)])
    section = value_at(value, path)
    if not isinstance(section, dict):
        return "nothing"
    name = section.get("use") if isinstance(section.get("use"), str) else path[-1] if path else "recipe"
    name = "phase" if isinstance(name, int) else name
    keys = _options().get(name)
    if not keys:
        return "nothing"
    key = draw.choice(keys)
    plausible = (
        None, True, 0, 1, 3, 0.5, 100, "text", "url", ["a"], [0.1, 0.2], {"start": 0.1, "end": 0.3}, {"web": 1}, {"a": None},
    )  # fmt: skip
    new = section[key] = draw.choice(plausible) if draw.random() < 0.7 else odd(draw)
    return f"{list(path)}: option {key} = {new!r:.60}" if not isinstance(new, int) else f"{list(path)}: option {key}"


def _swap(draw: random.Random, value: Any) -> str:
    """Put a copy of a value in the place of another."""
    paths = paths_of(value)
    if len(paths) < 2:
        return "nothing"
    (*head, last), other = draw.choice(paths), draw.choice(paths)
    new = copy.deepcopy(value_at(value, other))
    value_at(value, head)[last] = new
    return f"{[*head, last]} = the value at {list(other)}"


def _repeat(draw: random.Random, value: Any) -> str:
    """Repeat the items of a list."""
    paths = _paths_to(value, list)
    if not paths:
        return "nothing"
    path = draw.choice(paths)
    items = value_at(value, path)
    items *= draw.choice((2, 3, 40))
    return f"{list(path)} repeated"


VALUE_CHANGES: Sequence[Callable[[random.Random, Any], str]] = (
    _replace, _replace, _retext, _scale, _scale, _scale, _option, _option, _option, _remove, _rename, _add, _swap, _repeat,
)  # fmt: skip
"""Each changes a parsed recipe and returns what was done; a change that occurs twice is twice as likely."""
