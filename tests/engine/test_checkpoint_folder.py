"""Which checkpoints are kept, the average of the last ones, and a full disk."""

import resource

import pytest
import torch
from engine.helpers import AtStep, Crash, crash, same_weights, weights
from pydantic import ValidationError

from rexplug.engine.checkpoints import read_state
from rexplug.errors import DataError


@pytest.mark.slow
def test_the_end_of_a_phase_is_the_mean_of_its_last_checkpoints(bench, phase):
    plain = bench("plain", [phase("first", checkpoints={"every_tokens": 600, "keep": 9})])
    kept = {}
    action = AtStep(11, lambda: kept.update({p.name: weights(p) for p in plain.run.checkpoints.glob("first/step-*")}))
    plain.train("first", action)
    end = plain.run.checkpoints / "first" / "final"
    mean = bench("mean", [phase("first", checkpoints={"every_tokens": 600}, average=3)])
    mean.train("first")
    final = mean.run.checkpoints / "first" / "final"
    steps = read_state(final).averaged
    assert len(steps) == 3
    assert steps[-1] == read_state(end).step
    parts = [kept[f"step-{number:09d}"] for number in steps[:-1]] + [weights(end)]
    for name, value in weights(final).items():
        assert torch.allclose(value, torch.stack([part[name] for part in parts]).mean(0), atol=1e-7), name
    assert not same_weights(weights(final), weights(end))


@pytest.mark.slow
def test_a_killed_run_averages_the_same(bench, phase):
    phases = [phase("first", checkpoints={"every_tokens": 600}, average=3)]
    calm, harried = bench("calm", phases), bench("harried", phases)
    calm.train("first")

    for steps in (4, 3, 3):
        with pytest.raises(Crash):
            harried.train("first", AtStep(steps, crash))
    harried.train("first")
    ours, theirs = (weights(each.run.checkpoints / "first" / "final") for each in (harried, calm))
    assert same_weights(ours, theirs)


def test_averaging_needs_checkpoints_to_average(phase):
    from rexplug.recipe.schema import Phase

    with pytest.raises(ValidationError, match=r"average: 3 needs checkpoints.every_tokens of less than 1500, so that"):
        Phase.model_validate(phase("first", average=3))


@pytest.mark.slow
def test_the_best_checkpoints_are_kept(bench, phase):
    made = bench(phases=[phase("first", checkpoints={"every_tokens": 600, "keep_best": 2})])
    made.train("first")
    folder = made.run.checkpoints / "first"
    assert len(list(folder.glob("step-*"))) == 2
    losses = [read_state(path).smoothed["loss"] for path in folder.glob("step-*")]
    assert max(losses) < 4.3


@pytest.mark.slow
def test_a_full_disk_ends_training_only_at_its_end_and_damages_nothing(bench, phase):
    """A limit on the size of files simulates a full disk: writes fail in the same places."""
    made = bench(phases=[phase("first", checkpoints={"every_tokens": 600})])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))

    try:
        progress = AtStep(5, full)
        with pytest.raises(DataError) as error:
            made.train("first", progress)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    folder = made.run.checkpoints / "first"
    assert (folder / "positions.log").exists(), "the lineage of the steps before the disk was full is kept"
    left = sorted(path.name for path in folder.iterdir() if path.name != "positions.log")
    assert left, "the checkpoint from before is still there"
    assert all(name.startswith("step-") for name in left), "and nothing half-written"
    assert str(error.value).startswith(f"a checkpoint could not be written to {folder} (")
    assert str(error.value).endswith(
        f"the last good one is {left[-1]}; make room, and the same command resumes from there"
    )
    assert any("training continues and tries again" in note for note in progress.notes)
    calm = bench("calm", [phase("first", checkpoints={"every_tokens": 600})])
    calm.train("first")
    made.train("first")
    assert same_weights(weights(folder / "final"), weights(calm.run.checkpoints / "first" / "final"))


def test_a_full_disk_at_the_initial_model(bench, full_disk):
    from rexplug.engine import initial_checkpoint

    made = bench()
    stream = made.stream("first")
    full_disk()
    with pytest.raises(DataError) as error:
        initial_checkpoint(made.recipe, stream.special, made.run)
    folder = made.run.checkpoints / "initial"
    assert str(error.value).startswith(f"the initial model could not be written to {folder} (")
    assert str(error.value).endswith(" GiB free); make room, and the same command resumes from there")
    assert list(made.run.checkpoints.iterdir()) == []
