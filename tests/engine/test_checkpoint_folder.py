"""Which checkpoints stay, averaging, a full disk, bad losses, and evaluation on the way."""

import resource
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from rexplug.engine import train_phase
from rexplug.engine.checkpoints import read_state
from rexplug.errors import DataError, RecipeError
from rexplug.progress import Silent


class Notes(Silent):
    """Remembers what was said, and does something at a step."""

    def __init__(self, at=0, action=lambda: None):
        self.said, self.left, self.action = [], at, action

    def note(self, text):
        self.said.append(text.strip())

    def update(self, done, **figures):
        if figures:
            self.left -= 1
            if self.left == 0:
                self.action()


def weights(folder: Path):
    return load_file(folder / "model.safetensors")


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in two)


def test_the_end_of_a_phase_is_the_mean_of_its_last_checkpoints(bench, phase):
    plain = bench("plain", [phase("first", checkpoints={"every_tokens": 600, "keep": 9})])
    kept = {}
    action = Notes(11, lambda: kept.update({p.name: weights(p) for p in plain.run.checkpoints.glob("first/step-*")}))
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
    assert not same(weights(final), weights(end))


def test_a_killed_run_averages_the_same(bench, phase):
    phases = [phase("first", checkpoints={"every_tokens": 600}, average=3)]
    calm, harried = bench("calm", phases), bench("harried", phases)
    calm.train("first")

    def crash():
        raise KeyError("stands for whatever ends a process")

    for steps in (4, 3, 3):
        with pytest.raises(KeyError):
            harried.train("first", Notes(steps, crash))
    harried.train("first")
    ours, theirs = (weights(each.run.checkpoints / "first" / "final") for each in (harried, calm))
    assert same(ours, theirs)


def test_averaging_wants_checkpoints_to_average(phase):
    from rexplug.recipe.schema import Phase

    with pytest.raises(ValidationError, match=r"average: 3 needs checkpoints.every_tokens of less than 1500, so that"):
        Phase.model_validate(phase("first", average=3))


def test_the_best_checkpoints_stay(bench, phase):
    made = bench(phases=[phase("first", checkpoints={"every_tokens": 600, "keep_best": 2})])
    made.train("first")
    folder = made.run.checkpoints / "first"
    assert len(list(folder.glob("step-*"))) == 2
    losses = [read_state(path).smoothed["loss"] for path in folder.glob("step-*")]
    assert max(losses) < 4.3


@pytest.mark.slow
def test_a_full_disk_does_not_end_training_and_spoils_nothing(bench, phase):
    """A limit on the size of files stands for a full disk: writes fail in the same places."""
    made = bench(phases=[phase("first", checkpoints={"every_tokens": 600})])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))

    try:
        progress = Notes(5, full)
        with pytest.raises(DataError) as error:
            made.train("first", progress)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    folder = made.run.checkpoints / "first"
    assert (folder / "positions.log").exists(), "what was seen before the disk was full can still be told"
    left = sorted(path.name for path in folder.iterdir() if path.name != "positions.log")
    assert left, "the checkpoint from before is still there"
    assert all(name.startswith("step-") for name in left), "and nothing half-written"
    assert str(error.value).startswith(f"a checkpoint could not be written to {folder} (")
    assert str(error.value).endswith(
        f"the last good one is {left[-1]}; make room, and the same command resumes from there"
    )
    assert any("training continues and tries again" in note for note in progress.said)
    calm = bench("calm", [phase("first", checkpoints={"every_tokens": 600})])
    calm.train("first")
    made.train("first")
    assert same(weights(folder / "final"), weights(calm.run.checkpoints / "first" / "final"))


@pytest.fixture
def full_disk():
    """Files of more than 10 kB fail from here on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


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


def trained(made, evaluate, progress=None):
    from rexplug.engine import initial_checkpoint

    recipe = made.recipe
    if not (made.run.checkpoints / "initial").exists():
        initial_checkpoint(recipe, made.stream("first").special, made.run)
    return train_phase(
        recipe=recipe, phase=recipe.phases[0], stream=made.stream("first"), start=made.run.checkpoints / "initial",
        run=made.run, progress=progress or Silent(), evaluate=evaluate,
    )  # fmt: skip


def test_a_full_disk_at_an_evaluation_on_the_way(bench, phase, full_disk):
    made = bench(phases=[phase("first", evaluate_every=800, checkpoints={"every_tokens": 600})])
    seen = []
    with pytest.raises(DataError) as error:
        trained(made, lambda folder, tokens: seen.append(tokens), Notes(4, full_disk))
    folder = made.run.checkpoints / "first"
    (left,) = sorted(path.name for path in folder.iterdir() if path.name != "positions.log")
    assert str(error.value).startswith(f"weights to evaluate could not be written to {folder} (")
    assert str(error.value).endswith(
        f"; the last good one is {left}; make room, and the same command resumes from there"
    )
    assert seen == []


def test_what_a_kill_leaves_of_an_evaluation_goes(bench, phase):
    made = bench(phases=[phase("first", evaluate_every=800, checkpoints={"every_tokens": 600})])
    seen = []

    def crash():
        raise KeyError("stands for whatever ends a process")

    with pytest.raises(KeyError):
        trained(made, lambda folder, tokens: seen.append(folder), Notes(5, crash))
    (copied,) = seen
    assert not copied.exists()
    copied.mkdir()  # as a kill would leave it, which gives no time to clear up
    (copied / "model.safetensors").write_bytes(b"half")
    trained(made, lambda folder, tokens: seen.append(tokens))
    assert [tokens // 800 for tokens in seen[1:]] == [1, 2, 3]
    folder = made.run.checkpoints / "first"
    assert sorted(path.name for path in folder.iterdir()) == ["final", "positions.log"]
    assert sorted(path.name for path in made.run.checkpoints.iterdir()) == ["first", "initial"]


@pytest.mark.slow
def test_a_batch_whose_loss_jumps_stops_the_run_or_is_passed_over(bench, phase):
    """A rate that is far too high makes the loss jump."""
    wild = {"tokens": 15_000, "learning_rate": {"peak": 1e-3, "schedule": "constant"}}
    made = bench("stop", [phase("first", **wild, loss_guard={"spike": 1.000001})])
    with pytest.raises(
        DataError, match=r"phase 'first', step \d+: the loss jumped to [\d.]+ from about [\d.]+; documents in"
    ):
        made.train("first")
    skip = bench("skip", [phase("first", **wild, loss_guard={"spike": 1.000001, "action": "skip"})])
    progress = Notes()
    skip.train("first", progress)
    import json

    lines = [json.loads(line) for line in skip.run.metrics.read_text().splitlines()]
    skipped = [line["step"] for line in lines if line.get("skipped")]
    assert skipped
    assert min(skipped) > 20
    assert sum("No step was taken on it" in note for note in progress.said) == len(skipped)


def test_evaluating_on_the_way_changes_nothing(bench, phase):
    plain = bench("plain", [phase("first")])
    plain.train("first")
    made = bench("evaluated", [phase("first", evaluate_every=800)])
    made.stream("first")
    seen = []

    def evaluate(folder, tokens):
        from transformers import AutoModelForMaskedLM

        seen.append((tokens, AutoModelForMaskedLM.from_pretrained(folder)(torch.tensor([[1, 5, 2]])).logits.shape))
        torch.manual_seed(len(seen))  # an evaluator may use the global generators

    trained(made, evaluate)
    assert [tokens // 800 for tokens, _ in seen] == [1, 2, 3]
    assert seen[0][1] == (1, 3, 64)
    ours, theirs = (weights(each.run.checkpoints / "first" / "final") for each in (made, plain))
    assert same(ours, theirs)
    assert sorted(path.name for path in made.run.checkpoints.iterdir()) == ["first", "initial"]


def test_a_logger_whose_package_is_missing_is_named(bench, phase):
    made = bench()
    from rexplug.engine.loggers import make_loggers

    assert make_loggers(made.recipe, "first", made.run) == []
    from rexplug.recipe.schema import LoggerOptions

    recipe = made.recipe.model_copy(update={"loggers": (LoggerOptions.model_validate("mlflow"),)})
    try:
        import mlflow  # noqa: F401
    except ImportError:
        with pytest.raises(RecipeError, match=r"loggers.0: mlflow needs the package mlflow \(pip install mlflow\)"):
            make_loggers(recipe, "first", made.run)


def test_tensorboard_gets_every_step(bench):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from rexplug.recipe.schema import LoggerOptions

    made = bench()
    recipe = made.recipe.model_copy(update={"loggers": (LoggerOptions.model_validate("tensorboard"),)})
    from rexplug.engine import initial_checkpoint

    stream = made.stream("first")
    initial_checkpoint(recipe, stream.special, made.run)
    result = train_phase(
        recipe=recipe, phase=recipe.phases[0], stream=stream, start=made.run.checkpoints / "initial", run=made.run,
        progress=Silent(),
    )  # fmt: skip
    events = EventAccumulator(str(next((made.run.logs / "tensorboard" / "first").rglob("events*")).parent)).Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(1, result["steps"] + 1))
    assert {"learning_rate", "shares/web", "source_accuracy/retail", "gradient_norm"} <= set(events.Tags()["scalars"])
