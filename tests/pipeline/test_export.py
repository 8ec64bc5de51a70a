"""Which checkpoint `rexplug export` means."""

import pytest

from rexplug.errors import DataError
from rexplug.pipeline.export import find_checkpoint
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


def test_one_that_is_not_there_lists_those_that_are(run):
    with pytest.raises(DataError) as error:
        find_checkpoint(run, "anneal/30")
    assert str(error.value).startswith("--checkpoint anneal/30: there is no such checkpoint; the run has ")
    assert "anneal/10" in str(error.value)
    assert "pretrain/final" in str(error.value)


def test_a_folder_without_training(tmp_path):
    with pytest.raises(DataError, match="has no checkpoint; is it the folder of a run that has trained?"):
        find_checkpoint(RunDirectory(tmp_path), None)
