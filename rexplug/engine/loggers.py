"""Builds the Composer loggers that a recipe names."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from composer.loggers import LoggerDestination, MLFlowLogger, TensorboardLogger, WandBLogger

from rexplug.errors import RecipeError
from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory

_CLASSES = {"tensorboard": TensorboardLogger, "wandb": WandBLogger, "mlflow": MLFlowLogger}


def make_loggers(recipe: Recipe, phase: str, run: RunDirectory) -> list[LoggerDestination]:
    """The loggers of a phase; to them each phase is a run of its own, since its steps count from 1.

    Raises:
        RecipeError: a package is not installed, or does not know an option.
    """
    loggers: list[LoggerDestination] = []
    for number, recorder in enumerate(recipe.loggers):
        name = recorder.use
        if find_spec(name) is None:
            raise RecipeError(f"loggers.{number}: {name} needs the package {name} (pip install {name})")
        options: dict[str, Any] = dict(recorder.options)
        if name == "tensorboard":
            options = {"log_dir": str(run.logs / "tensorboard" / phase), "flush_interval": 20} | options
        elif name == "wandb":
            options = {"project": recipe.name, "name": f"{recipe.name}-{phase}"} | options
        else:
            options = {"experiment_name": recipe.name, "run_name": f"{recipe.name}-{phase}"} | options
        try:
            loggers.append(_CLASSES[name](**options))
        except TypeError as error:
            raise RecipeError(f"loggers.{number}: {name} does not take these options: {error}") from None
    return loggers
