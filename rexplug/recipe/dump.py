"""A recipe as YAML that is itself a valid recipe."""

from __future__ import annotations

from typing import Any

import yaml

from rexplug.recipe.schema import Recipe
from rexplug.recipe.strict_yaml import EXPONENT


class _Dumper(yaml.SafeDumper):
    """Keeps the order of keys, and indents lists so that they read as in hand-written recipes."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


# Text that would be read back as a number is quoted.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+0123456789"))


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe: defaults spelled out, quantities as numbers, keys in the order of the schema."""
    value = _without_none(recipe.model_dump(mode="json", by_alias=True))
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def _without_none(value: Any) -> Any:
    """Leave out what was left out: None means that, everywhere in a recipe."""
    if isinstance(value, dict):
        return {key: _without_none(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_none(each) for each in value]
    return value
