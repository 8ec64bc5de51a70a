"""Reads and writes checkpoints: a Hugging Face folder with the optimizer's state and the position in the stream beside it."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from rexplug.batches import Position
from rexplug.checksums import folder_problems, record_checksums
from rexplug.errors import DataError
from rexplug.io.atomic import replacing, write_json
from rexplug.model.build import save_model
from rexplug.run_directory import read_json

FINAL = "final"


_KEYS = {"smoothed": "figures", "on_token_grid": "grid", "evaluation_due": "due"}
"""Fields of `CheckpointState` whose keys in state.json differ from their names."""


@dataclass(frozen=True)
class CheckpointState:
    """What a checkpoint holds besides weights and optimizer: the content of its state.json."""

    phase: str
    step: int
    tokens: int
    """Tokens that the phase has trained on."""
    total_tokens: int
    """Tokens of this phase and of those before it."""
    seconds: float
    """Seconds that the phase has trained."""
    position: dict[str, Any]
    """Position of the stream, as `Position.to_json` returns it."""
    optimizer: str
    decayed: bool = False
    """Whether the learning rate has decayed to the end of the phase's schedule."""
    smoothed: dict[str, float] = field(default_factory=dict)
    """Smoothed loss and accuracy."""
    on_token_grid: bool = False
    """Whether it was saved because of `checkpoints.every_tokens`."""
    averaged: list[int] = field(default_factory=list)
    """Steps whose weights were averaged into it; empty if none were."""
    evaluation_due: bool = False
    """Whether the evaluators were about to run."""
    learning_rate: float | None = None
    """Learning rate of the next step."""
    shares: dict[str, float] = field(default_factory=dict)
    """Share of each source in the next batch."""

    def to_json(self) -> dict[str, Any]:
        """The content of state.json."""
        return {_KEYS.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> CheckpointState:
        """The state that `to_json` wrote.

        Raises:
            TypeError: a key is missing or unknown.
        """
        names = {key: name for name, key in _KEYS.items()}
        return cls(**{names.get(key, key): value for key, value in content.items()})


def write_checkpoint(folder: Path, model: Any, optimizer: dict[str, Any], state: CheckpointState) -> None:
    """Write a checkpoint atomically: the model, the optimizer's full `state_dict`, and state.json."""
    with replacing(folder) as temporary:
        save_model(model, temporary)
        torch.save(optimizer, temporary / "optimizer.pt")
        write_json(temporary / "state.json", state.to_json())
        record_checksums(temporary)


def read_state(folder: Path) -> CheckpointState:
    """The state of a checkpoint.

    Raises:
        DataError: it cannot be read.
    """
    path = folder / "state.json"
    try:
        state = CheckpointState.from_json(read_json(path))
    except (TypeError, AttributeError):
        raise DataError(f"{path} was written by another version of rexplug, or is damaged") from None
    for name, kind in (
        ("phase", str),
        ("step", int),
        ("tokens", int),
        ("position", dict),
        ("optimizer", str),
        ("smoothed", dict),
    ):
        if not isinstance(getattr(state, name), kind):
            raise DataError(f"{path} is damaged: {_KEYS.get(name, name)} is {getattr(state, name)!r}")
    try:
        Position.from_json(state.position)
    except (TypeError, ValueError, LookupError, AttributeError):
        raise DataError(f"{path} is damaged: position is {str(state.position)[:60]}") from None
    return state


def read_optimizer(folder: Path) -> dict[str, Any]:
    """The optimizer's `state_dict`; nothing but tensors and numbers is unpickled.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        loaded: dict[str, Any] = torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{folder / 'optimizer.pt'} cannot be read: {reason}") from None
    if not isinstance(loaded, dict) or not {"state", "param_groups"} <= set(loaded):
        raise DataError(f"{folder / 'optimizer.pt'} does not hold the state of an optimizer")
    return loaded


def newest(folder: Path, warn: Callable[[str], None] = lambda line: None) -> Path | None:
    """The newest intact checkpoint of a phase: the final one, else the one of the highest step.

    One that a crash of the machine cut short, or that was changed since, is skipped with a call of `warn`; a killed process
    leaves none of that kind.
    """
    candidates = [path for path in [folder / FINAL, *sorted(folder.glob("step-*"), reverse=True)] if path.is_dir()]
    for path in candidates:
        problem = _problem(path)
        if problem is None:
            return path
        warn(f"  warning: a checkpoint is skipped: {problem}")
    return None


def _problem(folder: Path) -> str | None:
    """Why a checkpoint cannot be resumed from."""
    for problem in folder_problems(folder):
        return problem
    try:
        read_state(folder)
        read_optimizer(folder)
        with safe_open(folder / "model.safetensors", "pt") as file:
            return None if file.keys() else f"{folder / 'model.safetensors'} holds no weights"
    except DataError as error:
        return str(error)
    except (OSError, SafetensorError) as error:
        return f"{folder / 'model.safetensors'} cannot be read: {error}"


def remove_unfinished(folder: Path) -> None:
    """Remove the temporary files and folders of a killed process."""
    for path in [*folder.glob(".tmp-*"), *folder.glob(".old-*")]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def step_folder(folder: Path, step: int) -> Path:
    """The folder of the checkpoint after `step`."""
    return folder / f"step-{step:09d}"
