"""A recipe to change."""

import pytest

from rexplug.recipe import load_recipe


@pytest.fixture
def recipe(tokenized_run):
    path, _, _ = tokenized_run

    def recipe(*overrides):
        return load_recipe(path, overrides)

    return recipe
