"""Checkpoints: a Hugging Face folder plus optimizer and position, written in one step."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from rexplug.errors import DataError
from rexplug.model.build import save_model
from rexplug.run_directory import read_json, replacing, write_json

FINAL = "final"


@dataclass(frozen=True)
class State:
    """What a checkpoint knows besides weights and optimizer.

    `position` is the stream's; `tokens` and `total_tokens` are those of the phase and of all phases up to here. `grid`
    says whether it was made by `every_tokens`; `averaged` names the steps whose weights the checkpoint is the mean of;
    `due` says that the evaluators were about to run.
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


def write_checkpoint(folder: Path, model: Any, moments: dict[str, Any], state: State) -> Path:
    """Write a checkpoint in one step: the model, the optimizer's whole `state_dict`, the rest. Returns its folder."""
    with replacing(folder) as temporary:
        save_model(model, temporary)
        torch.save(moments, temporary / "optimizer.pt")
        write_json(temporary / "state.json", asdict(state))
    return folder


def read_state(folder: Path) -> State:
    """The state of a checkpoint.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return State(**read_json(folder / "state.json"))
    except TypeError:
        raise DataError(f"{folder / 'state.json'} was written by another version of rexplug") from None


def read_optimizer(folder: Path) -> dict[str, Any]:
    """The optimizer's state; nothing but tensors and numbers is unpickled.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        loaded: dict[str, Any] = torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(f"{folder / 'optimizer.pt'} cannot be read: {str(error).splitlines()[0]}") from None
    return loaded


def newest(folder: Path) -> Path | None:
    """The newest checkpoint of a phase that can be read: the final one, else the one after most steps.

    A checkpoint that a crash of the machine cut short is passed over; a killed process leaves none such.
    """
    found = [path for path in [folder / FINAL, *sorted(folder.glob("step-*"), reverse=True)] if path.is_dir()]
    return next((path for path in found if _readable(path)), None)


def _readable(folder: Path) -> bool:
    try:
        read_state(folder)
        read_optimizer(folder)
        with safe_open(folder / "model.safetensors", "pt") as file:
            return bool(file.keys())
    except (DataError, OSError, SafetensorError):
        return False


def clear_leftovers(folder: Path) -> None:
    """Remove what a killed process had begun to write."""
    for path in [*folder.glob(".tmp-*"), *folder.glob(".old-*")]:
        shutil.rmtree(path)


def step_folder(folder: Path, step: int) -> Path:
    """Where the checkpoint after `step` lies."""
    return folder / f"step-{step:09d}"
