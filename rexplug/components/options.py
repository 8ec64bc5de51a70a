"""Checks that the options of a component class can be written in a recipe and read back: `show` must print a valid recipe."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeGuard, get_args, get_origin

from pydantic import ValidationError, create_model
from pydantic_core import PydanticSerializationError, PydanticUndefined

from rexplug.components.base import Component, ComponentT, components_in
from rexplug.errors import PluginError, brief

RESERVED = ("dump", "fingerprint", "subcomponents", "channel", "row_channels", "scorers")
"""Members of the base classes that plugins must not override: recipes, fingerprints and token stores rely on them."""
_RELIED_ON = ("rate", "filters", "limit", "sample")
"""Options of base classes whose values rexplug works with: a subclass may give another default, but not another type."""
_NAMES = {"channels": "salience", "suffixes": ".txt"}
"""Class variables that are tuples of texts, with an example each."""
_PLAIN = (str, int, float, bool, type(None))


def option_problem(component: type[Component]) -> str | None:
    """What is wrong with the options of a class, as a relative clause about it ('whose option ...'); None if nothing is."""
    if component.model_config.get("extra") != "forbid":
        return "which takes unknown options; leave `extra` out of its model_config, so that a typo is an error"
    for name in RESERVED:
        if any(name in vars(base) for base in component.__mro__ if base.__module__.partition(".")[0] != "rexplug"):
            return f"which defines '{name}'; this is rexplug's own, and plugins leave it as it is"
    for name, example in _NAMES.items():
        names: Any = getattr(component, name, ())
        if not isinstance(names, tuple) or not all(isinstance(each, str) for each in names):
            return f"whose `{name}` is {brief(names)}; expected a tuple of texts, such as ('{example}',)"
    for name in component.model_computed_fields:
        return f"whose computed field '{name}' would be printed as an option; make it a plain property"
    for name, field in component.model_fields.items():
        option = f"whose option '{name}'"
        if "use" in (name, field.alias, field.validation_alias, field.serialization_alias):
            return f"{option} cannot be written in a recipe: there `use` names the component"
        hidden = next((base.__name__ for base in component.__mro__[1:] if _is_taken(base, name)), None)
        if hidden is not None:
            return f"{option} hides {hidden}.{name}, which rexplug asks for; give it another name"
        base = next((of for of in component.__mro__[1:] if name in _RELIED_ON and _is_base(of, name)), None)
        if base is not None and field.annotation != base.model_fields[name].annotation:
            return f"{option} is of another type than {base.__name__}.{name}, which rexplug asks for; leave its type"
        if field.exclude:
            return f"{option} is excluded from what is written, so that neither recipe nor fingerprint would hold it"
        if _holds_set(field.annotation):
            return f"{option} is a set, whose order changes from process to process; make it a tuple"
    return _default_problem(component)


def _is_base(base: type, name: str) -> TypeGuard[type[Component]]:
    """Whether a class of rexplug's own has the option."""
    return issubclass(base, Component) and base.__module__.partition(".")[0] == "rexplug" and name in base.model_fields


def _is_taken(base: type, name: str) -> bool:
    return issubclass(base, Component) and name in vars(base) and name not in base.model_fields


def _holds_set(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type) and issubclass(origin, set | frozenset):
        return True
    return any(_holds_set(argument) for argument in get_args(annotation))


def _default_problem(component: type[Component]) -> str | None:
    """What is wrong with a default that changes when it is written and read back; None if nothing is."""
    required = [name for name, field in component.model_fields.items() if field.is_required()]
    defaults = _defaults(component)
    if not defaults:
        return None
    for name, again in _defaults(component).items():
        # By `repr` too, since nan differs from itself.
        if _listed(again) != _listed(defaults[name]) and repr(again) != repr(defaults[name]):
            return f"whose option '{name}' has another default each time; a run would never find its own results again"
    not_plain = [name for name, default in defaults.items() if not _is_plain(default)]
    # Required options have no default to check. Where the others may change, make them optional, so that the others validate.
    trial = component
    if required and not_plain:
        # mypy knows no overload of create_model for options whose names are only known at run time.
        trial = create_model(component.__name__, __base__=component, **dict.fromkeys(required, (Any, None)))  # type: ignore[call-overload]
    written: dict[str, Any] = {}
    for name, default in defaults.items():
        option = f"whose option '{name}' has the default {brief(default)}"
        try:
            only = {name: default}
            dumped = trial.model_construct(**only).model_dump(
                mode="json", by_alias=True, include={name}, warnings=False
            )
            text = json.dumps(dumped, ensure_ascii=False)
            text.encode()  # half a pair of surrogates cannot be written
            written |= json.loads(text)
        except (PydanticSerializationError, AttributeError, TypeError, ValueError) as error:
            return f"{option}, which cannot be written in a recipe: {str(error).splitlines()[0]}"
    try:
        read = trial.model_validate(written, context={"components": ClassesIn(defaults.values())})
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False, include_input=False):
            culprit = _option_at(component, problem["loc"])
            if culprit in defaults:
                return f"whose option '{culprit}' has the default {brief(defaults[culprit])}, which is not valid: {problem['msg']}"
        return None  # a required option is missing, or a validator over several options needs it
    except Exception:  # a validator of the plugin that does not expect the placeholders of required options
        return None
    if not isinstance(read, Component):
        return f"one of whose validators returned {brief(read)}; a validator of the whole class returns self"
    for name, default in defaults.items():
        if _listed(getattr(read, name)) != _listed(default):
            return f"whose option '{name}' has the default {brief(default)}, which is read back as {brief(getattr(read, name))}"
    return None


def _defaults(component: type[Component]) -> dict[str, Any]:
    """The defaults of the options that have one, apart from None."""
    defaults = {
        name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in component.model_fields.items()
        if not field.is_required()
    }
    return {
        name: default for name, default in defaults.items() if default is not None and default is not PydanticUndefined
    }


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, tuple) and all(isinstance(item, _PLAIN) for item in value))


def _listed(value: Any) -> Any:
    """The value with lists in place of tuples: YAML has no tuples, and options of type Any are read back as lists."""
    if isinstance(value, tuple | list):
        return [_listed(item) for item in value]
    return {key: _listed(item) for key, item in value.items()} if isinstance(value, dict) else value


def _option_at(component: type[Component], location: tuple[int | str, ...]) -> str | None:
    """The option that the location of a validation error is in."""
    if not location:
        return None
    return next((name for name, field in component.model_fields.items() if location[0] in (name, field.alias)), None)


class ClassesIn:
    """Looks up the classes of the components among values (see `components_in`), whether or not they are registered."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.classes = {component.name: type(component) for component in components_in(values)}

    def find(self, kind: type[ComponentT], name: str) -> type[ComponentT]:
        """The class with that name.

        Raises:
            PluginError: there is none among the values.
        """
        component = self.classes.get(name)
        if component is None or not issubclass(component, kind):
            raise PluginError(f"no {kind.__name__} is called '{name}'")
        return component
