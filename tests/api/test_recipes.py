"""`rexplug.load_recipe`, `check` and `plan`: from a file or text to a checked recipe and its plan."""

from pathlib import Path

import pytest

import rexplug
from rexplug import api

ROOT = Path(__file__).parents[2]
ECOMMERCE = ROOT / "recipes/ecommerce.yaml"
TEXT = """
name: tiny
sources: {web: {use: ecommerce.sample_pages, pages: 20}}
tokenizer: {use: train, vocabulary: 320}
model: {size: nano}
phases:
  - name: pretrain
    tokens: 4k
    context: 64
    batch_tokens: 512
    learning_rate: {peak: 1e-3, schedule: linear}
    mixing: {use: annealing.constant, shares: {web: 1}}
    masking: {use: random, rate: 0.3}
"""


def test_a_path_and_its_text_give_the_same_recipe(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(TEXT)
    recipe = rexplug.load_recipe(TEXT)
    assert recipe == rexplug.load_recipe(path) == rexplug.load_recipe(str(path))
    assert recipe.phases[0].tokens == 4000
    assert rexplug.load_recipe(TEXT, ["phases.pretrain.tokens=8k"]).phases[0].tokens == 8000
    assert rexplug.load_recipe(api.dump_recipe(recipe)) == recipe


def test_text_extends_a_recipe_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "base.yaml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    assert rexplug.load_recipe("extends: base.yaml\nname: other\n").name == "other"


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("nowhere.yaml", "nowhere.yaml: file not found"),
        ("- 1\n- 2\n", "<text>: a recipe is a mapping of keys like name, sources and phases"),
        (
            TEXT.replace("tokens: 4k", "token: 4k"),
            "<text> has 2 problems:\n"
            "  <text>:7: phases.0.tokens: is missing\n"
            "  <text>:8: phases.0.token: unknown key; did you mean 'tokens'?",
        ),
    ],
)
def test_problems_are_named_with_their_place(recipe, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(rexplug.RecipeError) as error:
        rexplug.load_recipe(recipe)
    assert str(error.value) == message


def test_check_returns_problems_warnings_and_what_was_not_checked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = rexplug.check(rexplug.load_recipe(TEXT))
    assert good.ok
    assert (good.problems, good.warnings, good.unchecked) == ((), (), {})
    bad = rexplug.check(
        rexplug.load_recipe(
            TEXT, ["sources.web={use: jsonl, paths: [pages]}", "phases.pretrain.learning_rate.peak=0.5"]
        )
    )
    assert not bad.ok
    assert bad.problems == (f"sources.web: jsonl: paths: 'pages' matches no file (looked from {tmp_path})",)
    assert [line.partition(":")[0] for line in bad.warnings] == ["phases.pretrain.learning_rate.peak"]
    hub = rexplug.check(rexplug.load_recipe(TEXT, ["baselines=[nobody/no-such-model]"]))
    assert hub.ok
    assert [(place, str(name)) for place, name in hub.unchecked.items()] == [
        ("baselines.0", "model nobody/no-such-model")
    ]
    assert hub.why_unchecked == "--hub asks for it"


def test_plan_counts_tokens_and_steps(tmp_path):
    forecast = rexplug.plan(rexplug.load_recipe(ECOMMERCE), run_dir=tmp_path, gpus=["h100"], num_gpus=2)
    assert forecast.plan.tokens == 2_330_000
    assert [phase.name for phase in forecast.plan.phases] == ["pretrain", "extend", "anneal"]
    assert [(estimate.gpu.name, estimate.num) for estimate in forecast.gpus] == [("h100", 2)]
    assert forecast.seconds > 0
    with pytest.raises(rexplug.RecipeError, match="no GPU is called 'h1000'"):
        rexplug.plan(rexplug.load_recipe(ECOMMERCE), gpus=["h1000"])


def test_the_default_run_directory_is_named_after_the_recipe():
    assert api.default_run_dir(rexplug.load_recipe(TEXT)) == Path("runs/tiny")


def test_components_are_found_with_the_documentation_of_their_options():
    (guided,) = api.find_components("guided_mlm.guided")
    assert guided.name == "guided_mlm.guided"
    assert all(api.option_docs(guided)[name] for name in guided.model_fields)
    assert {component.kind for component in api.find_components("annealing")} == {"mixing schedule"}
    with pytest.raises(rexplug.PluginError, match="no plugin or component is called 'guided'; there are "):
        api.find_components("guided")


def test_the_schema_documents_every_key_of_a_phase():
    properties = api.recipe_schema()["$defs"]["Phase"]["properties"]
    assert all(key.get("description") or "$ref" in key for key in properties.values())
