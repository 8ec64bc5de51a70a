"""Loading a recipe: strict, with all problems at once, each with its line."""

from pathlib import Path

import pytest

from rexplug.errors import RecipeError
from rexplug.plugins.discovery import load_plugins
from rexplug.recipe import dump_recipe, load_recipe, recipe_schema

ROOT = Path(__file__).parents[2]
GOOD = """\
name: tiny
sources:
  web: {use: text, paths: some/folder}
tokenizer: {use: train, vocabulary: 1k}
model: {size: nano}
defaults:
  context: 128
  batch_tokens: 1024
  learning_rate: {peak: 8e-4}
phases:
  - name: one
    tokens: 10k
    mixing: {use: annealing.constant, shares: {web: 1}}
    masking: random
"""


@pytest.fixture(scope="module")
def registry():
    return load_plugins()


@pytest.fixture
def load(tmp_path, registry, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def do(text, *overrides):
        path = Path("r.yaml")
        path.write_text(text)
        return load_recipe(path, overrides, registry)

    return do


def problems(load, text, *overrides):
    with pytest.raises(RecipeError) as caught:
        load(text, *overrides)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_quantities_defaults_and_floats(load):
    recipe = load(GOOD)
    phase = recipe.phases[0]
    assert (recipe.tokenizer.vocabulary, phase.tokens, phase.context) == (1000, 10_000, 128)
    assert phase.learning_rate.peak == 8e-4
    assert phase.masking.name == "random"


def test_every_problem_at_once_with_its_line(load):
    text = (
        GOOD.replace("use: text", "use: txt")
        .replace("size: nano", "sise: nano")
        .replace("masking: random", "masking: {use: random, rate: lots}")
    )
    assert problems(load, text) == [
        "r.yaml:3: sources.web: no DocumentSource is called 'txt'; did you mean 'text'? (installed: csv, datatrove.reader, ecommerce.sample_pages, html, huggingface, jsonl, parquet, text, warc)",
        "r.yaml:5: model.sise: unknown key; did you mean 'size'?",
        "r.yaml:14: phases.0.masking.rate.start: Input should be a valid number, unable to parse string as a number",
        "r.yaml:14: phases.0.masking.rate.end: Input should be a valid number, unable to parse string as a number",
    ]


def test_unknown_option_of_a_component(load):
    assert problems(load, GOOD.replace("paths:", "path:")) == [
        "r.yaml:3: sources.web.paths: is missing",
        "r.yaml:3: sources.web.path: unknown key; did you mean 'paths'?",
    ]


def test_duplicate_keys_are_refused(load):
    with pytest.raises(RecipeError) as caught:
        load(GOOD + "name: again\n")
    assert str(caught.value) == "r.yaml:15: name: the key is written twice"


def test_text_that_is_not_yaml(load):
    with pytest.raises(RecipeError) as caught:
        load("name: [\n")
    assert str(caught.value).startswith("r.yaml:2: this is not YAML: ")


def test_overrides(load):
    recipe = load(GOOD, "phases.one.tokens=2M", "seed=3", "phases.0.masking.rate=0.2")
    assert (recipe.phases[0].tokens, recipe.seed, recipe.phases[0].masking.rate.start) == (2_000_000, 3, 0.2)


def test_a_bad_override_is_blamed(load):
    assert problems(load, GOOD, "phases.one.tokens=lots") == [
        "override phases.one.tokens=lots: phases.0.tokens: 'lots' is not an amount; write a whole number, or one with k, M, B or T, "
        "like 8192, 64k, 1e9 or 350B"
    ]
    assert problems(load, GOOD, "sede=3") == ["override sede=3: sede: unknown key; did you mean 'seed'?"]
    assert problems(load, GOOD, "phases.two.tokens=3") == [
        "override phases.two.tokens=3: unknown item phases.two; the items are one, or 0 to 0"
    ]
    assert problems(load, GOOD, "seed") == ["override seed: overrides look like phases.anneal.tokens=2M"]


def test_extends_merges_mappings_and_replaces_the_rest(load, tmp_path):
    (tmp_path / "base.yaml").write_text(GOOD)
    recipe = load("extends: base.yaml\nseed: 5\nsources:\n  web: {paths: [a, b]}\n")
    assert (recipe.name, recipe.seed, recipe.sources["web"].paths) == ("tiny", 5, ("a", "b"))


def test_a_chain_of_extends_is_refused(load, tmp_path):
    (tmp_path / "base.yaml").write_text("extends: other.yaml\n")
    with pytest.raises(RecipeError) as caught:
        load("extends: base.yaml\n")
    assert str(caught.value) == (
        "r.yaml:1: extends: base.yaml extends another recipe itself; `extends` cannot be chained"
    )


def test_another_component_drops_the_options_of_the_old_one(load, tmp_path):
    (tmp_path / "base.yaml").write_text(GOOD)
    recipe = load("extends: base.yaml\nsources:\n  web: {use: ecommerce.sample_pages, pages: 10}\n")
    assert recipe.sources["web"].name == "ecommerce.sample_pages"


def test_names_must_agree(load):
    assert problems(load, GOOD.replace("{web: 1}", "{wbe: 1}")) == [
        "r.yaml: phase 'one' mixes 'wbe', but the sources are web"
    ]


def test_settings_without_effect_are_refused(load):
    assert problems(load, GOOD.replace("{peak: 8e-4}", "{peak: 8e-4, schedule: cosine, decay: 5k}")) == [
        "r.yaml:9: phases.0.learning_rate: 'decay' has no effect with schedule 'cosine'; it goes with wsd and one_minus_sqrt"
    ]


def test_missing_file(registry):
    with pytest.raises(RecipeError) as caught:
        load_recipe(Path("nowhere.yaml"), (), registry)
    assert str(caught.value) == "nowhere.yaml: file not found"


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_recipes_load_and_come_back_from_their_dump(path, registry, tmp_path):
    recipe = load_recipe(path, (), registry)
    again = tmp_path / "again.yaml"
    again.write_text(dump_recipe(recipe))
    assert load_recipe(again, (), registry) == recipe


def test_schema_knows_the_installed_components(registry):
    schema = recipe_schema(registry)
    kinds = schema["$defs"]["MaskingPolicy"]["anyOf"]
    assert "guided_mlm.guided" in kinds[0]["enum"]
    assert "defaults" in schema["properties"]
