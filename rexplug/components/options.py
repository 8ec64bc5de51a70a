"""Whether the options of a component class can be written in a recipe and read back: what `show` prints must be a recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import ValidationError, create_model
from pydantic_core import PydanticSerializationError, PydanticUndefined

from rexplug.components.base import Component, ComponentT
from rexplug.errors import PluginError, brief

_PLAIN = (str, int, float, bool, type(None))


def option_problem(component: type[Component]) -> str | None:
    """What is wrong with the options of a class, as the end of a sentence about it; None if nothing is."""
    if component.model_config.get("extra") != "forbid":
        return "which takes unknown options; leave `extra` out of its model_config, so that a typo is an error"
    for name in component.model_computed_fields:
        return f"whose computed field '{name}' would be printed as an option; make it a plain property"
    for name, field in component.model_fields.items():
        option = f"whose option '{name}'"
        if "use" in (name, field.alias, field.validation_alias, field.serialization_alias):
            return f"{option} cannot be written in a recipe: there `use` names the component"
        hidden = next((base.__name__ for base in component.__mro__[1:] if _is_taken(base, name)), None)
        if hidden is not None:
            return f"{option} hides {hidden}.{name}, which rexplug asks for; give it another name"
        if field.exclude:
            return f"{option} is excluded from what is written, so that neither recipe nor fingerprint would hold it"
        if _holds_set(field.annotation):
            return f"{option} is a set, whose order changes from process to process; make it a tuple"
    return _default_problem(component)


def _is_taken(base: type, name: str) -> bool:
    return issubclass(base, Component) and name in vars(base) and name not in base.model_fields


def _holds_set(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type) and issubclass(origin, set | frozenset):
        return True
    return any(_holds_set(each) for each in get_args(annotation))


def _default_problem(component: type[Component]) -> str | None:
    """What is wrong with a default that, written out and read back, is no longer the same."""
    fields = component.model_fields
    required = [name for name, field in fields.items() if field.is_required()]
    defaults = {
        name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in fields.items()
        if name not in required
    }
    defaults = {name: each for name, each in defaults.items() if each is not None and each is not PydanticUndefined}
    if not defaults:
        return None
    odd = [name for name, each in defaults.items() if not _is_plain(each)]
    # Options that must be written have no default to look at; where others could change on the way, they stand aside.
    trial = component
    if required and odd:
        trial = create_model(component.__name__, __base__=component, **dict.fromkeys(required, (Any, None)))  # type: ignore[call-overload]
    written: dict[str, Any] = {}
    for name, each in defaults.items():
        option = f"whose option '{name}' has the default {brief(each)}"
        try:
            kept = {name: each}
            dumped = trial.model_construct(**kept).model_dump(
                mode="json", by_alias=True, include={name}, warnings=False
            )
            written |= json.loads(json.dumps(dumped))
        except (PydanticSerializationError, AttributeError, TypeError, ValueError) as error:
            return f"{option}, which cannot be written in a recipe: {str(error).splitlines()[0]}"
    try:
        read = trial.model_validate(written, context={"components": _Own(defaults)})
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False, include_input=False):
            place = _name(component, problem["loc"])
            if place in defaults:
                return f"whose option '{place}' has the default {brief(defaults[place])}, which is not valid: {problem['msg']}"
        return None  # an option that must be written is missing, or a rule over several options needs them
    except Exception:  # a rule of the plugin's own, over options that stand aside
        return None
    for name, each in defaults.items():
        if _listed(getattr(read, name)) != _listed(each):
            return f"whose option '{name}' has the default {brief(each)}, which is read back as {brief(getattr(read, name))}"
    return None


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, tuple) and all(isinstance(each, _PLAIN) for each in value))


def _listed(value: Any) -> Any:
    """The value with lists for tuples: YAML has no tuples, and an option of any type is read back as a list."""
    if isinstance(value, tuple | list):
        return [_listed(each) for each in value]
    return {key: _listed(each) for key, each in value.items()} if isinstance(value, dict) else value


def _name(component: type[Component], place: tuple[int | str, ...]) -> str | None:
    """The option that the place of a problem lies in."""
    if not place:
        return None
    return next((name for name, field in component.model_fields.items() if place[0] in (name, field.alias)), None)


class _Own:
    """Finds the classes of the components among the defaults, which may not be registered yet."""

    def __init__(self, defaults: Mapping[str, Any]) -> None:
        self.known = {each.name: type(each) for each in _components(list(defaults.values()))}

    def find(self, kind: type[ComponentT], name: str) -> type[ComponentT]:
        """The class of a name."""
        found = self.known.get(name)
        if found is None or not issubclass(found, kind):
            raise PluginError(f"no {kind.__name__} is called '{name}'")
        return found


def _components(value: Any) -> Iterator[Component]:
    if isinstance(value, Component):
        yield value
        for name in type(value).model_fields:
            yield from _components(getattr(value, name, None))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _components(each)
    elif isinstance(value, dict):
        yield from _components(list(value.values()))
