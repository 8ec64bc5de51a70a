"""Options that do not change what a stage produces are left out of its fingerprint."""

from typing import Annotated

import pytest

from rexplug.recipe.section import SameResult, Section


class Cooking(Section):
    minutes: int = 10
    stove: Annotated[str, SameResult()] = "gas"
    people: Annotated[int | None, SameResult()] = None


def test_marked_options_are_left_out():
    assert Cooking(minutes=5, stove="wood", people=3).fingerprint_options() == {"minutes": 5}


@pytest.mark.parametrize(
    ("section", "left_out"),
    [
        (lambda recipe: recipe.phases[0], {"checkpoints", "evaluate_every"}),
        (lambda recipe: recipe.model, {"parallel", "compile", "deterministic"}),
        (lambda recipe: recipe.curation, {"executor"}),
        (lambda recipe: recipe.tokenizer, set()),
    ],
)
def test_the_sections_of_a_recipe(section, left_out):
    from rexplug.api import load_recipe

    chosen = section(load_recipe("recipes/ecommerce.yaml"))
    assert set(type(chosen).model_fields) - set(chosen.fingerprint_options()) == left_out
