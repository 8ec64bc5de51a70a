"""What the files of a checkpoint say before it is loaded. No torch, so that `check` finds problems before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rexplug.checksums import require_as_written
from rexplug.errors import DataError
from rexplug.model.checkpoint.fit import compare
from rexplug.model.checkpoint.header import stored_weights
from rexplug.model.config_file import ConfigFile, SpecialIds
from rexplug.model.family import FAMILIES

_NOT_LOADED = ("optimizer.pt", "state.json", "parity.json")


@dataclass(frozen=True)
class Inspection:
    """What the files of a checkpoint say: problems, and weights that would be drawn at random."""

    problems: Sequence[str]
    new_weights: tuple[str, ...] = ()
    config: ConfigFile | None = None


def inspect_checkpoint(folder: Path, *, weights: bool = True, encoder_only: bool = False) -> Inspection:
    """Check config.json and the headers of the weights in a folder.

    Pickled weights (pytorch_model.bin) have no header: they are checked when they are loaded.

    Args:
        folder: the checkpoint.
        weights: whether the weights are checked too.
        encoder_only: whether the file may also hold heads of any kind, which are not used.
    """
    try:
        config = ConfigFile.read(folder / "config.json")
    except DataError as error:
        return Inspection([str(error)])
    if not config.is_supported:
        return Inspection([f"is a {config.model_type} model"], config=config)
    problems = config.problems()
    if problems or not weights:
        return Inspection(problems, config=config)
    try:
        stored = stored_weights(folder)
    except DataError as error:
        return Inspection([str(error)], config=config)
    if stored is None:
        return Inspection([], config=config)
    fit = compare(config, stored, encoder_only=encoder_only)
    return Inspection([] if fit.problem is None else [fit.problem], fit.new_weights, config)


def evaluation_problem(folder: Path, *, random: bool = False) -> str | None:
    """Why a model in a folder cannot be evaluated, as far as its files say; with `random` its weights are not read.

    Models of the families that rexplug trains are inspected; of others only whether the files are complete.
    """
    if not (folder / "config.json").is_file():
        return "the folder holds no config.json"
    inspection = inspect_checkpoint(folder, weights=not random, encoder_only=True)
    if inspection.config is None or inspection.config.is_supported:
        return inspection.problems[0] if inspection.problems else None
    try:
        if not random:
            stored_weights(folder)
    except DataError as error:
        return str(error)
    return None


def tokenizer_problems(name: str, config: ConfigFile, special: SpecialIds, *, resize: bool) -> list[str]:
    """Why a checkpoint does not fit a tokenizer: too few embeddings, or other ids of special tokens."""
    rows, tokens = config.rows, special.vocabulary_size
    if rows < tokens and not resize:
        return [
            f"model.from: '{name}' has {rows} embeddings, but the tokenizer has {tokens} "
            f"tokens; use the checkpoint's own tokenizer (tokenizer: {{from: {name}}}), or add rows for new tokens "
            "with model.resize_vocabulary: true"
        ]
    if resize and rows >= tokens:
        return [
            f"model.resize_vocabulary: '{name}' has {rows} embeddings already and the tokenizer {tokens} tokens; leave it out"
        ]
    # mmBERT's config.json gives the id of [SEP] as that of [CLS], and the one that its tokenizer puts first as bos_token_id.
    first = special.cls in (config.stated.get("cls_token_id"), config.stated.get("bos_token_id"))
    return [
        f"model.from: '{name}' knows [{role.upper()}] as {config[key]}, but the tokenizer as {getattr(special, role)}; "
        f"use the checkpoint's own tokenizer (tokenizer: {{from: {name}}})"
        for role, key in (("cls", "cls_token_id"), ("sep", "sep_token_id"), ("pad", "pad_token_id"))
        if config.stated.get(key) is not None and config.stated[key] != getattr(special, role)
        if role != "cls" or not first
    ]


def start_problems(name: str, inspection: Inspection) -> list[str]:
    """Why training cannot start from an inspected checkpoint."""
    config = inspection.config
    if config is not None and not config.is_supported:
        supported = " and ".join(f"{family.title}-family" for family in FAMILIES.values())
        return [f"model.from: '{name}' is a {config.model_type} model; only {supported} checkpoints are supported"]
    problems = inspection.problems or (config.not_honoured() if config is not None else ())
    return [f"model.from: '{name}': {problem}" for problem in problems]


def require_unaltered(folder: Path) -> None:
    """Check that a checkpoint or exported model of a run is as the run wrote it; other folders have no checksums.

    Raises:
        DataError: a file differs from its checksum.
    """
    # The optimizer state is not loaded, is larger than the weights, and is left out of most copies.
    require_as_written(folder, lambda name: name in _NOT_LOADED)
