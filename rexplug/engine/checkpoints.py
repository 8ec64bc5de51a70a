"""Checkpoints: a Hugging Face folder plus optimizer and position, written in one step."""

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


@dataclass(frozen=True)
class State:
    """What a checkpoint knows besides weights and optimizer.

    `position` is the stream's; `tokens` and `total_tokens` are those of the phase and of all phases up to here. `grid`
    says whether it was made by `every_tokens`; `averaged` names the steps whose weights the checkpoint is the mean of;
    `due` says that the evaluators were about to run; `learning_rate` and `shares` are those that the next step would have.
    """

    phase: str
    step: int
    tokens: int
    total_tokens: int
    seconds: float
    position: dict[str, Any]
    optimizer: str
    decayed: bool = False
    figures: dict[str, float] = field(default_factory=dict)
    grid: bool = False
    averaged: list[int] = field(default_factory=list)
    due: bool = False
    learning_rate: float | None = None
    shares: dict[str, float] = field(default_factory=dict)


def write_checkpoint(folder: Path, model: Any, moments: dict[str, Any], state: State) -> Path:
    """Write a checkpoint in one step: the model, the optimizer's whole `state_dict`, the rest. Returns its folder."""
    with replacing(folder) as temporary:
        save_model(model, temporary)
        torch.save(moments, temporary / "optimizer.pt")
        write_json(temporary / "state.json", asdict(state))
        record_checksums(temporary)
    return folder


def read_state(folder: Path) -> State:
    """The state of a checkpoint.

    Raises:
        DataError: it cannot be read.
    """
    path = folder / "state.json"
    try:
        state = State(**read_json(path))
    except TypeError:
        raise DataError(f"{path} was written by another version of rexplug, or is damaged") from None
    for field_, kind in (
        ("phase", str),
        ("step", int),
        ("tokens", int),
        ("position", dict),
        ("optimizer", str),
        ("figures", dict),
    ):
        if not isinstance(getattr(state, field_), kind):
            raise DataError(f"{path} is damaged: {field_} is {getattr(state, field_)!r}")
    try:
        Position.from_json(state.position)
    except (TypeError, ValueError, LookupError, AttributeError):
        raise DataError(f"{path} is damaged: position is {str(state.position)[:60]}") from None
    return state


def read_optimizer(folder: Path) -> dict[str, Any]:
    """The optimizer's state; nothing but tensors and numbers is unpickled.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        loaded: dict[str, Any] = torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{folder / 'optimizer.pt'} cannot be read: {reason}") from None
    if not isinstance(loaded, dict) or not {"state", "param_groups"} <= set(loaded):
        raise DataError(f"{folder / 'optimizer.pt'} holds no optimizer's state")
    return loaded


def newest(folder: Path, say: Callable[[str], None] = lambda line: None) -> Path | None:
    """The newest checkpoint of a phase that is whole: the final one, else the one after most steps.

    One that a crash of the machine cut short, or that was altered since, is passed over, and `say` is told; a killed process
    leaves none such.
    """
    found = [path for path in [folder / FINAL, *sorted(folder.glob("step-*"), reverse=True)] if path.is_dir()]
    for path in found:
        problem = _problem(path)
        if problem is None:
            return path
        say(f"  warning: a checkpoint is passed over: {problem}")
    return None


def _problem(folder: Path) -> str | None:
    """Why a checkpoint cannot be gone on from."""
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


def clear_leftovers(folder: Path) -> None:
    """Remove what a killed process had begun to write."""
    for path in [*folder.glob(".tmp-*"), *folder.glob(".old-*")]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def step_folder(folder: Path, step: int) -> Path:
    """Where the checkpoint after `step` lies."""
    return folder / f"step-{step:09d}"
