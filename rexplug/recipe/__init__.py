"""YAML to recipe: schema, strict YAML with line numbers, overrides."""

from rexplug.recipe.dump import dump_recipe
from rexplug.recipe.json_schema import recipe_schema
from rexplug.recipe.load import load_recipe
from rexplug.recipe.schema import Recipe

__all__ = ["Recipe", "dump_recipe", "load_recipe", "recipe_schema"]
