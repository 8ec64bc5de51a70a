"""Stages: what they depend on, when they can be skipped, and what is cleared when they are redone."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rexplug.errors import RecipeError
from rexplug.pipeline.manifest import Manifest, differences, now, peak_memory_gib
from rexplug.progress import Progress

GROUPS = ("relevance", "curate", "tokenize", "train", "evaluate", "export", "report")
"""The stages as users name them; `train` and `evaluate` have one stage per phase (`train.pretrain`)."""


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    `inputs` is all that decides the outcome besides the stages it comes `after`; `outputs` are what it writes and
    what is cleared before it is redone; `work` does it and returns what the manifest keeps.
    """

    name: str
    inputs: Mapping[str, Any]
    work: Callable[[], Any]
    after: tuple[str, ...] = ()
    outputs: tuple[Path, ...] = ()
    clear: Callable[[], None] | None = field(default=None, compare=False)

    @property
    def group(self) -> str:
        """The name users know it by."""
        return self.name.split(".")[0]


def fingerprints(stages: Sequence[Stage]) -> dict[str, str]:
    """A hash per stage of its inputs and of the stages before it."""
    found: dict[str, str] = {}
    for stage in stages:
        text = json.dumps([stage.inputs, [found[name] for name in stage.after]], sort_keys=True, default=str)
        found[stage.name] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return found


def named(stages: Sequence[Stage], name: str, option: str) -> list[Stage]:
    """The stages that `name` means: one stage, or all of a group.

    Raises:
        RecipeError: there is none of that name.
    """
    found = [stage for stage in stages if name in (stage.name, stage.group)]
    if not found:
        known = ", ".join([*GROUPS, *(stage.name for stage in stages if "." in stage.name)])
        raise RecipeError(f"{option} {name}: there is no such stage; the stages are {known}")
    return found


def run_stages(
    stages: Sequence[Stage],
    manifest: Manifest,
    progress: Progress,
    *,
    until: str | None = None,
    from_: str | None = None,
) -> list[str]:
    """Run what is not done; returns the names of the stages that ran.

    A stage is skipped when it is done with the same fingerprint, its outputs are there and nothing before it ran
    again. One that was interrupted with the same fingerprint continues; any other start begins by clearing its outputs.
    """
    last = max(stages.index(stage) for stage in named(stages, until, "--until")) if until else len(stages) - 1
    forced = {stage.name for stage in named(stages, from_, "--from")} if from_ else set()
    current = fingerprints(stages)
    ran: list[str] = []
    for stage in stages[: last + 1]:
        known = manifest.stage(stage.name)
        same = known.get("fingerprint") == current[stage.name]
        redo = _reason(stage, known, same, forced, ran)
        if redo is None:
            progress.note(
                f"{stage.name}: done before ({_duration(known.get('seconds', 0.0))}), nothing it depends on changed"
            )
            continue
        continues = same and known.get("status") == "running" and stage.name not in forced
        if not continues:
            _clear(stage)
        progress.note(f"{stage.name}: {'continues where it was stopped' if continues else redo}")
        spent = known.get("seconds", 0.0) if continues else 0.0
        manifest.set_stage(
            stage.name,
            status="running",
            fingerprint=current[stage.name],
            inputs=dict(stage.inputs),
            started=now(),
            seconds=spent,
        )
        began = time.monotonic()
        try:
            result = stage.work()
        finally:
            spent += time.monotonic() - began
            manifest.set_stage(stage.name, seconds=round(spent, 2))
        manifest.set_stage(stage.name, status="done", finished=now(), result=result, peak_memory_gib=peak_memory_gib())
        ran.append(stage.name)
    return ran


def _reason(stage: Stage, known: Mapping[str, Any], same: bool, forced: set[str], ran: Sequence[str]) -> str | None:
    """Why the stage must run; None if it need not."""
    if stage.name in forced:
        return "runs again, as asked with --from"
    if not known:
        return "starts"
    if not same:
        changed = differences(known.get("inputs", {}), json.loads(json.dumps(stage.inputs, default=str)))
        if changed:
            more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
            return f"runs again, because of a change: {changed[0]}{more}"
        return "runs again, because a stage before it changed"
    if known.get("status") != "done":
        return "runs again, it was not finished"
    before = [name for name in stage.after if name in ran]
    if before:
        return f"runs again, because {before[0]} ran again"
    missing = [path for path in stage.outputs if not path.exists()]
    if missing:
        return f"runs again, because {missing[0]} is gone"
    return None


def _clear(stage: Stage) -> None:
    for path in stage.outputs:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if stage.clear is not None:
        stage.clear()


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
