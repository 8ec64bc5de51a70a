"""Exports a checkpoint of a run, at any step, as a Hugging Face model."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from rexplug.checksums import record_checksums, require_intact
from rexplug.errors import DataError
from rexplug.pipeline.run_folder import run_outputs
from rexplug.run_directory import RunDirectory, repair_hint

_TEXTS = 8
"""Held-out texts on which the logits are compared."""
PARITY = "parity.json"
"""The file in every export that records the comparison of its logits with the checkpoint's."""


def export_checkpoint(
    root: Path, checkpoint: str | None, target: Path | None, *, onnx: bool = False
) -> tuple[Path, dict[str, Any]]:
    """Export a checkpoint and compare the logits of the export with those of the checkpoint.

    Args:
        root: the run directory.
        checkpoint: `PHASE`, `PHASE/STEP`, or None for the newest one.
        target: the folder to write; `exports/PHASE-STEP` in the run directory if None.
        onnx: write an ONNX file too.

    Returns:
        the folder, and the comparison of the logits (the contents of `parity.json`).

    Raises:
        DataError: the run or the checkpoint does not exist or is damaged, or the logits differ.
    """
    from rexplug.document_files import read_documents
    from rexplug.model.export import export, export_onnx

    run = RunDirectory(root)
    source = find_checkpoint(run, checkpoint)
    target = target or root / "exports" / f"{source.parent.name}-{source.name.removeprefix('step-').lstrip('0') or '0'}"
    require_free(target, run)
    held_out = sorted(run.corpus.glob("*/held_out"))
    if not (run.tokenizer / "tokenizer.json").is_file():
        raise DataError(
            f"{run.tokenizer / 'tokenizer.json'} is missing; {repair_hint(run.tokenizer / 'tokenizer.json')}"
        )
    require_intact(source, f"export another checkpoint, or train it again (--from train.{source.parent.name})")
    require_intact(run.tokenizer, "--from tokenize makes it, and all that depends on it, again")
    texts = [document.text for folder in held_out for document in islice(read_documents(folder), _TEXTS)]
    longest = longest_context(run, source.parent.name)
    parity = export(source, run.tokenizer, target, sample_texts=texts[:_TEXTS], longest=longest)
    if onnx:
        export_onnx(target, sample_texts=texts[:_TEXTS])
    record_checksums(target, leave_out=["README.md"])
    return target, parity


def require_free(target: Path, run: RunDirectory) -> None:
    """Refuse to overwrite anything but an empty folder or an earlier export.

    Raises:
        DataError: the target is something else, or is among the files that the run itself writes.
    """
    place = target.resolve()
    inside = any(place.is_relative_to(path.resolve()) for path in run_outputs(run))
    if inside or run.root.resolve().is_relative_to(place):
        raise DataError(f"--to {target}: the run itself keeps its files there; give another folder")
    if target.exists() and not target.is_dir():
        raise DataError(f"--to {target}: this is a file; give the folder to write")
    if target.is_dir() and any(target.iterdir()) and not (target / PARITY).is_file():
        raise DataError(
            f"--to {target}: the folder is not empty and is not an earlier export (it has no {PARITY}), so that nothing in it was "
            "replaced; give another folder"
        )


def longest_context(run: RunDirectory, phase: str) -> int | None:
    """The longest context that a model trained from scratch has seen at the end of a phase; None if its config says so.

    The config of a model trained from scratch has the longest context of all phases, later ones included.

    Raises:
        DataError: the run's recipe is damaged.
    """
    if not run.recipe.exists():
        return None
    try:
        recipe = yaml.safe_load(run.recipe.read_text(encoding="utf-8"))
        contexts = {entry["name"]: int(entry["context"]) for entry in recipe["phases"]}
        from_checkpoint = recipe["model"].get("from") is not None
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise DataError(
            f"{run.recipe} is not the recipe of a run; the run writes it again when it is continued"
        ) from None
    if from_checkpoint or phase not in contexts:
        return None
    return max(list(contexts.values())[: list(contexts).index(phase) + 1])


def find_checkpoint(run: RunDirectory, name: str | None) -> Path:
    """The folder of the checkpoint `PHASE`, `PHASE/STEP`, or of the newest one if `name` is None.

    Raises:
        DataError: it does not exist; the message lists those that do.
    """
    states = sorted(run.checkpoints.glob("*/state.json"), key=lambda path: path.stat().st_mtime)
    states += sorted(run.checkpoints.glob("*/*/state.json"), key=lambda path: path.stat().st_mtime)
    folders = [path.parent for path in states]
    if not folders:
        raise DataError(f"{run.root} has no checkpoint; is it the directory of a run that has trained?")
    if name is None:
        return folders[-1]
    phase, _, step = name.partition("/")
    of_phase = [path for path in folders if path.parent.name == phase]
    matching = [path for path in of_phase if not step or path.name in (step, f"step-{step:0>9}")]
    if not matching:
        known = ", ".join(f"{path.parent.name}/{path.name.removeprefix('step-').lstrip('0')}" for path in folders)
        raise DataError(f"--checkpoint {name}: unknown checkpoint; the run has {known}")
    return matching[-1]
