"""Files that options name by path: a changed file repeats the stage that reads it, and no stage before it."""

import pytest

from rexplug.pipeline.manifest import Manifest
from rexplug.pipeline.recipe_stages import RecipeStages
from rexplug.pipeline.run import run_recipe
from rexplug.pipeline.stage_changes import describe_change
from rexplug.plugins.discovery import load_plugins
from rexplug.progress import Silent
from rexplug.recipe import load_recipe
from rexplug.run_directory import RunDirectory


@pytest.fixture
def again(tmp_path, monkeypatch, notes):
    """Runs a recipe with a file of spam terms up to the tokenizer; returns the notes on stages and the kept documents."""
    monkeypatch.setenv("REXPLUG_CACHE", str(tmp_path / "measurements"))
    (tmp_path / "in").mkdir()
    for number in range(20):
        word = "zorkium glimmerol" if number % 2 else "waterproof boots"
        (tmp_path / "in" / f"{number:02d}.txt").write_text(f"A page about {word}, number {number}. Light and warm.")
    phrases, values = tmp_path / "terms.yaml", tmp_path / "values.txt"
    phrases.write_text("name: Ours\nspam: [casinol]\n")
    values.write_text("attribute,value\nbrand,Norvale\n")
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"""
name: toy
sources: {{web: {{use: text, paths: {tmp_path}/in, filters: [{{use: ecommerce.spam, phrases: [{phrases}]}}]}}}}
curation: {{deduplicate: none, held_out: 0}}
tokenizer: {{use: train, vocabulary: 300}}
model: {{size: nano}}
salience: [{{use: ecommerce.attributes, values: [{values}]}}]
phases:
  - {{name: anneal, tokens: 1k, context: 32, batch_tokens: 128, learning_rate: {{peak: 1e-3}},
     mixing: {{use: annealing.constant, shares: {{web: 1}}}}, masking: random}}
"""
    )

    def run(**options):
        notes.lines.clear()
        run_recipe(
            load_recipe(path), tmp_path / "run", notes, plugins=load_plugins().versions(), command="", until="tokenize",
            **options,
        )  # fmt: skip
        lines = [line for line in notes.lines if line.startswith(("curate:", "tokenize:"))]
        kept = Manifest.open(RunDirectory(tmp_path / "run")).stage("curate")["result"]["sources"]["web"]["kept"]
        return lines, kept["documents"]

    run.phrases, run.values, run.recipe = phrases, values, path
    return run


def test_a_changed_list_of_a_filter_curates_again_in_the_same_process(again):
    assert again()[1] == 20
    assert all("nothing it depends on changed" in line for line in again()[0])
    again.phrases.write_text("name: Ours\nspam: [zorkium, glimmerol]\n")
    lines, kept = again()
    assert lines == [
        f"curate: runs again, because the file {again.phrases} changed (and 1 more)",
        "tokenize: runs again, because a stage before it changed",
    ]
    assert kept == 10


def test_a_changed_list_of_a_scorer_tokenizes_again_and_does_not_curate(again):
    again()
    again.values.write_text("attribute,value\nbrand,Norvale\nbrand,Zorkium\n")
    first, second = again()[0]
    assert first.endswith("nothing it depends on changed")
    assert second == f"tokenize: runs again, because the file {again.values} changed (and 1 more)"


def inputs(path, *overrides):
    stages = RecipeStages(load_recipe(path, overrides), RunDirectory(path.parent / "run"), Silent(), {}).build()
    return {stage.name: dict(stage.inputs) for stage in stages}


def changed(path, file, *overrides):
    """The stages whose inputs change with a file."""
    before = inputs(path, *overrides)
    file.write_text(file.read_text() + "\n# longer\n")
    after = inputs(path, *overrides)
    return {name for name in after if before[name] != after[name]}


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("relevance={{labels: {{use: ecommerce.retail, phrases: [{file}]}}}}", {"relevance"}),
        ("sources.web.filters=[{{use: url, block_files: [{file}]}}]", {"curate"}),
        ("sources.web.filters=[{{use: ecommerce.product_page, phrases: [{file}]}}]", {"curate"}),
        ("sources.web.filters=[{{use: lines.boilerplate, common: {file}}}]", {"curate"}),
        ("sources.web.filters=[{{use: language, model: {file}}}]", {"curate"}),
        ("sources.web.filters=[{{use: relevance, model: {file}, at_least: 0.5}}]", {"curate"}),
        (
            "salience=[{{use: ecommerce.attributes, taxonomies: [{file}]}}]",
            {"tokenize", "evaluate.initial", "evaluate.anneal"},
        ),
        (
            "phases.anneal.masking={{use: guided_mlm.guided, scorer: {{use: ecommerce.attributes, values: [{file}]}}}}",
            {"tokenize"},
        ),
    ],
)
def test_a_changed_file_of_an_option_is_an_input_of_the_stage_that_reads_it(again, tmp_path, override, stages):
    file = tmp_path / "list.yaml"
    file.write_text("# nothing yet\n")
    assert changed(again.recipe, file, override.format(file=file), "evaluators=[masked_recovery]") == stages


def test_stages_without_such_files_have_the_inputs_that_they_always_had(again):
    for name, values in inputs(again.recipe, "sources.web.filters=[]", "salience=[]").items():
        assert "option_files" not in values, name


@pytest.mark.parametrize("name", ["1_Pooling/config.json", "vocab.txt", "config.json"])
def test_a_changed_file_of_a_baseline_evaluates_the_baselines_again(again, tmp_path, name):
    model = tmp_path / "model"
    (model / "1_Pooling").mkdir(parents=True)
    for file in ("config.json", "1_Pooling/config.json", "vocab.txt", "README.md", "modules.json"):
        (model / file).write_text("{}")
    for written in (str(model), f"random:{model}"):
        options = (f"baselines=['{written}']", "evaluators=[masked_recovery]")
        assert changed(again.recipe, model / name, *options) == {"evaluate.baselines"}
        assert changed(again.recipe, model / "README.md", *options) == set()


def test_evaluations_depend_on_libraries_and_on_the_code_of_the_core(again):
    found = inputs(again.recipe, "evaluators=[masked_recovery]", "baselines=[bm25]")
    for name, values in found.items():
        evaluates = name.startswith("evaluate.")
        assert ("rexplug" in values["plugins"], "torch" in values.get("libraries", {})) == (evaluates, evaluates)
    assert describe_change("plugins.rexplug: 1a -> 2b") == "rexplug's own code of evaluations changed"
