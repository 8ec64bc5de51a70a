"""Writes a recipe as YAML that is itself a valid recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from rexplug.recipe.schema import Recipe
from rexplug.recipe.strict_yaml import EXPONENT


class _Dumper(yaml.SafeDumper):
    """Keeps the order of keys and indents lists as in hand-written recipes."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


# Text that would be parsed as a number is quoted.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+0123456789"))


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML: defaults written out, quantities as numbers, keys in the order of the schema."""
    value = _without_unset(recipe, recipe.model_dump(mode="json", by_alias=True))
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def _without_unset(value: Any, plain: Any) -> Any:
    """`plain`, which is `value` in JSON types, without the options that are None by default.

    None stays where the default is something else, because the recipe says so: `url: null` reads no URLs.
    """
    if isinstance(value, BaseModel) and isinstance(plain, dict):
        kept = dict(plain)
        for name, field in type(value).model_fields.items():
            key, option = field.serialization_alias or name, getattr(value, name)
            if key not in kept:
                continue
            if option is None and field.get_default(call_default_factory=True, validated_data={}) is None:
                del kept[key]
            else:
                kept[key] = _without_unset(option, kept[key])
        return kept
    if isinstance(value, Mapping) and isinstance(plain, dict) and len(value) == len(plain):
        return {key: _without_unset(item, plain[key]) for key, item in zip(plain, value.values(), strict=True)}
    if isinstance(value, tuple | list) and isinstance(plain, list) and len(value) == len(plain):
        return [_without_unset(*pair) for pair in zip(value, plain, strict=True)]
    return plain
