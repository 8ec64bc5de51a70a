"""Runs the stages that are not done: skips, resumes, repeats or reuses results of other runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from rexplug.checksums import file_entry
from rexplug.errors import DataError, RankLost, RecipeError, RexplugError, RunInterrupted, full_disk
from rexplug.pipeline.manifest import Manifest, now, peak_memory_gib
from rexplug.pipeline.protection import TrainingProtection
from rexplug.pipeline.reuse import find_donor, reuse_outputs
from rexplug.pipeline.stage_changes import (
    allowed_changes,
    describe_change,
    duration,
    kept_despite_code_change,
    mark_dependents_stale,
    mark_outdated,
    rerun_reason,
)
from rexplug.pipeline.stages import Incomplete, Stage, StageObserver, fingerprints, stages_named
from rexplug.progress import Progress
from rexplug.run_directory import RunDirectory


def run_stages(
    stages: Sequence[Stage],
    manifest: Manifest,
    progress: Progress,
    *,
    until: str | None = None,
    from_: str | None = None,
    siblings: Sequence[RunDirectory] = (),
    allow: Sequence[str] = (),
    watch: StageObserver | None = None,
    begin: Callable[[], None] | None = None,
) -> list[str]:
    """Run the stages that are not done; returns the names of those that ran.

    A stage is skipped when it is done with the same fingerprint, its outputs exist and no stage before it ran again. A stage
    that was interrupted resumes if its fingerprint is the same; otherwise its outputs are removed and it starts from scratch.
    A precious stage that is half done, or took long, is never cleared because the recipe changed or because a file before it
    is missing: the start is refused.

    Args:
        stages: the stages, each after those it depends on.
        manifest: what is recorded of them; updated as they run.
        progress: receives which stage runs, and why.
        until: the last stage, or group of stages, to run.
        from_: a stage, or group, to redo whatever is recorded.
        siblings: runs whose results are reused (as hard links) where the fingerprint is the same.
        allow: recipe keys, and plugins as `plugins.legal`, that may have changed: stages continue, or stay done, with them.
        watch: notified when a stage starts from scratch and when it is done.
        begin: called once it is certain that the run may start, before anything is changed.

    Raises:
        RecipeError: a precious stage would be cleared, or `until` or `from_` does not name a stage, or
            `from_` comes after `until`.
        DataError: the code of a plugin changed while a stage ran, or the disk is full.
        Incomplete: optional stages failed; all others are done.
    """
    last = max(stages.index(stage) for stage in stages_named(stages, until, "--until")) if until else len(stages) - 1
    forced = {stage.name for stage in stages_named(stages, from_, "--from")} if from_ else set()
    if forced and not forced & {stage.name for stage in stages[: last + 1]}:
        raise RecipeError(f"--from {from_}: comes after --until {until}, so that nothing would be done again")
    current = fingerprints(stages)
    kept = kept_despite_code_change(stages, manifest, current, allow)
    TrainingProtection(stages[: last + 1], manifest, current, forced, allow, siblings, kept).require_safe()
    if begin is not None:
        begin()
    for stage in (stage for stage in stages if stage.name in kept and stage.name not in forced):
        progress.note(f"{stage.name}: kept although {describe_change(kept[stage.name])}, as --allow-change says")
        manifest.set_stage(stage.name, fingerprint=current[stage.name], inputs=dict(stage.inputs))
    mark_outdated(stages, manifest, current, allow)
    runner = _Runner(stages, manifest, progress, current, forced, siblings, allow, watch)
    for stage in stages[: last + 1]:
        runner.run_if_needed(stage)
    if runner.failed:
        raise _incomplete(runner.failed)
    return runner.ran


@dataclass
class _Runner:
    """One call of `run_stages`: its settings, and which stages ran or failed so far."""

    stages: Sequence[Stage]
    manifest: Manifest
    progress: Progress
    current: Mapping[str, str]
    forced: set[str]
    siblings: Sequence[RunDirectory]
    allow: Sequence[str]
    watch: StageObserver | None
    ran: list[str] = field(default_factory=list)
    failed: list[tuple[Stage, Exception]] = field(default_factory=list)

    def run_if_needed(self, stage: Stage) -> None:
        """Skip the stage, take it over, resume it or run it from scratch."""
        recorded, fingerprint = self.manifest.stage(stage.name), self.current[stage.name]
        reason = rerun_reason(stage, recorded, fingerprint, self.forced, self.ran)
        if reason is None:
            spent = duration(recorded.get("seconds", 0.0))
            self.progress.note(f"{stage.name}: done before ({spent}), nothing it depends on changed")
            return
        resumes = self._resume_reason(stage, recorded)
        if resumes is None and stage.name not in self.forced:
            donor = find_donor(stage, fingerprint, self.manifest, self.siblings)
            if donor is not None:
                reuse_outputs(stage, donor, self.manifest, fingerprint)
                self.progress.note(f"{stage.name}: reused from {donor.run.root}")
                return
        self.progress.note(f"{stage.name}: {resumes or reason}")
        if resumes is None:
            stage.remove_outputs()
            mark_dependents_stale(stage, self.stages, self.manifest)
            if self.watch is not None:
                self.watch.before(stage.name)
        self._run(stage, spent=recorded.get("seconds", 0.0) if resumes else 0.0, resumed=resumes is not None)
        self.ran.append(stage.name)

    def _resume_reason(self, stage: Stage, recorded: Mapping[str, Any]) -> str | None:
        """How a stage resumes, as a clause for the progress log; None if it starts from scratch."""
        if stage.name in self.forced:
            return None
        if allowed := allowed_changes(stage, recorded, self.allow):
            return f"continues with a change: {', '.join(allowed)}"
        if recorded.get("fingerprint") != self.current[stage.name]:
            return None
        return {"failed": "tries again what failed", "running": "continues where it was stopped"}.get(
            recorded.get("status", "")
        )

    def _run(self, stage: Stage, *, spent: float, resumed: bool) -> None:
        """Do the work of a stage and record the outcome; `spent` are the seconds of earlier, interrupted attempts."""
        name, record = stage.name, self.manifest.set_stage
        record(
            name, status="running", fingerprint=self.current[name], inputs=dict(stage.inputs), started=now(),
            seconds=spent, stale=None,
        )  # fmt: skip
        began = time.monotonic()
        try:
            result = stage.work()
            self._require_same_code(stage)
        except (RunInterrupted, RankLost):
            raise
        except Exception as error:
            if (reason := full_disk(error)) is not None:
                raise DataError(
                    f"{name}: the disk is full ({reason}); make room, and the same command resumes from there"
                ) from None
            if not stage.optional:
                raise
            self.failed.append((stage, error))
            record(name, status="failed", finished=now(), error=_message(error), result=getattr(error, "results", None))
            self.progress.note(f"{name}: failed, and the run continues without it: {_message(error)}")
            return
        finally:
            spent += time.monotonic() - began
            with suppress(OSError):  # on a full disk run.json keeps what it says
                record(name, seconds=round(spent, 2))
        peak = peak_memory_gib()
        files = _checksums(stage, self.manifest.run)
        record(name, status="done", finished=now(), result=result, peak_memory_gib=peak, error=None, files=files)
        if self.watch is not None and not resumed:
            self.watch.after(name, spent, peak, result)

    def _require_same_code(self, stage: Stage) -> None:
        """Check that plugins did not change while a stage ran: worker processes read their code when they start.

        Raises:
            DataError: they did, and the stage's output may come from two versions of the code.
        """
        before = stage.inputs.get("plugins", {})
        after = before if stage.code is None else stage.code()
        changed = [name for name in before if after.get(name) != before[name]]
        if not changed:
            return
        what = f"the code of plugin '{changed[0]}' changed while {stage.name} ran"
        if stage.precious:  # a single process, which imported the plugin before the change
            self.progress.note(f"  note: {what}; it ran with the code that it began with")
            return
        self.manifest.set_stage(stage.name, fingerprint="mixed")
        raise DataError(
            f"{what}, so that some of what it made may come from other code; the same command does it again"
        )


def _checksums(stage: Stage, run: RunDirectory) -> dict[str, Any]:
    """Path below the run directory -> size and checksum, for the files that the manifest keeps checksums of."""
    files = {path for place in stage.recorded for path in (place.rglob("*") if place.is_dir() else (place,))}
    return {path.relative_to(run.root).as_posix(): file_entry(path) for path in sorted(files) if path.is_file()}


def _message(error: Exception) -> str:
    return str(error) if isinstance(error, RexplugError) else f"{type(error).__name__}: {error}"


def _incomplete(failed: Sequence[tuple[Stage, Exception]]) -> Exception:
    """The error that ends a run whose optional stages failed; an internal error keeps its traceback."""
    internal = next((error for _, error in failed if not isinstance(error, RexplugError)), None)
    if internal is not None:
        return internal
    lines = [f"  {stage.name}: {_message(error)}" for stage, error in failed]
    return Incomplete(
        "everything else is done and kept, but these failed; the same command tries them again:\n" + "\n".join(lines)
    )
