"""Shipped recipes, randomly changed: each seed gives one changed recipe, always the same."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from foreign.recipes.odd_values import KEYS, SNIPPETS, odd
from foreign.recipes.text_changes import TEXT_CHANGES
from foreign.recipes.value_changes import VALUE_CHANGES, paths_of

ROOT = Path(__file__).parents[3]
RECIPES = tuple(sorted((ROOT / "recipes").glob("*.yaml")))
"""The shipped recipes."""


@dataclass(frozen=True)
class Mutant:
    """A changed recipe: the bytes of its file, overrides, and what was changed, for messages."""

    seed: int
    content: bytes
    overrides: tuple[str, ...]
    what: str


def mutant(seed: int) -> Mutant:
    """The changed recipe of a seed."""
    draw = random.Random(seed)
    text = draw.choice(RECIPES).read_text(encoding="utf-8")
    kind = draw.choices(("value", "text", "override"), (5, 4, 3))[0]
    if kind == "override":
        overrides = tuple(_override(draw, text) for _ in range(draw.randint(1, 2)))
        return Mutant(seed, text.encode(), overrides, f"overrides {overrides!r:.200}")
    if kind == "text":
        done = []
        content = text.encode()
        for _ in range(draw.choices((1, 2, 3), (6, 2, 1))[0]):
            content, what = draw.choice(TEXT_CHANGES)(draw, content)
            done.append(what)
        return Mutant(seed, content, (), "; ".join(done))
    value = yaml.safe_load(text)
    done = [draw.choice(VALUE_CHANGES)(draw, value) for _ in range(draw.choices((1, 2, 3), (6, 2, 1))[0])]
    return Mutant(seed, _to_yaml(value), (), "; ".join(done))


def _to_yaml(value: Any) -> bytes:
    """The value as YAML; lone surrogates and control characters are escaped, so that the file is valid."""
    sys.set_int_max_str_digits(0)
    try:
        return yaml.safe_dump(value, sort_keys=False, allow_unicode=False, width=10**6).encode()
    finally:
        sys.set_int_max_str_digits(4300)


def _override(draw: random.Random, text: str) -> str:
    """An override of the recipe `text`: a path, often a wrong one, and a value."""
    value = yaml.safe_load(text)
    path = [*draw.choice(paths_of(value))]
    for place, step in enumerate(path):
        if isinstance(step, int) and draw.random() < 0.15:
            path[place] = draw.choice(("²", "٣", "-1", "99999999999", "9" * 5000, "", "Ⅷ", "0x1", "1.5", "+0", "1_0"))
    how = draw.randrange(8)
    if how == 0:
        path.insert(draw.randrange(len(path) + 1), draw.choice(KEYS))
    elif how == 1:
        path[draw.randrange(len(path))] = draw.choice(KEYS)
    elif how == 2:
        path = path[: draw.randint(1, len(path))]
    new = odd(draw)
    written = draw.choice(SNIPPETS) if draw.random() < 0.4 else new if isinstance(new, str) else _to_yaml(new).decode()
    dotted = ".".join(map(str, path))
    return draw.choice((f"{dotted}={written}",) * 9 + (f"{dotted}", f"={written}", "", "="))
