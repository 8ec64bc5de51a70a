"""The table of hook points: every kind of component has one, and everything derived from it agrees."""

import inspect

import rexplug
from rexplug.plugins.discovery import load_plugins
from rexplug.plugins.hookspecs import HOOKS, KINDS, specifications
from rexplug.recipe import recipe_schema


def test_every_kind_that_plugins_may_subclass_has_one_hook():
    public = [getattr(rexplug, name) for name in rexplug.__all__]
    kinds = {value for value in public if inspect.isclass(value) and rexplug.Component in value.__bases__}
    assert kinds == set(KINDS.values())
    assert len(KINDS) == len(HOOKS) == len(kinds)


def test_pluggy_gets_a_documented_function_per_hook():
    module = specifications()
    for hook in HOOKS:
        function = getattr(module, hook.name)
        assert function.__doc__ == hook.description
        assert inspect.signature(function).parameters == {}
        assert function.rexplug_spec


def test_the_schema_of_recipes_lists_the_components_of_every_kind():
    registry = load_plugins()
    definitions = recipe_schema(registry)["$defs"]
    for hook in HOOKS:
        names = definitions[hook.kind.__name__]["anyOf"][0]["enum"]
        assert names == [entry.component.name for entry in registry.of_kind(hook.kind)]
