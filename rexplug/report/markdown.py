"""Escapes values of any origin for the cells and the front matter of a card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

_MARKUP = re.compile(r"[\\`*\[\]<]")
"""What begins markup, apart from `|`, which `cell` escapes."""


def cell(text: Any) -> str:
    """A value for a cell of a table or an item of a list: on one line, with `|` escaped."""
    return " ".join(str(text).split()).replace("|", "\\|")


def plain(text: Any) -> str:
    """`cell` of a text that holds no Markdown and no HTML: `<mask>`, `[MASK]` and `*` are shown as they are."""
    return cell(_MARKUP.sub(r"\\\g<0>", str(text)))


def front_matter(values: Mapping[str, Any]) -> str:
    """The YAML head that the Hugging Face hub reads; a value can neither end it nor add a key."""
    head = yaml.safe_dump(_on_one_line(dict(values)), sort_keys=False, allow_unicode=True, width=2**16)
    return f"---\n{head}---\n"


def _on_one_line(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, Mapping):
        return {key: _on_one_line(item) for key, item in value.items()}
    return [_on_one_line(item) for item in value] if isinstance(value, list) else value
