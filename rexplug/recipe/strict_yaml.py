"""Parses YAML strictly: duplicate keys are errors, the line of every value is kept, and the size of the input is bounded."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rexplug.errors import RecipeError, brief

KeyPath = tuple[str | int, ...]
"""Keys and list indices from the root of a file to a value."""

LARGEST_FILE = 1_000_000
"""Most characters of a file; the largest shipped recipe has 4,000."""
MOST_VALUES = 20_000
"""Most values of a file after its aliases are expanded; a long text counts as several."""
DEEPEST = 100
"""Most levels of nesting."""
_DIGITS = 100
"""Most digits of a number; longer ones overflow in later computations."""


@dataclass
class ParsedYaml:
    """A parsed file: its value, and path -> `file:line` of the key (or list item)."""

    value: Any
    lines: dict[KeyPath, str] = field(default_factory=dict)

    def where(self, path: KeyPath) -> str | None:
        """`file:line` of a path, or of the longest beginning of it that is in the file."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def forget(self, path: KeyPath, value: Any) -> None:
        """Drop the lines of the value at a path and of everything in it."""
        for inner in paths_in(value):
            self.lines.pop((*path, *inner), None)

    def take(self, path: KeyPath, value: Any, other: ParsedYaml, origin: KeyPath) -> None:
        """Copy the lines of a value that is at `origin` in another file and at `path` in this one."""
        for inner in paths_in(value):
            if (*origin, *inner) in other.lines:
                self.lines[(*path, *inner)] = other.lines[(*origin, *inner)]


def paths_in(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The paths of a value and of everything in it, relative to the value; its own is `path`."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths_in(item, (*path, key))


class _LimitExceeded(Exception):
    """A file has more values, or is nested deeper, than allowed; the text is `line: message`."""


class _Loader(yaml.SafeLoader):
    """PyYAML with the scalars of YAML 1.2; in YAML 1.1 `8e-4` is text, `12:30` is 750, `012` is 10 and `no` is false."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own name)
    depth = count = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node; more than `DEEPEST` levels are refused, because each level takes several Python stack frames."""
        self.depth += 1
        self.count += 1
        if self.count > MOST_VALUES:
            raise _LimitExceeded(f"{self._here()}: more than {MOST_VALUES:,} values")
        if self.depth > DEEPEST:
            raise _LimitExceeded(f"{self._here()}: values are nested more than {DEEPEST} levels deep")
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def _here(self) -> int:
        """The line of the next node; the position of the scanner is after it."""
        line: int = self.peek_event().start_mark.line  # type: ignore[no-untyped-call] # its stub has no types
        return line + 1


EXPONENT = re.compile(r"^[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$")
"""Numbers with an exponent, which YAML 1.1 takes for text if they have no point and sign."""
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^(?:[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F]+)$")
_FLOAT = re.compile(r"^(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN))$")
_TAG = "tag:yaml.org,2002:"

for _tag, _pattern, _first in (
    ("null", _NULL, ["~", "n", "N", ""]),
    ("bool", _BOOL, list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", EXPONENT, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"{_TAG}{_tag}", _pattern, _first)


def parse(text: str, name: str) -> ParsedYaml:
    """Parse a YAML text with the line of every value.

    Args:
        text: the YAML.
        name: the name of the file in messages.

    Raises:
        RecipeError: it is not YAML, exceeds a limit, has a duplicate key, or a key or text that is not allowed.
    """
    odd = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if odd:
        line = text.count("\n", 0, odd.start()) + 1
        raise RecipeError(
            f"{name}:{line}: this is not YAML: the character {_code(odd[0])} is not allowed; inside double quotes write "
            "it with a backslash"
        )
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}" if mark else ""
        raise RecipeError(f"{name}{place}: this is not YAML: {error.problem or error.context}") from None
    except _LimitExceeded as error:
        raise RecipeError(f"{name}:{error}") from None
    except (ValueError, OverflowError):
        # PyYAML converts any number after a backslash to a character, and any number after %YAML to a version.
        raise RecipeError(f"{name}:{loader.line + 1}: this is not YAML: a number that is too large") from None
    finally:
        loader.dispose()
    reader = _Reader(name)
    source = ParsedYaml(None, reader.lines)
    if node is not None:
        try:
            source.value = reader.value(node, ())
        except _LimitExceeded as error:
            raise RecipeError(f"{name}:{error}") from None
    if reader.problems:
        raise RecipeError("\n".join(reader.problems))
    return source


def parse_file(path: Path) -> ParsedYaml:
    """Parse a YAML file that holds a mapping.

    Raises:
        RecipeError: it cannot be read, is not YAML, or does not hold a mapping.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise RecipeError(f"{path}: file not found") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from None
    if len(text) > LARGEST_FILE:
        raise RecipeError(f"{path}: too large for a recipe: more than {LARGEST_FILE:,} characters")
    return parse_mapping(text, str(path))


def parse_mapping(text: str, name: str) -> ParsedYaml:
    """Parse YAML that holds a mapping.

    Args:
        text: the YAML.
        name: the name of the file in messages.

    Raises:
        RecipeError: it is not YAML, or does not hold a mapping.
    """
    source = parse(text, name)
    if not isinstance(source.value, dict):
        raise RecipeError(f"{name}: a recipe is a mapping of keys like name, sources and phases")
    return source


class _Reader:
    """Converts nodes to values; collects lines and problems."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[KeyPath, str] = {}
        self.problems: list[str] = []
        self._left = MOST_VALUES

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        """The value of a node; None, and a problem, where the node has none."""
        self._left -= 1
        if self._left < 0:
            raise _LimitExceeded(
                f"{node.start_mark.line + 1}: more than {MOST_VALUES:,} values; an alias (*name) counts as all the values that "
                "it repeats"
            )
        if len(path) > DEEPEST:  # an alias inside the value that it repeats never ends
            raise _LimitExceeded(f"{node.start_mark.line + 1}: an alias is inside the value that it repeats, or values are "
                           f"nested more than {DEEPEST} levels deep")  # fmt: skip
        if isinstance(node, yaml.MappingNode) and node.tag == _Loader.DEFAULT_MAPPING_TAG:
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _Loader.DEFAULT_SEQUENCE_TAG:
            return self._items(node, path)
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            self._left -= len(node.value) // 64
            try:
                return _SCALARS[node.tag](node.value)
            except ValueError as error:
                self._problem(node, path, str(error))
                return None
        self._problem(node, path, f"the tag '{node.tag}' is not supported")
        return None

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            try:
                key = sound_text(key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
            except ValueError as error:
                self._problem(key_node, path, f"the key is {error}")
                continue
            if key is None:
                self._problem(key_node, path, "a key must be plain text")
            elif key in values:
                self._problem(key_node, (*path, key), "the key is written twice")
            else:
                self.lines[(*path, key)] = f"{self.name}:{key_node.start_mark.line + 1}"
                values[key] = self.value(value_node, (*path, key))
        return values

    def _items(self, node: yaml.SequenceNode, path: KeyPath) -> list[Any]:
        items = []
        for index, item in enumerate(node.value):
            self.lines[(*path, index)] = f"{self.name}:{item.start_mark.line + 1}"
            items.append(self.value(item, (*path, index)))
        return items

    def _problem(self, node: yaml.Node, path: KeyPath, what: str) -> None:
        self.problems.append(
            f"{self.name}:{node.start_mark.line + 1}: {'.'.join(map(str, path)) or 'the recipe'}: {what}"
        )


def sound_text(written: str) -> str:
    """Text that can be encoded as UTF-8 and used in file names; a pair of surrogate escapes, as in JSON, becomes one character."""
    if "\x00" in written:
        raise ValueError("text with the character U+0000, which is not allowed")
    try:
        written.encode()
    except UnicodeEncodeError:
        try:
            return written.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise ValueError("text with a lone surrogate, which is not valid Unicode") from None
    return written


def _null(written: str) -> None:
    if not _NULL.match(written):
        raise ValueError(f"{brief(written)} is not null")


def _bool(written: str) -> bool:
    if not _BOOL.match(written):
        raise ValueError(f"{brief(written)} is neither true nor false")
    return written.lower() == "true"


def _int(written: str) -> int:
    if not _INT.match(written):
        raise ValueError(f"{brief(written)} is not a whole number")
    if len(written) > _DIGITS:
        raise ValueError(f"a number of more than {_DIGITS} digits")
    return int(written, 16) if written.startswith("0x") else int(written.replace("_", ""))


def _float(written: str) -> float:
    if not (EXPONENT.match(written) or _FLOAT.match(written) or _INT.match(written)):
        raise ValueError(f"{brief(written)} is not a number")
    plain = written.replace("_", "").lower()
    infinite = plain.endswith((".inf", ".nan"))
    number = (
        float(plain.replace(".", "", 1) if infinite else plain) if not plain.startswith("0x") else float(_int(plain))
    )
    if math.isinf(number) and not infinite:
        raise ValueError(f"{brief(written)} is too large for a floating-point number")
    return number


_SCALARS: dict[str, Callable[[str], Any]] = {
    f"{_TAG}str": sound_text, f"{_TAG}null": _null, f"{_TAG}bool": _bool, f"{_TAG}int": _int, f"{_TAG}float": _float,
}  # fmt: skip


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"
