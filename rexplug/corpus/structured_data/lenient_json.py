"""Reads JSON as pages write it, with the faults that browsers and search engines overlook."""

from __future__ import annotations

import html
import json
import re
from typing import Any

LARGEST_SCRIPT = 5_000_000
"""Characters of a script; a longer one is not read."""
_AROUND = "\ufeff \t\r\n;"
_OPENING = re.compile(r"<!--[^{\[]{0,1000}?-->\s*|<!--|//\s*<!\[CDATA\[|/\*\s*<!\[CDATA\[\s*\*/|<!\[CDATA\[")
_CLOSING = re.compile(r"(?:-->|//\s*\]\]>|/\*\s*\]\]>\s*\*/|\]\]>)\Z")
# A string or a comment; or a comma before a closing bracket or another comma. A string or comment that is not closed extends to
# the end of the text, so that no place is read twice.
_STRING = r'("(?:[^"\\]|\\.)*+(?:"|\\?\Z))'
_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_COMMA = re.compile(rf"{_STRING}|,(?=\s*[}}\],])", re.DOTALL)
# A missing value, a decimal comma, and literals of JavaScript.
_FAULT = re.compile(
    rf"{_STRING}|:(?P<missing>\s*)(?=[,}}])|:(?P<whole>\s*\d+),(?P<cents>\d\d?)(?=\s*[,}}])"
    r"|(?P<literal>\bundefined\b|\bvoid 0|!0|!1)",
    re.DOTALL,
)
_LITERALS = {"undefined": "null", "void 0": "null", "!0": "true", "!1": "false"}
_ESCAPE = re.compile(r"""(\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))|\\""")
_QUOTE = re.compile(r'\\.|"', re.DOTALL)
_AFTER_STRING = re.compile(r'\s*(?:[:}\]]|,\s*(?:["{}\[\]/\d-]|true|false|null)|\Z)')


def loads_leniently(script: str) -> list[Any]:
    """The JSON values in a script; without those that cannot be read.

    Comments, CDATA marks, commas too many, missing values, wrong escapes, quotes inside strings, HTML entities, line breaks inside
    strings and several values in a row are accepted, since pages have them.
    """
    if len(script) > LARGEST_SCRIPT:
        return []
    text = script.strip(_AROUND)
    if opening := _OPENING.match(text):
        text = text[opening.end() :]
    if closing := _CLOSING.search(text[-30:]):
        text = text[: len(text) - len(closing.group())]
    decoder = json.JSONDecoder(strict=False)
    values, complete = _values(decoder, text)
    for repair in (mended, lambda text: mended(html.unescape(text)), lambda text: mended(_with_escaped_quotes(text))):
        if complete and values:
            break
        more, complete = _values(decoder, repair(text))
        # A repair can break valid JSON: the quote in `12&quot; pipe` ends a string once it is unescaped.
        values = more if len(more) > len(values) or complete else values
    return values


def first_value(text: str, place: int, repair: bool) -> list[Any]:
    """The JSON value that begins at a place of a script, as a list of one; empty if it cannot be read.

    Args:
        text: the script.
        place: where the value begins.
        repair: whether to try once more with the literals of JavaScript replaced, which copies the rest of the text.
    """
    decoder = json.JSONDecoder(strict=False)
    try:
        return [decoder.raw_decode(text, place)[0]]
    except (ValueError, RecursionError):
        if not repair:
            return []
    try:
        return [decoder.raw_decode(mended(text[place:]))[0]]
    except (ValueError, RecursionError):
        return []


def mended(text: str) -> str:
    """A JSON text without comments, commas too many, wrong escapes, missing values and literals of JavaScript."""
    for pattern in (_COMMENT, _COMMA):
        text = pattern.sub(lambda match: match.group(1) or "", text)
    return _FAULT.sub(_without_fault, text)


def _without_fault(match: re.Match[str]) -> str:
    if (string := match.group(1)) is not None:
        return _ESCAPE.sub(lambda escape: escape.group(1) or "", string) if "\\" in string else string
    if match["missing"] is not None:
        return ":null"
    return f":{match['whole']}.{match['cents']}" if match["whole"] is not None else _LITERALS[match["literal"]]


def _with_escaped_quotes(text: str) -> str:
    """Escape the quotes that do not end a string: those whose next character cannot follow a string."""
    parts = []
    done, inside = 0, False
    for match in _QUOTE.finditer(text):
        if match.group() != '"':
            continue
        if inside and not _AFTER_STRING.match(text, match.end()):
            parts += [text[done : match.start()], "\\"]
            done = match.start()
        else:
            inside = not inside
    return "".join([*parts, text[done:]])


def _values(decoder: json.JSONDecoder, text: str) -> tuple[list[Any], bool]:
    """The JSON values in a row at the start of a text, and whether the whole text was read."""
    values: list[Any] = []
    place = 0
    while True:
        while place < len(text) and (text[place].isspace() or text[place] in ",;"):
            place += 1
        if place == len(text):
            return values, True
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return values, False
        values.append(value)
