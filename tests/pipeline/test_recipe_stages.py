"""The stages of a recipe: what decides the result of each."""

from rexplug.pipeline.recipe_stages import RecipeStages
from rexplug.progress import Silent
from rexplug.recipe import load_recipe


def test_the_number_format_of_evaluations_decides_their_results_alone(tokenized_run):
    path, _, run = tokenized_run
    options = ["evaluators=[masked_recovery]", "baselines=[bm25]"]

    def inputs(*more):
        stages = RecipeStages(load_recipe(path, [*options, *more]), run, Silent(), {}).build()
        return {stage.name: stage.inputs for stage in stages}

    exact, rounded = inputs(), inputs("evaluation.precision=bf16")
    changed = {name for name in exact if exact[name] != rounded[name]}
    assert changed == {name for name in exact if name.startswith("evaluate.")}
    assert all(rounded[name]["precision"] == "bf16" for name in changed)
    assert "precision" not in exact["evaluate.anneal"], "evaluations from before there was a choice stay done"
