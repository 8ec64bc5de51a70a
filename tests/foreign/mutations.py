"""Folders with one file damaged by seed: a value of its JSON replaced, or bytes cut or changed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rexplug import DataError

ODD: tuple[Any, ...] = (
    None, "", 0, -1, 1e308, [], {}, "x" * 300, "\x1b[2J", True, [[[[1]]]], {"a": None}, 2**70, 0.5, "[CLS]", "../x", [1, "a"],
)  # fmt: skip
"""Values that replace a value."""


def damage(folder: Path, seed: int) -> str:
    """Damage one file of a folder; returns what was done, for the message of a test."""
    draw = random.Random(seed)
    path = draw.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    if path.suffix == ".json" and draw.random() < 0.8:
        return f"{path.name}: {_in_json(path, draw)}"
    content = bytearray(path.read_bytes())
    if draw.random() < 0.4:
        content = content[: draw.randrange(len(content))]
    else:
        for _ in range(draw.randrange(1, 4)):
            content[draw.randrange(len(content))] = draw.randrange(256)
    path.write_bytes(bytes(content))
    return f"{path.name}: bytes"


def refusal(action: Callable[[], object], done: str) -> str | None:
    """The one line that refuses what an action takes in, None if it works; anything else that is raised fails the test."""
    try:
        action()
    except DataError as error:
        line = str(error)
    except BaseException as error:
        raise AssertionError(done) from error
    else:
        return None
    assert "\n" not in line, done
    assert len(line) < 700, done
    return line


def _in_json(path: Path, draw: random.Random) -> str:
    value = json.loads(path.read_text(encoding="utf-8"))
    place = draw.choice(list(_places(value)))
    new = draw.choice(ODD)
    if not place:
        value = new
    else:
        at = value
        for key in place[:-1]:
            at = at[key]
        if isinstance(at, dict) and draw.random() < 0.3:
            del at[place[-1]]
            new = "removed"
        else:
            at[place[-1]] = new
    path.write_text(json.dumps(value), encoding="utf-8")
    return f"{place} is {new!r}"


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from _places(each, (*place, key))
