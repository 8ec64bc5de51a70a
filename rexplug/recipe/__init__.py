"""YAML to recipe: schema, strict YAML with line numbers, overrides."""

from rexplug.recipe.dump import dump_recipe
from rexplug.recipe.json_schema import recipe_schema
from rexplug.recipe.load import load_recipe, load_run_recipe, load_section
from rexplug.recipe.schema import Recipe
from rexplug.recipe.suite import Suite, load_suite

__all__ = [
    "Recipe", "Suite", "dump_recipe", "load_recipe", "load_run_recipe", "load_section", "load_suite", "recipe_schema",
]  # fmt: skip
