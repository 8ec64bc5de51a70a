"""--fresh, and folders that are not run directories: files that no run wrote are neither removed nor overwritten."""

import shutil

import pytest

from rexplug.errors import DataError
from rexplug.pipeline.run import run_recipe
from rexplug.pipeline.run_folder import remove_run_outputs, require_run_folder, run_outputs
from rexplug.plugins.discovery import load_plugins
from rexplug.recipe import load_recipe
from rexplug.run_directory import RunDirectory


def contents(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.root.mkdir()
    return run


def fill(run):
    for path in run_outputs(run):
        if path.suffix:
            path.write_text("{}")
        else:
            path.mkdir()
            (path / "part").write_text("x")


def test_fresh_removes_what_a_run_makes_and_nothing_else(run):
    fill(run)
    for name in ("notes.txt", "my-recipe.yaml", ".lock"):
        (run.root / name).write_text("mine")
    (run.root / "exports").mkdir()
    run.labels.mkdir()
    (run.root / ".tmp-7-model").mkdir()
    require_run_folder(run, fresh=True)
    remove_run_outputs(run)
    assert contents(run.root) == [".lock", "exports", "labels", "my-recipe.yaml", "notes.txt"]


def test_fresh_refuses_a_folder_that_is_not_a_run_directory(run):
    for name in ("thesis.tex", "data.csv"):
        (run.root / name).write_text("mine")
    with pytest.raises(DataError) as caught:
        require_run_folder(run, fresh=True)
    assert str(caught.value) == (
        f"--fresh: {run.root} is not empty and is not a run directory (it has no run.json), so that nothing in it was removed; "
        "it holds 'data.csv', 'thesis.tex'. Give a run directory, or another folder with --run-dir"
    )
    require_run_folder(run, fresh=False)  # a run adds its files to such a folder and removes none


@pytest.mark.parametrize("name", ["recipe.yaml", "README.md", "corpus", "model"])
def test_a_run_does_not_overwrite_files_of_others(run, name):
    (run.root / name).write_text("mine")
    with pytest.raises(DataError) as caught:
        require_run_folder(run, fresh=False)
    assert str(caught.value) == (
        f"{run.root} is not a run directory (it has no run.json), but holds '{name}', which a run would overwrite; give another "
        "folder with --run-dir"
    )


def test_files_of_a_refused_start_are_ignored(run):
    (run.root / ".lock").touch()
    run.logs.mkdir()
    require_run_folder(run, fresh=True)
    require_run_folder(run, fresh=False)


def test_a_file_and_a_broken_link_are_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(
        DataError, match=rf"^{file} is a file, but a run needs a folder; give another one with --run-dir$"
    ):
        require_run_folder(RunDirectory(file), fresh=True)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "gone")
    with pytest.raises(
        DataError, match=r"is a link to .*/gone, which does not exist; repair the link, or give --run-dir$"
    ):
        require_run_folder(RunDirectory(link), fresh=False)


def test_a_linked_folder_loses_its_link_but_no_files(run, tmp_path):
    fill(run)
    elsewhere = tmp_path / "big-disk"
    run.corpus.rename(elsewhere)
    run.corpus.symlink_to(elsewhere)
    remove_run_outputs(run)
    assert contents(run.root) == []
    assert contents(elsewhere) == ["part"]


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize(
    ("key", "place", "folder", "override"),
    [
        ("tokenizer.from", "{run}/tokenizer", "tokenizer", "tokenizer={{from: {run}/tokenizer}}"),
        ("sources.web", "{run}/corpus/raw/1.txt", "corpus", "sources.web.paths={run}/corpus/raw"),
    ],
)
def test_a_run_does_not_clear_what_it_reads(tokenized_run, tmp_path, notes, key, place, folder, override, fresh):
    path, _, whole = tokenized_run
    run = tmp_path / "run"
    shutil.copytree(whole.root, run)
    (run / "corpus" / "raw").mkdir()
    (run / "corpus" / "raw" / "1.txt").write_text("a page of mine")
    before = sorted(run.rglob("*"))
    registry = load_plugins()
    recipe = load_recipe(path, [override.format(run=run)], registry=registry)
    with pytest.raises(DataError) as caught:
        run_recipe(recipe, run, notes, plugins=registry.versions(), command="", until="tokenize", fresh=fresh)
    assert str(caught.value) == (
        f"{key}: '{place.format(run=run)}' is in {run}/{folder}, which this run itself writes and clears; copy it "
        "elsewhere, or give another folder with --run-dir"
    )
    assert sorted(run.rglob("*")) == before
