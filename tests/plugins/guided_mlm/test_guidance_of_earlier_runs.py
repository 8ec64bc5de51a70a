"""Runs whose recipe has `guidance`, the option before `boost`: they can be read, but not continued."""

import shutil

import numpy as np
import pytest
import yaml

import rexplug
from rexplug.pipeline.lineage import run_lineages
from rexplug.pipeline.run import rewrite_report
from rexplug.recipe import dump_recipe, load_recipe, load_run_recipe
from rexplug.run_directory import RunDirectory

INSTEAD = (
    "guidance, a share of the budget, was replaced by boost, which is how many times as likely a salient token is masked as a plain "
    "one; write 'boost: {start: 4, end: 5}' for about the same masks in product text"
)


@pytest.fixture
def earlier_run(tokenized_run, tmp_path):
    """A run directory as an earlier version left it."""
    _, _, run = tokenized_run
    root = tmp_path / "run"
    shutil.copytree(run.root, root)
    recipe = yaml.safe_load((root / "recipe.yaml").read_text())
    masking = recipe["phases"][0]["masking"]
    for option in ("boost", "cap", "unit"):
        del masking[option]
    masking["guidance"] = {"start": 0.3, "end": 0.6}
    (root / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    return root


def test_its_recipe_is_refused_with_what_to_write_instead(earlier_run):
    with pytest.raises(rexplug.RecipeError) as refused:
        load_recipe(earlier_run / "recipe.yaml")
    line = next(
        number
        for number, text in enumerate((earlier_run / "recipe.yaml").read_text().splitlines(), 1)
        if text.strip() == "masking:"
    )
    assert str(refused.value).splitlines() == [
        f"{earlier_run / 'recipe.yaml'} has 1 problem:",
        f"  {earlier_run / 'recipe.yaml'}:{line}: phases.0.masking: {INSTEAD}",
    ]


def test_its_report_lineage_and_recipe_can_still_be_read(earlier_run):
    recipe = load_run_recipe(RunDirectory(earlier_run))
    assert yaml.safe_load(dump_recipe(recipe))["phases"][0]["masking"]["guidance"] == {"start": 0.3, "end": 0.6}
    assert recipe.phases[0].masking.dump()["guidance"] == {"start": 0.3, "end": 0.6}
    paths = rewrite_report(earlier_run)
    page = paths[0].read_text()
    assert "guidance" in page
    assert "boost" not in page
    assert list(run_lineages(earlier_run)) == ["anneal"]


def test_its_masks_are_not_made_again(earlier_run):
    recipe = load_run_recipe(RunDirectory(earlier_run))
    policy = recipe.phases[0].masking
    batch = rexplug.TokenBatch(np.arange(9), np.array([0, 9]), np.ones(9, bool), {"salience": np.ones(9, np.uint8)})
    with pytest.raises(rexplug.DataError) as refused:
        policy.choose(batch, 0.0, np.random.default_rng(0))
    assert str(refused.value) == f"guided_mlm.guided: {INSTEAD}"
    assert rexplug.check(recipe).problems == (
        "phases.anneal.masking: guided_mlm.guided has options of an earlier version, which only describe how a run was masked; load "
        "the recipe from its file (load_recipe) to see what to write instead",
    )
