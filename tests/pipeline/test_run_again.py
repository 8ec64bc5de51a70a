"""Running the same command again: finished stages are skipped; removed or requested ones run again."""

import json
import shutil

import pytest

from rexplug.pipeline.run import run_recipe
from rexplug.planning import make_forecast
from rexplug.plugins.discovery import load_plugins


@pytest.fixture
def again(tokenized_run, tmp_path, monkeypatch, notes):
    """Runs the command again on a copy of a curated and tokenized run; returns the copy and a line per stage."""
    _, recipe, run = tokenized_run
    monkeypatch.setenv("REXPLUG_CACHE", str(tmp_path / "measurements"))
    root = tmp_path / "run"
    shutil.copytree(run.root, root)

    def give(**options):
        notes.lines.clear()
        run_recipe(recipe, root, notes, plugins=load_plugins().versions(), command="", until="tokenize", **options)
        return [line.replace(str(tmp_path), "") for line in notes.lines if line.startswith(("curate:", "tokenize:"))]

    give.root = root
    return give


def test_nothing_is_done_twice(again):
    for line in again():
        assert line.endswith("nothing it depends on changed")


def test_a_removed_corpus_is_made_again(again):
    before = json.loads((again.root / "corpus" / "statistics.json").read_text())["sources"]
    shutil.rmtree(again.root / "corpus")
    first, second = again()
    assert first == "curate: runs again, because /run/corpus is gone"
    assert second == "tokenize: runs again, because curate ran again"
    assert json.loads((again.root / "corpus" / "statistics.json").read_text())["sources"] == before


def test_a_stage_is_done_again_when_asked(again):
    assert again(from_="curate")[0] == "curate: runs again, as asked with --from"


def test_a_plan_of_a_run_without_its_corpus(again, tokenized_run):
    _, recipe, run = tokenized_run
    shutil.rmtree(again.root / "corpus")
    assert {known.how for known in make_forecast(recipe, type(run)(again.root)).plan.source_sizes.values()} <= {
        "unknown",
        "history",
    }
