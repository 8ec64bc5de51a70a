"""A checkpoint of a run, at any step, as a Hugging Face model."""

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
PARITY = "parity.json"
"""The proof that lies in every export."""


def export_checkpoint(
    root: Path, checkpoint: str | None, target: Path | None, *, onnx: bool = False
) -> tuple[Path, dict[str, Any]]:
    """Export `PHASE`, `PHASE/STEP` or, if None, the last phase that has a checkpoint; returns the folder and the proof.

    Raises:
        DataError: there is no such run or checkpoint, or the proof fails.
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
    """Refuse to write over anything but an empty folder or an earlier export.

    Raises:
        DataError: the target is something else, or lies in what the run itself writes.
    """
    place = target.resolve()
    if any(place.is_relative_to(path.resolve()) for path in run_outputs(run)) or run.root.resolve().is_relative_to(
        place
    ):
        raise DataError(f"--to {target}: the run itself keeps its files there; give another folder")
    if target.exists() and not target.is_dir():
        raise DataError(f"--to {target}: this is a file; give the folder to write")
    if target.is_dir() and any(target.iterdir()) and not (target / PARITY).is_file():
        raise DataError(
            f"--to {target}: the folder is not empty and is no earlier export (it has no {PARITY}), so that nothing in it was "
            "replaced; give another folder"
        )


def longest_context(run: RunDirectory, phase: str) -> int | None:
    """The longest context up to a phase of a model trained from scratch; None where the model's config says it.

    The config already has room for the contexts of later phases, which this checkpoint has not seen.
    """
    if not run.recipe.exists():
        return None
    try:
        recipe = yaml.safe_load(run.recipe.read_text(encoding="utf-8"))
        contexts = {each["name"]: int(each["context"]) for each in recipe["phases"]}
        started = recipe["model"].get("from") is not None
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise DataError(
            f"{run.recipe} is not the recipe of a run; the run writes it again when it is continued"
        ) from None
    if started or phase not in contexts:
        return None
    return max(list(contexts.values())[: list(contexts).index(phase) + 1])


def find_checkpoint(run: RunDirectory, name: str | None) -> Path:
    """The folder of `PHASE`, `PHASE/STEP`, or of the newest checkpoint.

    Raises:
        DataError: there is none; the message lists those that exist.
    """
    found = sorted(run.checkpoints.glob("*/state.json"), key=lambda path: path.stat().st_mtime)
    found += sorted(run.checkpoints.glob("*/*/state.json"), key=lambda path: path.stat().st_mtime)
    folders = [path.parent for path in found]
    if not folders:
        raise DataError(f"{run.root} has no checkpoint; is it the folder of a run that has trained?")
    if name is None:
        return folders[-1]
    phase, _, step = name.partition("/")
    of_phase = [path for path in folders if path.parent.name == phase]
    wanted = [path for path in of_phase if not step or path.name in (step, f"step-{step:0>9}")]
    if not wanted:
        known = ", ".join(f"{path.parent.name}/{path.name.removeprefix('step-').lstrip('0')}" for path in folders)
        raise DataError(f"--checkpoint {name}: there is no such checkpoint; the run has {known}")
    return wanted[-1]
