"""Suites by name in `curation.decontaminate`: their texts are looked for, and what cannot be is named."""

import json

import pytest
from click.testing import CliRunner
from small_recipe import small_recipe

from rexplug.cli import cli
from rexplug.corpus.compared import compared
from rexplug.errors import DataError, RecipeError
from rexplug.pipeline.preflight.inputs import preflight
from rexplug.recipe import dump_recipe, load_recipe

SECRET = "which of the eighteen garden chairs with woven seats can stay outside all winter without a cover"
SUITE = """
evaluators:
  - {use: classification, title: secret, train: $DATA/train.jsonl, test: $DATA/test.jsonl}
  - {use: classification, title: other, train: $DATA/absent.jsonl}
  - masked_recovery
"""


def write(path, *texts):
    path.write_text("".join(json.dumps({"text": text, "label": str(n % 2)}) + "\n" for n, text in enumerate(texts)))


@pytest.fixture
def place(tmp_path):
    (tmp_path / "data").mkdir()
    write(tmp_path / "data/train.jsonl", *(f"a text number {n} to learn from" for n in range(9)))
    write(tmp_path / "data/test.jsonl", SECRET, "an oak chair")
    (tmp_path / "shop.yaml").write_text(SUITE)
    lines = [f"The committee number {n} met in the old library and argued about the poem {n * 7}." for n in range(40)]
    write(tmp_path / "in.jsonl", *lines, f"Leaked: {SECRET.upper()}?")
    return tmp_path


def recipe(place, decontaminate, *overrides, more=""):
    text = small_recipe(
        f"{{web: {{use: jsonl, paths: {place}/in.jsonl}}}}",
        more=f"curation: {{deduplicate: none, held_out: 0.1, decontaminate: {decontaminate}}}\n{more}",
    )
    (place / "recipe.yaml").write_text(text)
    return load_recipe(place / "recipe.yaml", overrides)


def test_texts_of_a_suite_are_dropped_and_what_is_too_short_is_counted(place):
    decontaminate = f"{{suite: {place}/shop.yaml, data: {place}/data}}"
    recipe(place, decontaminate)
    done = CliRunner().invoke(
        cli, ["run", str(place / "recipe.yaml"), "--until", "curate", "--run-dir", str(place / "run")]
    )
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    secret = "classification.secret (suite shop)"
    assert f"decontamination: compared with the texts of {secret}" in said
    assert f"decontamination: texts of fewer than 8 words are not searched for: {secret} 1 of 2" in said
    assert "decontamination: not compared with classification.other (suite shop): its data cannot be read:" in said
    statistics = json.loads((place / "run/corpus/statistics.json").read_text())["decontamination"]
    assert statistics["evaluators"] == {secret: {"texts": 2, "whole": 0, "too_short": 1}}
    assert statistics["shortest"] == 8
    assert statistics["not_compared"].keys() == {"classification.other (suite shop)", "masked_recovery (suite shop)"}
    [hit] = statistics["sources"]["web"]["hits"]
    assert hit["evaluator"] == secret
    shown = CliRunner().invoke(cli, ["corpus", "show", str(place / "run")]).output
    assert f"{secret}: 2 texts, 1 of them too short to search for (fewer than 8 words)" in shown
    card = (place / "run/corpus/README.md").read_text()
    assert "1 of their 2 texts have fewer than 8 words and were not searched for." in card


def test_the_same_evaluator_of_the_recipe_is_compared_once(place):
    own = f"{{use: classification, title: secret, train: {place}/data/train.jsonl, test: {place}/data/test.jsonl}}"
    found = compared(recipe(place, f"{{suite: {place}/shop.yaml, data: {place}/data}}", more=f"evaluators: [{own}]\n"))
    assert list(found.evaluators) == ["classification.secret"]
    assert found.without_data == ["classification.other (suite shop)"]


def test_suites_in_files_of_one_name_are_distinguished_by_their_folders(place):
    (place / "other").mkdir()
    (place / "other/shop.yaml").write_text(SUITE.replace("test.jsonl", "train.jsonl"))
    suites = f"{place}/shop.yaml", f"{place}/other/shop.yaml"
    found = compared(recipe(place, f"{{suite: [{', '.join(suites)}], data: {place}/data}}"))
    assert list(found.evaluators) == [f"classification.secret (suite {suite})" for suite in suites]


def test_suites_of_the_plugins_in_use_are_the_default(place):
    with pytest.raises(DataError) as no_plugin:
        compared(recipe(place, "suite"))
    assert str(no_plugin.value) == (
        "curation.decontaminate: the recipe uses no plugin that ships a suite; name one, as in {suite: ecommerce, data: DIR}"
    )
    more = "salience: [ecommerce.attributes]\n"
    with pytest.raises(RecipeError) as no_data:
        compared(recipe(place, "suite", more=more))
    assert str(no_data.value) == (
        "the suite ecommerce reads local data: give its folder with curation.decontaminate: {suite: ecommerce, data: DIR}"
    )
    with pytest.raises(DataError) as empty:
        compared(recipe(place, "suite", f"curation.decontaminate.data={place}/data", more=more))
    assert str(empty.value).startswith(
        f"curation.decontaminate: no evaluator of the suite ecommerce has its data in {place}/data; is `data` the right folder? "
        "masked_recovery (suite ecommerce): its data cannot be read: "
    )


def test_check_reports_missing_suites_and_data(place):
    report = preflight(recipe(place, "{suite: ecomerce, data: x}"))
    assert report.problems == (
        "curation.decontaminate.suite ecomerce: no plugin of that name ships a suite; write the path of a YAML file or one of the "
        "installed suites: ecommerce",
    )
    fine = preflight(recipe(place, f"{{suite: [{place}/shop.yaml], data: {place}/data}}"))
    assert fine.problems == ()
    [warning] = [line for line in fine.warnings if "decontaminate" in line]
    assert warning.startswith("curation.decontaminate: classification.other (suite shop): its data cannot be read: ")


def test_data_of_the_command_line(place):
    recipe(place, f"{{suite: {place}/shop.yaml}}")
    command = ["check", str(place / "recipe.yaml")]
    missing = CliRunner().invoke(cli, command)
    assert missing.exit_code != 0
    done = CliRunner().invoke(cli, [*command, "--data", str(place / "data")])
    assert done.exit_code == 0, done.output
    recipe(place, "evaluators")
    with pytest.raises(
        RecipeError, match="'data' goes with suites: write 'suite' or {suite: NAME} in place of 'evaluators'"
    ):
        CliRunner().invoke(cli, [*command, "--data", str(place / "data")], catch_exceptions=False)


def test_suites_are_written_to_the_recipe_of_a_run(place):
    made = recipe(place, f"{{suite: {place}/shop.yaml, data: {place}/data}}")
    (place / "again.yaml").write_text(dump_recipe(made))
    assert load_recipe(place / "again.yaml") == made
    assert recipe(place, "suite").curation == recipe(place, "{suite: []}").curation


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (
            "evaluator",
            "curation.decontaminate: write 'evaluators', 'none', 'suite', a list of evaluators, or suites as "
            "{suite: NAME, data: DIR}",
        ),
        ("{suit: ecommerce}", "curation.decontaminate.suit: unknown key; did you mean 'suite'?"),
    ],
)
def test_a_wrong_value_is_one_problem(place, written, problem):
    with pytest.raises(RecipeError) as refused:
        recipe(place, written)
    [line] = str(refused.value).splitlines()[1:]
    assert line.endswith(problem)
