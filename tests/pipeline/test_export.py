"""Selection of the checkpoint to export, and of the target folder."""

import pytest

from rexplug.errors import DataError
from rexplug.pipeline.export import export_checkpoint, find_checkpoint, longest_context, require_free
from rexplug.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path):
    for name in ("pretrain/final", "anneal/step-000000010", "anneal/step-000000020"):
        folder = tmp_path / "checkpoints" / name
        folder.mkdir(parents=True)
        (folder / "state.json").write_text("{}")
    return RunDirectory(tmp_path)


def test_a_phase_a_step_or_the_newest(run):
    folder = run.checkpoints
    assert find_checkpoint(run, "pretrain") == folder / "pretrain" / "final"
    assert find_checkpoint(run, "anneal/10") == folder / "anneal" / "step-000000010"
    assert find_checkpoint(run, "anneal") == folder / "anneal" / "step-000000020"
    assert find_checkpoint(run, None) == folder / "anneal" / "step-000000020"


def test_an_unknown_checkpoint_lists_the_existing_ones(run):
    with pytest.raises(DataError) as error:
        find_checkpoint(run, "anneal/30")
    assert str(error.value).startswith("--checkpoint anneal/30: unknown checkpoint; the run has ")
    assert "anneal/10" in str(error.value)
    assert "pretrain/final" in str(error.value)


def test_a_folder_without_training(tmp_path):
    with pytest.raises(DataError, match="has no checkpoint; is it the directory of a run that has trained?"):
        find_checkpoint(RunDirectory(tmp_path), None)


RECIPE = """
name: toy
model: {model}
phases:
  - {{name: pretrain, context: 128}}
  - {{name: extend, context: 1024}}
  - {{name: anneal, context: 512}}
"""


@pytest.mark.parametrize(
    ("phase", "model", "longest"),
    [
        ("pretrain", "{size: nano}", 128),
        ("extend", "{size: nano}", 1024),
        ("anneal", "{size: nano}", 1024),
        ("pretrain", "{from: some/encoder}", None),
        ("initial", "{size: nano}", None),
    ],
)
def test_the_longest_context_that_a_checkpoint_has_seen(run, phase, model, longest):
    run.recipe.write_text(RECIPE.format(model=model))
    assert longest_context(run, phase) == longest


def test_a_damaged_recipe_of_a_run_is_named(run):
    run.recipe.write_text("phases: 7")
    with pytest.raises(DataError) as error:
        longest_context(run, "pretrain")
    assert str(error.value) == (
        f"{run.recipe} is not the recipe of a run; the run writes it again when it is continued"
    )


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("thesis", "the folder is not empty and is not an earlier export (it has no parity.json), so that nothing in it was replaced; "
         "give another folder"),
        ("thesis/main.tex", "this is a file; give the folder to write"),
        ("checkpoints", "the run itself keeps its files there; give another folder"),
        ("model", "the run itself keeps its files there; give another folder"),
        (".", "the run itself keeps its files there; give another folder"),
    ],
)  # fmt: skip
def test_an_export_replaces_nothing_but_an_export(run, place, said):
    (run.root / "thesis").mkdir()
    (run.root / "thesis" / "main.tex").write_text("mine")
    before = sorted(run.root.rglob("*"))
    with pytest.raises(DataError) as caught:
        export_checkpoint(run.root, "anneal", run.root / place)
    assert str(caught.value) == f"--to {run.root / place}: {said}"
    assert sorted(run.root.rglob("*")) == before


def test_an_export_may_be_written_again(run, tmp_path):
    folder = tmp_path / "exports" / "anneal-10"
    require_free(folder, run)
    folder.mkdir(parents=True)
    require_free(folder, run)
    (folder / "parity.json").write_text("{}")
    require_free(folder, run)
