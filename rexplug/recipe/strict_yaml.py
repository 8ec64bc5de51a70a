"""YAML that refuses duplicate keys and remembers on which line everything stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rexplug.errors import RecipeError

Path_ = tuple[str | int, ...]


@dataclass
class Source:
    """A parsed file: its value, and path -> where the key (or item) stands."""

    value: Any
    lines: dict[Path_, str] = field(default_factory=dict)

    def where(self, path: Path_) -> str | None:
        """The place of a path, or of the nearest part of it that stands in the file."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None


class _Loader(yaml.SafeLoader):
    """PyYAML speaks YAML 1.1: `8e-4` is text, `12:30` is 750, `012` is 10 and `no` is false. Here scalars are YAML 1.2's."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own name)


EXPONENT = re.compile(r"^[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$")
"""Numbers that YAML 1.2 knows and YAML 1.1 does not."""

for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^(?:[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    ("float", EXPONENT.pattern, list("-+0123456789")),
    (
        "float",
        r"^(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN))$",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def parse(text: str, name: str) -> Source:
    """Parse YAML.

    Args:
        text: the YAML.
        name: what to call it in places and messages.

    Raises:
        RecipeError: it is no YAML, a key is written twice, or a key is no text.
    """
    try:
        node = yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise RecipeError(f"{name}{line}: this is not YAML: {error.problem or error.context}") from None
    source = Source(None)
    problems: list[str] = []
    try:
        source.value = _value(node, (), name, source.lines, problems) if node else None
    except RecursionError:
        raise RecipeError(
            f"{name}: an alias stands inside the value that it repeats, or values are nested too deep"
        ) from None
    if problems:
        raise RecipeError("\n".join(problems))
    return source


def parse_file(path: Path) -> Source:
    """Parse a YAML file that holds a mapping.

    Raises:
        RecipeError: it cannot be read, is no YAML or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from None
    source = parse(text, str(path))
    if not isinstance(source.value, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys like name, sources and phases")
    return source


def _value(node: yaml.Node, path: Path_, name: str, lines: dict[Path_, str], problems: list[str]) -> Any:
    if not isinstance(node, yaml.ScalarNode) and node.tag not in (
        _Loader.DEFAULT_MAPPING_TAG,
        _Loader.DEFAULT_SEQUENCE_TAG,
    ):
        place = f"{name}:{node.start_mark.line + 1}: {'.'.join(map(str, path)) or 'the recipe'}"
        problems.append(f"{place}: could not determine a constructor for the tag '{node.tag}'")
        return None
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = f"{name}:{key_node.start_mark.line + 1}"
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            dotted = ".".join(map(str, (*path, key)))
            if key is None:
                problems.append(f"{line}: {'.'.join(map(str, path)) or 'the recipe'}: a key must be plain text")
                continue
            if key in found:
                problems.append(f"{line}: {dotted}: the key is written twice")
                continue
            lines[(*path, key)] = line
            found[key] = _value(value_node, (*path, key), name, lines, problems)
        return found
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            lines[(*path, index)] = f"{name}:{item.start_mark.line + 1}"
            items.append(_value(item, (*path, index), name, lines, problems))
        return items
    constructor = _Loader("")
    try:
        return constructor.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        reason = error.problem if isinstance(error, yaml.MarkedYAMLError) else error
        problems.append(f"{name}:{node.start_mark.line + 1}: {'.'.join(map(str, path))}: {reason}")
        return None
    finally:
        constructor.dispose()
