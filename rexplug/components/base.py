"""What all components share: a component is its own configuration."""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar, cast

from pydantic import ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from rexplug.documented import Documented
from rexplug.io.hub import HubName

ComponentT = TypeVar("ComponentT", bound="Component")


class Component(Documented, ABC):
    """A frozen model whose fields are its options and whose methods do the work.

    The string under a field is that option's documentation: `rexplug plugins` and the reference pages print it.
    Instances pickle (workers), compare by value (fingerprints) and write themselves back to YAML (`dump`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, populate_by_name=True, allow_inf_nan=False)

    name: ClassVar[str] = ""
    """How recipes name the component: `<plugin>.<component>`."""
    kind: ClassVar[str] = "component"
    """What the component is, as error messages say it."""

    def dump(self) -> dict[str, Any]:
        """The recipe entry that makes this component again: `{"use": name, option: value, ...}`."""
        return {"use": self.name, **self.model_dump(mode="json", by_alias=True)}

    def fingerprint(self) -> str:
        """A short hash of name and options; two components with the same one do the same."""
        return hashlib.sha256(json.dumps(self.dump(), sort_keys=True).encode()).hexdigest()[:12]

    def hub_names(self) -> Sequence[HubName]:
        """What the component reads from the Hugging Face hub. `rexplug check` only names it; `rexplug run` asks for it."""
        return ()

    def subcomponents(self, kind: type[ComponentT]) -> Iterator[ComponentT]:
        """The components of `kind` among the options, options of options included."""
        for field in type(self).model_fields:
            value = getattr(self, field)
            for item in value if isinstance(value, tuple | list) else (value,):
                if isinstance(item, kind):
                    yield item
                if isinstance(item, Component):
                    yield from item.subcomponents(kind)


class Components(Protocol):
    """Where names are looked up; the registry implements it."""

    def find(self, kind: type[ComponentT], name: str) -> type[ComponentT]:
        """The class of that name, or `PluginError` with the nearest names."""
        ...


@dataclass(frozen=True)
class Use:
    """Marks a field that holds a component, written by name: `random` or `{use: random, rate: 0.3}`.

    The class is looked up in the validation context's `components`; the other keys are its options, and their
    problems are reported under this field's path.
    """

    def __get_pydantic_core_schema__(self, source: type[Component], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate by looking the name up; serialise as the entry that makes the component again."""

        def validate(value: Any, info: ValidationInfo) -> Component:
            return _make(source, value, info)

        def dump(component: Component) -> dict[str, Any]:
            return component.dump()

        return core_schema.with_info_plain_validator_function(
            validate,
            serialization=core_schema.plain_serializer_function_ser_schema(dump),
            metadata={"component": source},
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A name or a mapping with `use`; `x-component` lets the schema command add what is installed."""
        source = cast("dict[str, Any]", schema["metadata"])["component"]
        return {
            "x-component": source.__name__,
            "anyOf": [
                {"type": "string"},
                {"type": "object", "properties": {"use": {"type": "string"}}, "required": ["use"]},
            ],
        }


def _make(kind: type[Component], value: Any, info: ValidationInfo) -> Component:
    if isinstance(value, kind):
        return value
    if isinstance(value, str):
        value = {"use": value}
    if not isinstance(value, dict) or not isinstance(value.get("use"), str):
        raise PydanticCustomError(
            "component",
            "{kind} is written as its name, or as a mapping with the name under 'use'",
            {"kind": f"{'an' if kind.kind[0] in 'aeiou' else 'a'} {kind.kind}"},
        )
    components: Components | None = (info.context or {}).get("components")
    if components is None:
        raise PydanticCustomError("component", "no registry in the validation context to look names up in", {})
    from rexplug.errors import PluginError

    try:
        found = components.find(kind, value["use"])
    except PluginError as error:
        # The message may hold braces of its own, so it travels as a value.
        raise PydanticCustomError("component", "{message}", {"message": str(error)}) from None
    return found.model_validate({k: v for k, v in value.items() if k != "use"}, context=info.context)


NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)?")
"""What component names look like: `plugin.component`; the core's own may leave the first part out."""
