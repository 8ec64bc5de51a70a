"""The base class of all components: a component is its own configuration."""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from traceback import walk_tb
from typing import Any, ClassVar, Protocol, TypeVar, cast

from pydantic import ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from rexplug.documented import Documented
from rexplug.errors import PluginError, RexplugError, brief, error_text
from rexplug.io.hub import HubName

ComponentT = TypeVar("ComponentT", bound="Component")


class Component(Documented, ABC):
    """A frozen pydantic model whose fields are its options and whose methods do the work.

    The string under a field is that option's documentation: `rexplug plugins` and the reference pages print it.
    Instances can be pickled (for worker processes), compare by value (for fingerprints) and give their recipe entry (`dump`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, populate_by_name=True, allow_inf_nan=False)

    name: ClassVar[str] = ""
    """The component's name in recipes: `<plugin>.<component>`."""
    former_names: ClassVar[Mapping[str, str]] = {}
    """Former name of the component -> the version without it. Recipes may use the former name, which is warned of."""
    kind: ClassVar[str] = "component"
    """The kind of component, as error messages call it."""

    def dump(self) -> dict[str, Any]:
        """The recipe entry that gives this component: `{"use": name, option: value, ...}`."""
        return {"use": self.name, **self.model_dump(mode="json", by_alias=True)}

    def fingerprint(self) -> str:
        """A hash of name and options, 12 hexadecimal digits: equal for components that do the same."""
        return hashlib.sha256(json.dumps(self.dump(), sort_keys=True).encode()).hexdigest()[:12]

    def hub_names(self) -> Sequence[HubName]:
        """Models and data sets that the component reads from the Hugging Face hub.

        `rexplug check` asks the hub for them with `--hub` and only lists them without; `rexplug run` always asks.
        """
        return ()

    def foreign_classes(self) -> Sequence[type]:
        """Classes of other packages, named by an option, whose code does the component's work.

        Their files are part of the fingerprint, like those of the component's plugin.
        """
        return ()

    def subcomponents(self, kind: type[ComponentT]) -> Iterator[ComponentT]:
        """The components of `kind` among the options, and among the options of these."""
        options = (getattr(self, field) for field in type(self).model_fields)
        return (component for component in components_in(options) if isinstance(component, kind))


def components_in(values: Iterable[Any]) -> Iterator[Component]:
    """The components among values and in their collections, at any depth; each is followed by those among its options."""
    for value in values:
        if isinstance(value, Component):
            yield value
            # An instance that `model_construct` made may lack options.
            yield from components_in(getattr(value, field, None) for field in type(value).model_fields)
        elif isinstance(value, Mapping):
            yield from components_in(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            yield from components_in(value)


class Components(Protocol):
    """Looks up component classes by name; `rexplug.plugins.registry.Registry` implements it."""

    def find(self, kind: type[ComponentT], name: str) -> type[ComponentT]:
        """The class with that name.

        Raises:
            PluginError: there is none; the message suggests similar names.
        """
        ...


@dataclass(frozen=True)
class Use:
    """Marks a field that holds a component, written by name in the recipe: `random` or `{use: random, rate: 0.3}`.

    The class is looked up in `components` of the validation context. The other keys are its options; problems with them
    are reported under this field's path.
    """

    def __get_pydantic_core_schema__(self, source: type[Component], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate by looking up the name; serialize as the recipe entry of the component."""

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
        """A name or a mapping with `use`; `rexplug schema` replaces `x-component` by the installed components."""
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
    try:
        component = components.find(kind, value["use"])
    except PluginError as error:
        # The message may contain braces, so it is passed as a value and not as the template.
        raise PydanticCustomError("component", "{message}", {"message": str(error), "plugin": error.missing}) from None
    made = _made(component, {k: v for k, v in value.items() if k != "use"}, info.context)
    if not isinstance(made, kind):  # it may be of another class, of options of earlier versions
        problem = f"a validator of {component.name} returned {brief(made)}; a validator of the whole class returns self"
        raise PydanticCustomError("component", "{message}", {"message": problem})
    return made


def _made(component: type[Component], options: dict[str, Any], context: Any) -> object:
    """The component with these options. What a validator of a plugin raises is a problem of its place in the recipe."""
    try:
        return component.model_validate(options, context=context)
    except ValidationError:
        raise
    except (Exception, SystemExit) as error:
        package = component.__module__.partition(".")[0]
        if package == "rexplug":
            raise
        if isinstance(error, RexplugError):
            problem = str(error)
        else:
            own = [
                f" ({frame.f_code.co_filename}:{line})"
                for frame, line in walk_tb(error.__traceback__)
                if str(frame.f_globals.get("__name__")).partition(".")[0] == package
            ]
            text = error_text(error)
            problem = (
                f"{component.name} raised {type(error).__name__} when it was made from its options{': ' if text else ''}{text}"
                f"{own[-1] if own else ''}"
            )
        raise PydanticCustomError("component", "{message}", {"message": problem}) from error


NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)?")
"""Component names: `plugin.component`; the core's own may leave out the first part."""
