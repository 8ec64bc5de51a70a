"""Runs of recipes that name a plugin file: worker processes, copies in the run, changed code."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rexplug.errors import PluginError
from rexplug.pipeline.run import run_recipe
from rexplug.plugins.discovery import load_plugins
from rexplug.progress import Silent
from rexplug.recipe import load_recipe, load_run_recipe
from rexplug.run_directory import RunDirectory

PLUGIN = '''\
import rexplug

class Texts(rexplug.DocumentSource):
    """Short texts."""

    name = "legal.texts"

    def num_shards(self):
        return 4

    def documents(self, shard):
        for number in range(shard.index, 40, shard.count):
            yield rexplug.Document(str(number), f"text {number} {MARK}")

MARK = "one"
COMPONENTS = [Texts]
'''
RECIPE = """\
name: legal
plugins: [./legal.py]
sources: {law: {use: legal.texts}}
curation: {deduplicate: none, held_out: 0, executor: {use: local, workers: 2}}
tokenizer: {use: train, vocabulary: 300}
model: {size: nano}
phases:
  - {name: one, tokens: 1k, context: 32, batch_tokens: 128, learning_rate: {peak: 1e-3},
     mixing: {use: annealing.constant, shares: {law: 1}}, masking: random}
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "legal.py").write_text(PLUGIN)
    (tmp_path / "recipe.yaml").write_text(RECIPE)

    def curate(recipe=None, **options):
        loaded = load_recipe(recipe or tmp_path / "recipe.yaml")
        run_recipe(
            loaded, tmp_path / "run", Silent(), plugins=load_plugins().versions(), command="", until="curate", **options
        )
        return {
            text.split()[-1] for text in pq.read_table(tmp_path / "run" / "corpus" / "law" / "kept")["text"].to_pylist()
        }

    return curate


@pytest.mark.slow
def test_workers_have_the_plugin_and_the_run_keeps_a_copy(run, tmp_path):
    assert run() == {"one"}
    (tmp_path / "legal.py").write_text(PLUGIN.replace('"one"', '"two"'))
    assert run() == {"two"}
    copy = tmp_path / "run" / "plugins" / "legal.py"
    assert '"two"' in copy.read_text()
    (tmp_path / "legal.py").unlink()
    assert load_run_recipe(RunDirectory(tmp_path / "run")).plugins == (str(copy),)
    # The run's own recipe starts over with its own copy.
    assert run(tmp_path / "run" / "recipe.yaml", fresh=True) == {"two"}
    assert copy.is_file()
    assert Path(load_recipe(tmp_path / "run" / "recipe.yaml").plugins[0]) == copy


def test_metadata_that_cannot_be_stored_names_the_source(run, tmp_path):
    yielded = 'f"text {number} {MARK}", metadata={"words": {(1, 2): 3}})'
    (tmp_path / "legal.py").write_text(PLUGIN.replace('f"text {number} {MARK}")', yielded))
    with pytest.raises(PluginError) as caught:
        run()
    assert str(caught.value) == (
        "legal.texts.documents() yielded what cannot be stored: the metadata {'words': {(1, 2): 3}} of the document '0' cannot be "
        "written as JSON: keys must be str, int, float, bool or None, not tuple"
    )
