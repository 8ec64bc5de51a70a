"""The dump of a recipe is itself a recipe; the JSON schema describes recipes."""

import pickle
from pathlib import Path

import pytest
import yaml

from rexplug.plugins.discovery import load_plugins
from rexplug.recipe import dump_recipe, recipe_schema
from rexplug.recipe.strict_yaml import parse, parse_file

ROOT = Path(__file__).parents[2]


def test_the_dump_is_the_same_recipe(load_toy, toy):
    recipe = load_toy(toy + "evaluators: [{use: toy.count, words: [a, b]}]\n")
    text = dump_recipe(recipe)
    assert load_toy(text) == recipe
    assert dump_recipe(load_toy(text)) == text


def test_baselines_are_names_or_mappings(load_toy, toy):
    recipe = load_toy(
        toy + "baselines: [bm25, {model: e5=intfloat/e5-base, query_prompt: 'query: ', max_tokens: 256}]\n"
    )
    assert [(baseline.model, baseline.given) for baseline in recipe.baselines] == [
        ("bm25", {}),
        ("e5=intfloat/e5-base", {"query_prompt": "query: ", "max_tokens": 256}),
    ]
    text = dump_recipe(recipe)
    assert yaml.safe_load(text)["baselines"] == [
        "bm25", {"model": "e5=intfloat/e5-base", "query_prompt": "query: ", "max_tokens": 256},
    ]  # fmt: skip
    assert load_toy(text) == recipe


def test_the_dump_spells_defaults_out_and_keeps_the_order(load_toy, toy):
    text = dump_recipe(load_toy(toy))
    value = yaml.safe_load(text)
    assert list(value) == [
        "name",
        "description",
        "seed",
        "plugins",
        "sources",
        "curation",
        "tokenizer",
        "model",
        "phases",
        "evaluators",
        "evaluation",
        "baselines",
        "salience",
        "card",
        "loggers",
    ]
    assert value["sources"]["web"]["use"] == "pages"
    assert value["sources"]["web"]["filters"][0]["min_words"] == 5
    assert value["phases"][1]["masking"]["scorer"] == {"use": "toy.numbers", "strength": 255}
    assert value["phases"][0]["tokens"] == 10_000
    assert "from" not in value["model"]


@pytest.mark.parametrize("description", ["8e-4", "12:30", "no", "012", "~", "ünïcode – ☃", "a: b # c", "two\nlines"])
def test_text_stays_text(load_toy, toy, description):
    recipe = load_toy(toy).model_copy(update={"description": description})
    assert load_toy(dump_recipe(recipe)).description == description


def test_a_recipe_pickles(load_toy, toy):
    recipe = load_toy(toy)
    assert pickle.loads(pickle.dumps(recipe)) == recipe


def test_the_schema_documents_every_key(toy_registry):
    schema = recipe_schema(toy_registry)

    def documented(value):
        # pydantic leaves a key's text out where the section that it points to says the same.
        target = schema["$defs"].get(value.get("$ref", "").removeprefix("#/$defs/"), {})
        return "description" in value or "description" in target

    undocumented = [
        f"{where}.{key}"
        for where, part in [("recipe", schema), *schema["$defs"].items()]
        for key, value in part.get("properties", {}).items()
        if key != "use" and not documented(value)
    ]
    assert undocumented == []


def test_the_schema_offers_what_is_installed_with_its_options(toy_registry):
    definitions = recipe_schema(toy_registry)["$defs"]
    names, guided, plain = None, None, None
    for option in definitions["MaskingPolicy"]["anyOf"]:
        names = option.get("enum", names)
        guided = option if option.get("title") == "toy.guided" else guided
        plain = option if option.get("title") == "plain" else plain
    assert names == ["plain", "toy.guided"]
    assert guided["properties"]["use"] == {"const": "toy.guided"}
    assert guided["properties"]["scorer"]["$ref"] == "#/$defs/SalienceScorer"
    assert set(guided["required"]) == {"use", "scorer"}
    assert guided["additionalProperties"] is False
    assert plain["description"] == "Masks every token that may be masked."
    assert definitions["Phase"]["properties"]["masking"]["$ref"] == "#/$defs/MaskingPolicy"


def test_every_reference_of_the_schema_resolves(toy_registry):
    schema = recipe_schema(toy_registry)

    def references(node):
        if isinstance(node, dict):
            yield from [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    assert {reference.removeprefix("#/$defs/") for reference in references(schema)} <= set(schema["$defs"])


def test_a_rate_is_a_number_or_a_ramp(toy_registry):
    number, ramp = recipe_schema(toy_registry)["$defs"]["Ramp"]["anyOf"]
    assert number == {"type": "number", "minimum": 0, "maximum": 1}
    assert ramp["required"] == ["start", "end"]


@pytest.mark.parametrize("broken", [False, True])
def test_the_schema_judges_as_the_loader_does(toy_registry, toy, broken):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    value = parse(toy.replace("masking: plain", "masking: {use: plain, rate: 0.2}"), "r.yaml").value
    if broken:
        value["phases"][0]["mixing"]["sharse"] = {}
    assert jsonschema.Draft202012Validator(recipe_schema(toy_registry)).is_valid(value) is not broken


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_schema_accepts_the_shipped_recipes(path):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    jsonschema.Draft202012Validator(recipe_schema(load_plugins())).validate(parse_file(path).value)
