"""Composer's loggers: each step reaches them, and a missing package is named."""

import pytest

from rexplug.engine import train_phase
from rexplug.errors import RecipeError
from rexplug.progress import Silent


def test_a_logger_whose_package_is_missing_is_named(bench, monkeypatch):
    made = bench()
    from rexplug.engine import loggers
    from rexplug.engine.loggers import make_loggers

    assert make_loggers(made.recipe, "first", made.run) == []
    from rexplug.recipe.schema import LoggerOptions

    recipe = made.recipe.model_copy(update={"loggers": (LoggerOptions.model_validate("mlflow"),)})
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"loggers.0: mlflow needs the package mlflow \(pip install mlflow\)"):
        make_loggers(recipe, "first", made.run)


@pytest.mark.slow
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
