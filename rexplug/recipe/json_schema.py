"""JSON Schema of recipes, with the installed components, for editors to complete from."""

from __future__ import annotations

import inspect
from typing import Any

from rexplug.plugins.hookspecs import KINDS
from rexplug.plugins.registry import Registry
from rexplug.recipe.schema import Phase, Recipe


def recipe_schema(registry: Registry) -> dict[str, Any]:
    """The schema of a recipe file: the core's keys, and under each `use` what is installed with its options."""
    schema = Recipe.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    for kind in KINDS.values():
        options = []
        names = []
        for entry in registry.of_kind(kind):
            own = entry.component.model_json_schema(by_alias=True)
            definitions |= own.pop("$defs", {})
            name = entry.component.name
            names.append(name)
            own["properties"] = {"use": {"const": name}, **own.get("properties", {})}
            own["required"] = ["use", *own.get("required", [])]
            own["description"] = inspect.getdoc(entry.component) or ""
            own["title"] = name
            options.append(own)
        definitions[kind.__name__] = {"anyOf": [{"enum": names}, *options]}
    for model in definitions.values():
        _point(model)
    _point(schema)
    properties = schema["properties"]
    properties["extends"] = {"type": "string", "description": "Another recipe that this one changes."}
    properties["defaults"] = {
        "type": "object",
        "description": "Options for every phase that does not say otherwise.",
        "properties": definitions[Phase.__name__]["properties"],
        "additionalProperties": False,
    }
    # What a file leaves to `extends` or `defaults` is not required of it.
    schema.pop("required", None)
    definitions[Phase.__name__].pop("required", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _point(node: Any) -> None:
    """Replace `x-component` by a reference to what is installed."""
    if isinstance(node, list):
        for item in node:
            _point(item)
    elif isinstance(node, dict):
        if "x-component" in node:
            kind = node.pop("x-component")
            node.pop("anyOf", None)
            node["$ref"] = f"#/$defs/{kind}"
        for value in node.values():
            _point(value)
