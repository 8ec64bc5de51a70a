"""Stamps of inputs: local files and objects in a store."""

import fsspec
import pytest

from rexplug.corpus.sources import Jsonl
from rexplug.pipeline.recipe_stages import RecipeStages
from rexplug.pipeline.stamps import file_stamps, source_stamps
from rexplug.progress import Silent
from rexplug.recipe import load_recipe
from rexplug.run_directory import RunDirectory

LINE = '{"id": "a", "text": "a page"}\n'


@pytest.fixture
def bucket():
    """A folder of an in-memory object store; `write` puts an object there."""
    store = fsspec.filesystem("memory")

    def write(text):
        store.pipe("/stamps/pages.jsonl", text.encode())

    yield write
    store.rm("/stamps", recursive=True)


@pytest.mark.parametrize("path", ["{folder}/pages.jsonl", "{folder}/../{name}//pages.jsonl"])
def test_local_files_are_stamped_as_before_object_stores_were_asked(tmp_path, path):
    file = tmp_path / "pages.jsonl"
    file.write_text(LINE)
    source = Jsonl(paths=path.format(folder=tmp_path, name=tmp_path.name))
    (stamp,) = source_stamps(source).values()
    assert stamp == [len(LINE), file.stat().st_mtime_ns]
    assert source_stamps(source) == file_stamps(source.inputs())


def test_a_changed_object_is_noticed(bucket):
    bucket(LINE)
    before = source_stamps(Jsonl(paths="memory://stamps/pages.jsonl"))
    assert list(before) == ["memory://stamps/pages.jsonl"]
    assert source_stamps(Jsonl(paths="memory://stamps/pages.jsonl")) == before
    bucket(LINE * 2)
    assert source_stamps(Jsonl(paths="memory://stamps/pages.jsonl")) != before


def test_a_changed_object_redoes_the_relevance_classifier(tokenized_run, tmp_path, bucket):
    path, _, _ = tokenized_run
    (tmp_path / "labels.jsonl").write_text('{"id": "a", "label": "relevant"}\n')

    def inputs():
        source = "{use: jsonl, paths: 'memory://stamps/pages.jsonl', filters: [{use: relevance, at_least: chosen}]}"
        labels = f"{{use: label_file, path: {tmp_path}/labels.jsonl}}"
        recipe = load_recipe(path, [f"sources.web={source}", f"relevance={{labels: {labels}}}"])
        stages = RecipeStages(recipe, RunDirectory(tmp_path / "run"), Silent(), {}).build()
        return stages[0].name, stages[0].inputs["files"]

    bucket(LINE)
    before = inputs()
    assert before[0] == "relevance"
    assert inputs() == before
    bucket(LINE * 2)
    assert inputs() != before
