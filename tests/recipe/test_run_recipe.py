"""Recipes, and those that runs keep, read where a plugin is missing."""

import json

import pytest
from small_recipe import small_recipe

from rexplug.errors import RecipeError
from rexplug.recipe import load_recipe, load_run_recipe
from rexplug.run_directory import RunDirectory


def test_a_missing_plugin_is_named_with_how_to_install_it(tmp_path, toy):
    run = RunDirectory(tmp_path)
    run.recipe.write_text(toy.replace("use: pages, paths: here", "use: legal.texts"))
    run.manifest.write_text(
        json.dumps(
            {
                "plugins": {"core": "0.1.0", "legal": "0.2.0", "mine": "file", "old": "unknown"},
                "distributions": {"core": "rexplug", "legal": "rexplug-legal"},
            }
        )
    )
    with pytest.raises(RecipeError) as error:
        load_run_recipe(run)
    lines = str(error.value).splitlines()
    assert "no DocumentSource is called 'legal.texts'" in lines[1]
    assert lines[-2:] == [
        "the run was made with plugin 'legal': pip install rexplug-legal==0.2.0",
        "the run was made with plugin 'old', which is not installed",
    ]


def test_a_recipe_of_a_plugin_that_is_not_installed(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        small_recipe("{web: {use: ecommerce.sample_pages, filters: [medical.dose]}, law: {use: old_law.texts}}")
    )
    with pytest.raises(RecipeError) as error:
        load_recipe(recipe)
    lines = str(error.value).splitlines()
    assert len(lines) == 5
    assert (
        "no DocumentSource is called 'old_law.texts', because plugin 'old_law' is not installed (installed: "
        in lines[2]
    )
    assert lines[3:] == [
        f"plugin '{name}' is not installed: pip install the distribution that brings it (ask the author of the recipe for its "
        f"name, often {usual}), or name its file or folder under 'plugins'"
        for name, usual in (("medical", "rexplug-medical"), ("old_law", "rexplug-old-law"))
    ]
