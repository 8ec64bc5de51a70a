"""The recipe that a run keeps, read where a plugin is missing."""

import json

import pytest

from rexplug.errors import RecipeError
from rexplug.recipe import load_run_recipe
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
