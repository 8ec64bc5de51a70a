"""Values of any origin in a card: they stay inside their cell, and inside the front matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml


def cell(text: Any) -> str:
    """A value for a table's cell or an item of a list: on one line, and with no bar that would end it."""
    return " ".join(str(text).split()).replace("|", "\\|")


def front_matter(values: Mapping[str, Any]) -> str:
    """The head that the Hugging Face hub reads; a value can neither end it nor add a key."""
    head = yaml.safe_dump(_on_one_line(dict(values)), sort_keys=False, allow_unicode=True, width=2**16)
    return f"---\n{head}---\n"


def _on_one_line(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, Mapping):
        return {key: _on_one_line(each) for key, each in value.items()}
    return [_on_one_line(each) for each in value] if isinstance(value, list) else value
