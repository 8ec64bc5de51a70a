"""JSON Schema of recipes with the installed components, for completion in editors."""

from __future__ import annotations

import inspect
from typing import Any

from rexplug.plugins.hookspecs import KINDS
from rexplug.plugins.registry import Registry
from rexplug.recipe.schema import Phase, Recipe


def recipe_schema(registry: Registry) -> dict[str, Any]:
    """The schema of a recipe file: the keys of the core, and for every `use` the installed components with their options."""
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
        _link_components(model)
    _link_components(schema)
    properties = schema["properties"]
    properties["extends"] = {"type": "string", "description": "Another recipe that this one is merged over."}
    properties["defaults"] = {
        "type": "object",
        "description": "Options for every phase that does not set them itself.",
        "properties": definitions[Phase.__name__]["properties"],
        "additionalProperties": False,
    }
    # A file may leave required keys to `extends` or `defaults`.
    schema.pop("required", None)
    definitions[Phase.__name__].pop("required", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _link_components(node: Any) -> None:
    """Replace `x-component` by a reference to the installed components of that kind."""
    if isinstance(node, list):
        for item in node:
            _link_components(item)
    elif isinstance(node, dict):
        if "x-component" in node:
            kind = node.pop("x-component")
            node.pop("anyOf", None)
            node["$ref"] = f"#/$defs/{kind}"
        for value in node.values():
            _link_components(value)
