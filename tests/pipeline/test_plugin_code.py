"""Changed plugin code redoes the stages that used it and no others, and never mixes with results of the old code."""

import importlib
import json
import os
import sys

import pyarrow.parquet as pq
import pytest

from rexplug.errors import DataError, PluginError, RecipeError
from rexplug.pipeline.manifest import Manifest
from rexplug.pipeline.run import run_recipe
from rexplug.plugins.discovery import load_plugins
from rexplug.recipe import load_recipe
from rexplug.run_directory import RunDirectory

PLUGIN = """
import numpy as np
from rexplug import CorpusFilter, SalienceScorer, Verdict, hookimpl

class Marks(CorpusFilter):
    name = "toy.marks"

    def judge(self, document):
        {judge}
        return Verdict(True, text=document.text + " {mark}")

class Score(SalienceScorer):
    name = "toy.score"

    def score(self, document):
        return np.zeros(len(document.token_ids), np.uint8)

@hookimpl
def rexplug_corpus_filters():
    return [Marks]

@hookimpl
def rexplug_salience_scorers():
    return [Score]
"""


@pytest.fixture
def toy(tmp_path, monkeypatch, notes):
    """A recipe with a filter and a scorer of a plugin; `write` changes the plugin's code, a call runs the recipe until a stage."""
    monkeypatch.setenv("REXPLUG_CACHE", str(tmp_path / "measurements"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    (tmp_path / "in").mkdir()
    for number in range(30):
        (tmp_path / "in" / f"{number:02d}.txt").write_text(f"A page about boots, number {number}. Waterproof and warm.")
    (tmp_path / "recipe.yaml").write_text(
        f"""
name: toy
sources: {{web: {{use: text, paths: {tmp_path}/in, filters: [toy.marks]}}}}
curation: {{deduplicate: none, held_out: 0}}
tokenizer: {{use: train, vocabulary: 300}}
model: {{size: nano}}
phases:
  - {{name: anneal, tokens: 1k, context: 32, batch_tokens: 128, learning_rate: {{peak: 1e-3}},
     mixing: {{use: annealing.constant, shares: {{web: 1}}}}, masking: random}}
"""
    )

    class Toy:
        root = tmp_path / "run"
        module = site / "toy_plugin.py"

        def write(self, mark="one", judge="pass"):
            self.module.write_text(PLUGIN.format(mark=mark, judge=judge))
            sys.modules.pop("toy_plugin", None)
            importlib.invalidate_caches()

        def __call__(self, until="tokenize", **options):
            registry = load_plugins({"toy": importlib.import_module("toy_plugin")})
            notes.lines.clear()
            recipe = load_recipe(tmp_path / "recipe.yaml", options.pop("overrides", ()), registry)
            run_recipe(
                recipe,
                self.root,
                notes,
                plugins={**registry.versions(), "toy": "1.0"},
                command="",
                until=until,
                **options,
            )
            return [line for line in notes.lines if line.partition(":")[0] in ("curate", "tokenize")]

        def marks(self):
            texts = pq.read_table(self.root / "corpus" / "web" / "kept")["text"].to_pylist()
            return {text.split()[-1] for text in texts}, len(texts)

    yield Toy()
    sys.modules.pop("toy_plugin", None)


def test_changed_code_redoes_what_it_touched_and_says_so(toy):
    toy.write("one")
    toy()
    assert toy.marks() == ({"one"}, 30)
    assert all("done before" in line for line in toy())
    toy.write("two")
    first, second = toy()
    assert first.startswith("curate: runs again, because the code of plugin 'toy' changed (1.0 ")
    assert second == "tokenize: runs again, because a stage before it changed"
    assert toy.marks() == ({"two"}, 30)


def test_a_stage_that_failed_in_a_plugin_starts_over_once_the_plugin_is_repaired(toy):
    toy.write("one", judge="if document.id.endswith('17.txt'): raise ValueError('no such page')")
    with pytest.raises(
        PluginError, match=r"^toy.marks.judge\(\) raised ValueError on document '17.txt': no such page\n"
    ):
        toy("curate")
    assert Manifest.open(RunDirectory(toy.root)).stage("curate")["status"] == "running"
    toy.write("two")
    (line,) = toy("curate")
    assert "the code of plugin 'toy' changed" in line
    assert toy.marks() == ({"two"}, 30)


def test_an_exception_of_a_plugin_in_a_worker_process_names_the_document_and_its_own_lines(toy, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{toy.module.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    toy.write("one", judge="if document.id.endswith('17.txt'): raise ValueError('no such page')")
    with pytest.raises(PluginError) as caught:
        toy("curate", overrides=["curation.executor.workers=2", "sources.web.split=100"])
    assert str(caught.value).splitlines() == [
        "toy.marks.judge() raised ValueError on document '17.txt': no such page",
        f"  {toy.module}:9, in judge: if document.id.endswith('17.txt'): raise ValueError('no such page')",
    ]


def test_an_allowed_change_of_code_keeps_what_is_done(toy):
    toy.write("one")
    toy()
    toy.write("two")
    lines = toy(allow=["plugins.toy"])
    assert lines[0].startswith("curate: kept although the code of plugin 'toy' changed (1.0 ")
    assert [line for line in lines if "done before" in line] == lines[2:]
    assert toy.marks() == ({"one"}, 30)
    assert all("done before" in line for line in toy()), "the code that is there now is what the stages are known with"


def test_an_allowed_change_does_not_resume_a_half_finished_corpus(toy):
    toy.write("one", judge="if document.id.endswith('17.txt'): raise ValueError('no such page')")
    with pytest.raises(
        PluginError, match=r"^toy.marks.judge\(\) raised ValueError on document '17.txt': no such page\n"
    ):
        toy("curate")
    toy.write("two")
    toy("curate", allow=["plugins.toy"])
    assert toy.marks() == ({"two"}, 30)


def test_code_that_changes_while_a_stage_runs_is_noticed(toy):
    change = "import pathlib; p = pathlib.Path(__file__); p.write_text(p.read_text() + '#')"
    toy.write("one", judge=f"if document.id.endswith('17.txt'): {change}")
    with pytest.raises(DataError) as caught:
        toy("curate")
    assert str(caught.value) == (
        "the code of plugin 'toy' changed while curate ran, so that some of what it made may come from other code; the same "
        "command does it again"
    )
    toy.write("one")
    (line,) = toy("curate")
    assert line.startswith("curate: runs again")


def test_code_that_does_not_enter_a_stage_redoes_nothing(toy):
    toy.write("one")
    plain = ["sources.web.filters=[]"]
    toy(overrides=plain)
    toy.write("two")
    assert all("done before" in line for line in toy(overrides=plain))
    assert json.loads((toy.root / "run.json").read_text())["stages"]["curate"]["inputs"]["plugins"] == {}


def test_what_a_scorer_learnt_goes_with_its_code(toy):
    toy.write("one")
    scored = ["salience=[toy.score]", "sources.web.filters=[]"]
    toy(overrides=scored)
    (learnt,) = (toy.root / "fitted").glob("salience-*.json")
    learnt.write_text(learnt.read_text() + " ")
    toy.write("two")
    first, second = toy(overrides=scored)
    assert "done before" in first
    assert "the code of plugin 'toy' changed" in second
    assert not learnt.read_text().endswith(" ")


def test_another_package_version_redoes_nothing(toy, monkeypatch):
    toy.write("one")
    toy()
    monkeypatch.setattr("rexplug.pipeline.run.__version__", "0.2.0")
    manifest = Manifest.open(RunDirectory(toy.root))
    assert all("done before" in line for line in toy())
    assert Manifest.open(RunDirectory(toy.root)).values["rexplug"] == "0.2.0"
    assert manifest.values["rexplug"] != "0.2.0"


def test_training_of_another_format_is_refused_before_anything_is_touched(toy, monkeypatch):
    from rexplug.pipeline import recipe_stages as pipeline

    toy.write("one")
    toy()
    manifest = Manifest.open(RunDirectory(toy.root))
    stage = next(s for s in stages_of(toy) if s.name == "train.anneal")
    manifest.set_stage("train.anneal", status="running", fingerprint="x", inputs=dict(stage.inputs), seconds=7.0)
    before = (toy.root / "run.json").read_bytes(), (toy.root / "recipe.yaml").read_bytes()
    monkeypatch.setattr(pipeline, "FORMATS", {**pipeline.FORMATS, "train": 2})
    with pytest.raises(RecipeError) as caught:
        toy("train", overrides=["description=another"])
    assert str(caught.value) == (
        "train.anneal is half done (7 s), and this version of rexplug writes its inputs in another format (format: 1 "
        f"-> 2). Nothing was changed: finish the run with rexplug {manifest.values['rexplug']}, do it again (--from "
        "train.anneal), or take another folder (--run-dir)"
    )
    assert ((toy.root / "run.json").read_bytes(), (toy.root / "recipe.yaml").read_bytes()) == before


def stages_of(toy):
    from rexplug.pipeline.recipe_stages import RecipeStages
    from rexplug.progress import Silent

    registry = load_plugins({"toy": importlib.import_module("toy_plugin")})
    recipe = load_recipe(toy.root.parent / "recipe.yaml", (), registry)
    plugins = {**registry.versions(), "toy": "1.0"}
    return RecipeStages(recipe, RunDirectory(toy.root), Silent(), plugins).build()
