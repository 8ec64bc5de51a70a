"""Decodes the forms in which JavaScript frameworks write their state into a page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_MOST_NODES = 200_000
_DEEPEST = 30
_LITERAL = re.compile(r"""\"((?:[^\"\\]|\\.)*+)\"|'((?:[^'\\]|\\.)*+)'""", re.DOTALL)
_ESCAPE = re.compile(r"""\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)""", re.DOTALL)
_SIGNS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0", "\n": ""}
_ROW = re.compile(r"^[0-9a-f]{1,8}:(?=[\[{])", re.MULTILINE)


def parsed_literal(text: str, place: int) -> Iterator[Any]:
    """The JSON value inside a string of JavaScript that begins with a quote at `place`; nothing if it cannot be read."""
    if (literal := _LITERAL.match(text, place)) is None:
        return
    inner = literal.group(1) if literal.group(1) is not None else literal.group(2)
    try:
        yield json.loads(_ESCAPE.sub(_meaning, inner), strict=False)
    except (ValueError, RecursionError):
        return


def _meaning(escape: re.Match[str]) -> str:
    sign = escape.group(1)
    return chr(int(sign[1:], 16)) if len(sign) > 1 else _SIGNS.get(sign, sign)


def stream_rows(stream: str) -> Iterator[Any]:
    """The rows of the stream of Next.js that hold JSON: `5:["$","div",null,{...}]` or `7:{...}`."""
    decoder = json.JSONDecoder(strict=False)
    for row in _ROW.finditer(stream):
        try:
            yield decoder.raw_decode(stream, row.end())[0]
        except (ValueError, RecursionError):
            continue


def revived(values: Any) -> Any:
    """The state that Nuxt 3 writes as a flat list, in which a number is the index of a value in the list.

    Lists that begin with a name (`["Reactive", 1]`) represent objects of a class.
    """
    left = _MOST_NODES

    def at(place: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > _DEEPEST or not isinstance(place, int) or not 0 <= place < len(values):
            return None
        value = values[place]
        if isinstance(value, dict):
            return {key: at(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list):
            if value and isinstance(value[0], str):
                return at(value[1], depth + 1) if len(value) > 1 else None
            return [at(inner, depth + 1) for inner in value]
        return value

    return at(0, 0) if isinstance(values, list) else values
