"""Stages: what they depend on, when they can be skipped, and what is cleared when they are redone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from rexplug.checksums import file_entry
from rexplug.errors import DataError, RankLost, RecipeError, RexplugError, RunInterrupted, full_disk
from rexplug.io.atomic import remove, replacing
from rexplug.pipeline.manifest import Manifest, differences, now, peak_memory_gib
from rexplug.progress import Progress
from rexplug.run_directory import RunDirectory

GROUPS = ("relevance", "curate", "tokenize", "train", "evaluate", "export", "report")
"""The stages as users name them; `train` and `evaluate` have one stage per phase (`train.pretrain`)."""


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    `precious` stages are not thrown away for a change of the recipe: it is refused, see `run_stages`.
    `inputs` is all that decides the outcome besides the stages it comes `after`; `outputs` are what it writes and
    what is cleared before it is redone; `work` does it and returns what the manifest keeps.
    """

    name: str
    inputs: Mapping[str, Any]
    work: Callable[[], Any]
    after: tuple[str, ...] = ()
    outputs: tuple[Path, ...] = ()
    clear: Callable[[], None] | None = field(default=None, compare=False)
    adopt: Callable[[RunDirectory], None] | None = field(default=None, compare=False)
    """Takes over what the stage of another run left outside its outputs."""
    precious: bool = False
    code: Callable[[], Mapping[str, str]] | None = field(default=None, compare=False)
    """Reads anew what `inputs` has under `plugins`: the code of the plugins that take part."""
    optional: bool = False
    """Its failure does not keep later stages from running; the run says at its end that it is incomplete."""
    recorded: tuple[Path, ...] = ()
    """Files, and folders of files, that lie in no folder with checksums of its own: the manifest keeps theirs."""

    @property
    def key(self) -> str:
        """Where the recipe holds its options: `phases.anneal` for `train.anneal`."""
        return f"phases.{self.name.split('.')[-1]}"

    @property
    def group(self) -> str:
        """The name users know it by."""
        return self.name.split(".")[0]


class Incomplete(DataError):
    """A run went to its end, but some of its evaluations failed."""


class Watch(Protocol):
    """Is told when a stage begins and when it is done; not of those that continue or are taken over."""

    def before(self, stage: str) -> None:
        """A stage begins."""

    def after(self, stage: str, seconds: float, memory_gib: float, result: Any) -> None:
        """It is done: the seconds that it took, the process's peak memory so far, and what it returned."""


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
    siblings: Sequence[RunDirectory] = (),
    allow: Sequence[str] = (),
    watch: Watch | None = None,
    begin: Callable[[], None] | None = None,
) -> list[str]:
    """Run what is not done; returns the names of the stages that ran.

    A stage is skipped when it is done with the same fingerprint, its outputs are there and nothing before it ran
    again. One that was interrupted with the same fingerprint continues; any other start begins by clearing its outputs.
    What one of `siblings` did with the same fingerprint is taken over (as hard links) instead of being done again.
    A precious stage that is half done, or took long, is not cleared because the recipe changed, or because what came
    before it is gone: keys named in `allow` may have changed and it goes on with their new values, `from_` does it again.
    A stage whose plugins' code changed since is done again, unless `allow` names the plugin (`plugins.legal`). `begin` is
    called once it is known that the run may start, before anything is changed; `watch` is told of stages that run.

    Raises:
        RecipeError: a precious stage would be cleared, or `until` or `from_` is no stage.
        DataError: the code of a plugin changed while a stage ran, or the disk is full.
        Incomplete: optional stages failed; all others were done.
    """
    last = max(stages.index(stage) for stage in named(stages, until, "--until")) if until else len(stages) - 1
    forced = {stage.name for stage in named(stages, from_, "--from")} if from_ else set()
    current = fingerprints(stages)
    kept = _kept_with_other_code(stages, manifest, current, allow)
    _protect(stages[: last + 1], manifest, current, forced, allow, siblings, kept)
    if begin is not None:
        begin()
    for stage in (stage for stage in stages if stage.name in kept and stage.name not in forced):
        progress.note(f"{stage.name}: kept although {_told(kept[stage.name])}, as --allow-change says")
        manifest.set_stage(stage.name, fingerprint=current[stage.name], inputs=dict(stage.inputs))
    _mark_stale(stages, manifest, current, allow)
    ran: list[str] = []
    failed: list[tuple[Stage, Exception]] = []
    for stage in stages[: last + 1]:
        known = manifest.stage(stage.name)
        allowed = _allowed(stage, known, allow)
        same = known.get("fingerprint") == current[stage.name]
        redo = _reason(stage, known, same, forced, ran)
        if redo is None:
            progress.note(
                f"{stage.name}: done before ({_duration(known.get('seconds', 0.0))}), nothing it depends on changed"
            )
            continue
        begun = known.get("status") in ("running", "failed")
        continues = ((same and begun) or bool(allowed)) and stage.name not in forced
        donor = None if continues or stage.name in forced else _donor(stage, current[stage.name], manifest, siblings)
        if donor is not None:
            _take_over(stage, donor, manifest, current[stage.name])
            progress.note(f"{stage.name}: taken over from {donor.run.root}")
            continue
        goes_on = "tries again what failed" if known.get("status") == "failed" else "continues where it was stopped"
        goes_on = f"goes on with a change: {', '.join(allowed)}" if allowed else goes_on
        progress.note(f"{stage.name}: {goes_on if continues else redo}")
        if not continues:
            _clear(stage)
            _forget_measurements(stage, stages, manifest)
        spent = known.get("seconds", 0.0) if continues else 0.0
        if watch is not None and not continues:
            watch.before(stage.name)
        manifest.set_stage(
            stage.name,
            status="running",
            fingerprint=current[stage.name],
            inputs=dict(stage.inputs),
            started=now(),
            seconds=spent,
            stale=None,
        )
        began = time.monotonic()
        try:
            result = stage.work()
            _check_code(stage, manifest, progress)
        except (RunInterrupted, RankLost):
            raise
        except Exception as error:
            if (reason := full_disk(error)) is not None:
                raise DataError(
                    f"{stage.name}: the disk is full ({reason}); make room, and the same command goes on from there"
                ) from None
            if not stage.optional:
                raise
            failed.append((stage, error))
            result = getattr(error, "results", None)
            manifest.set_stage(stage.name, status="failed", finished=now(), error=_short_of(error), result=result)
            progress.note(f"{stage.name}: failed, and the run goes on without it: {_short_of(error)}")
            ran.append(stage.name)
            continue
        finally:
            spent += time.monotonic() - began
            with suppress(OSError):  # on a full disk run.json keeps what it says
                manifest.set_stage(stage.name, seconds=round(spent, 2))
        peak = peak_memory_gib()
        files = _checksums(stage, manifest.run)
        manifest.set_stage(
            stage.name, status="done", finished=now(), result=result, peak_memory_gib=peak, error=None, files=files
        )
        if watch is not None and not continues:
            watch.after(stage.name, spent, peak, result)
        ran.append(stage.name)
    if failed:
        raise _incomplete(failed)
    return ran


def _checksums(stage: Stage, run: RunDirectory) -> dict[str, Any]:
    """Path below the run's folder -> size and checksum of the files that the manifest answers for."""
    found = {path for place in stage.recorded for path in (place.rglob("*") if place.is_dir() else (place,))}
    return {path.relative_to(run.root).as_posix(): file_entry(path) for path in sorted(found) if path.is_file()}


def _short_of(error: Exception) -> str:
    return str(error) if isinstance(error, RexplugError) else f"{type(error).__name__}: {error}"


def _incomplete(failed: Sequence[tuple[Stage, Exception]]) -> Exception:
    """What a run ends with whose optional stages failed; a mistake of ours keeps its traceback."""
    ours = next((error for _, error in failed if not isinstance(error, RexplugError)), None)
    if ours is not None:
        return ours
    lines = [f"  {stage.name}: {_short_of(error)}" for stage, error in failed]
    return Incomplete(
        "everything else is done and kept, but these failed; the same command tries them again:\n" + "\n".join(lines)
    )


def _check_code(stage: Stage, manifest: Manifest, progress: Progress) -> None:
    """Whether plugins are still what they were when a stage began: its workers read them when they start.

    Raises:
        DataError: they are not, and what the stage made may be mixed.
    """
    before = stage.inputs.get("plugins", {})
    after = before if stage.code is None else stage.code()
    changed = [name for name in before if after.get(name) != before[name]]
    if not changed:
        return
    what = f"the code of plugin '{changed[0]}' changed while {stage.name} ran"
    if stage.precious:  # one process, which has read it before
        progress.note(f"  note: {what}; it ran with the code that it began with")
        return
    manifest.set_stage(stage.name, fingerprint="mixed")
    raise DataError(f"{what}, so that some of what it made may come from other code; the same command does it again")


def _kept_with_other_code(
    stages: Sequence[Stage], manifest: Manifest, current: Mapping[str, str], allow: Sequence[str]
) -> dict[str, str]:
    """The stages that count as done although a plugin's code changed, since `allow` names it; with the change.

    A stage that was stopped inside is not among them unless it is precious: what it made would be mixed.
    """
    plugins = {key.removeprefix("plugins.") for key in allow if key.startswith("plugins.")}
    if not plugins:
        return {}
    before: list[Stage] = []
    changes: dict[str, str] = {}
    for stage in stages:
        known = manifest.stage(stage.name)
        recorded, code = known.get("inputs", {}).get("plugins", {}), dict(stage.inputs.get("plugins", {}))
        usable = known.get("status") == "done" or (stage.precious and bool(known))
        for name in sorted(plugins & set(code) & set(recorded)) if usable else ():
            if code[name] != recorded[name]:
                changes.setdefault(stage.name, f"plugins.{name}: {recorded[name]} -> {code[name]}")
                code[name] = recorded[name]
        before.append(
            replace(stage, inputs={**stage.inputs, "plugins": code} if "plugins" in stage.inputs else stage.inputs)
        )
    found = fingerprints(before)
    kept, why = {}, ""
    for stage in stages:
        why = changes.get(stage.name, why)
        known = manifest.stage(stage.name)
        if why and known.get("fingerprint") == found[stage.name] != current[stage.name]:
            kept[stage.name] = why
    return kept


_OUTDATED = "the recipe, or code, that it depends on has changed"


def _mark_stale(stages: Sequence[Stage], manifest: Manifest, current: Mapping[str, str], allow: Sequence[str]) -> None:
    """Note which results do not belong to this recipe; what shows results leaves them out."""
    for stage in stages:
        known = manifest.stage(stage.name)
        if not known:
            continue
        differs = known.get("fingerprint") != current[stage.name] and not _allowed(stage, known, allow)
        if differs and not known.get("stale"):
            manifest.set_stage(stage.name, stale=_OUTDATED)
        elif not differs and known.get("stale") == _OUTDATED:  # the change was undone
            manifest.set_stage(stage.name, stale=None)


def _forget_measurements(stage: Stage, stages: Sequence[Stage], manifest: Manifest) -> None:
    """Note that what was measured on, or made from, weights that are trained again is not of the new ones."""
    if not stage.precious:
        return
    gone = {stage.name}
    for other in stages:
        if gone & set(other.after):
            gone.add(other.name)
            if not other.precious and manifest.stage(other.name):
                manifest.set_stage(other.name, stale=f"{stage.name} ran again")


LONG = 600.0
"""Seconds of work from which a finished precious stage is protected like a half-finished one."""


def _told(change: str) -> str:
    """A change of a stage's inputs as a clause."""
    path, _, values = change.partition(": ")
    if path.startswith("plugins.") and "nothing" not in values.split(" -> "):
        return f"the code of plugin '{path.removeprefix('plugins.')}' changed ({values})"
    if path == "format":
        return f"this version of rexplug writes it in another format ({values})"
    return f"of a change: {change}"


def _changes(stage: Stage, known: Mapping[str, Any]) -> list[str]:
    return differences(known.get("inputs", {}), json.loads(json.dumps(stage.inputs, default=str)))


def _allowed(stage: Stage, known: Mapping[str, Any], allow: Sequence[str]) -> list[str]:
    """The changes of a stage if all of them are in keys named in `allow`, else nothing."""
    if not stage.precious or not known:
        return []
    changes = _keyed(stage, known)
    covered = all(any(change.startswith((f"{key}:", f"{key}.")) for key in allow) for change in changes)
    return changes if covered else []


def _keyed(stage: Stage, known: Mapping[str, Any]) -> list[str]:
    """The changes of a stage by the keys under which `--allow-change` knows them."""
    changes = _changes(stage, known)
    return [
        f"{stage.key}.{change.removeprefix('phase.')}" if change.startswith("phase.") else change for change in changes
    ]


def _protect(
    stages: Sequence[Stage],
    manifest: Manifest,
    current: Mapping[str, str],
    forced: set[str],
    allow: Sequence[str],
    siblings: Sequence[RunDirectory],
    kept: Mapping[str, str],
) -> None:
    """Refuse a start that would throw away training; before any work, so that nothing is lost on the way there."""
    redone = set(forced)
    lost: dict[str, tuple[str, Path]] = {}
    """Stages that would run again because something is gone: what, and of which stage."""
    for stage in stages:
        known = manifest.stage(stage.name)
        if redone & set(stage.after):
            redone.add(stage.name)  # asked for, together with what it depends on
        missing = [path for path in stage.outputs if known.get("status") == "done" and not path.exists()]
        before_it = [lost[name] for name in stage.after if name in lost]
        if stage.name not in redone and (before_it or missing):
            if before_it:
                lost[stage.name] = before_it[0]
            elif _donor(stage, current[stage.name], manifest, siblings) is None:
                lost[stage.name] = stage.name, missing[0]
        worth = known.get("status") == "running" or known.get("seconds", 0.0) >= LONG
        # A phase that only became longer or shorter can nearly always go on, however little it took.
        worth = worth or any(change.startswith("phase.tokens: ") for change in _changes(stage, known))
        if not stage.precious or not known or not worth or stage.name in redone:
            continue
        if known.get("fingerprint") == current[stage.name] and before_it and not missing:
            first, path = before_it[0]
            raise RecipeError(
                f"{path} is gone, so that {first} and what comes after it would run again, {stage.name} too "
                f"({_duration(known.get('seconds', 0.0))}). Put it back, make it alone again (--until {first}), do all of it "
                f"again (--from {first}), or take another folder (--run-dir)"
            )
        if known.get("fingerprint") == current[stage.name] or stage.name in kept or _allowed(stage, known, allow):
            continue
        changes = _keyed(stage, known)
        plugins = [change.partition(":")[0] for change in changes if change.startswith("plugins.")]
        other_format = any(change.startswith("format: ") for change in changes)
        if not changes:
            before = next((each for each in stages if _changes(each, manifest.stage(each.name))), None)
            found = _changes(before, manifest.stage(before.name)) if before else []
            changes = [f"{before.name}: {found[0]}"] if before else ["a stage before"]
            if all(change.startswith("plugins.") for change in found):
                plugins = [change.partition(":")[0] for change in found]
            other_format = any(change.startswith("format: ") for change in found)
        half = "half done" if known.get("status") == "running" else "done"
        if other_format:
            raise RecipeError(
                f"{stage.name} is {half} ({_duration(known.get('seconds', 0.0))}), and this version of rexplug writes what it "
                f"goes on from in another format ({changes[0]}). Nothing was changed: finish the run with rexplug "
                f"{manifest.values.get('rexplug', 'of the version that began it')}, do it again (--from {stage.name}), or take "
                "another folder (--run-dir)"
            )
        keyed = [change.split(":")[0] for change in changes[:3] if change.startswith(stage.key)]
        keys = " ".join(f"--allow-change {key}" for key in dict.fromkeys([*keyed, *plugins]))
        new = "new value" if keyed or not plugins else "new code"
        ways = [f"go on with the {new} ({keys})"] if keys else []
        ways.append(f"do it again (--from {stage.name})")
        ways.append("or take another folder (--run-dir)")
        raise RecipeError(
            f"{stage.name} is {half} ({_duration(known.get('seconds', 0.0))}) with "
            f"{'other code' if plugins and not keyed else 'another recipe'}: {'; '.join(changes[:5])}. "
            f"Undo the change, {', '.join(ways)}"
        )


def _reason(stage: Stage, known: Mapping[str, Any], same: bool, forced: set[str], ran: Sequence[str]) -> str | None:
    """Why the stage must run; None if it need not."""
    if stage.name in forced:
        return "runs again, as asked with --from"
    if not known:
        return "starts"
    if not same:
        changed = _changes(stage, known)
        if changed:
            more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
            return f"runs again, because {_told(changed[0])}{more}{_flag(stage, known)}"
        return "runs again, because a stage before it changed"
    if known.get("status") == "failed":
        return "runs again, it failed"
    if known.get("status") != "done":
        return "runs again, it was not finished"
    if known.get("stale"):
        return f"runs again, because {known['stale']}"
    before = [name for name in stage.after if name in ran]
    if before:
        return f"runs again, because {before[0]} ran again"
    missing = [path for path in stage.outputs if not path.exists()]
    if missing:
        return f"runs again, because {missing[0]} is gone"
    return None


def _flag(stage: Stage, known: Mapping[str, Any]) -> str:
    """How a precious stage that is about to be cleared could have gone on."""
    if not stage.precious:
        return ""
    keys = " ".join(f"--allow-change {change.split(':')[0]}" for change in _keyed(stage, known)[:3])
    return f"; {keys} goes on from what is there instead"


def _donor(stage: Stage, fingerprint: str, manifest: Manifest, siblings: Sequence[RunDirectory]) -> Manifest | None:
    """The run that did the stage with the same fingerprint and still has what came out."""
    if stage.group == "report":
        return None  # it tells of its own run
    for sibling in siblings:
        if not sibling.manifest.exists():
            continue
        other = Manifest.open(sibling)
        known = other.stage(stage.name)
        outputs = [sibling.root / path.relative_to(manifest.run.root) for path in stage.outputs]
        same = known.get("fingerprint") == fingerprint and known.get("status") == "done"
        if same and all(path.exists() for path in outputs):
            return other
    return None


def _take_over(stage: Stage, donor: Manifest, manifest: Manifest, fingerprint: str) -> None:
    _clear(stage)
    for path in stage.outputs:
        source = donor.run.root / path.relative_to(manifest.run.root)
        with replacing(path) as temporary:
            if source.is_dir():
                shutil.copytree(source, temporary, copy_function=_link)
            else:
                _link(str(source), str(temporary))
    if stage.adopt is not None:
        stage.adopt(donor.run)
    known = donor.stage(stage.name)
    # Paths in a result are those of the run that it belongs to.
    result = json.loads(json.dumps(known.get("result")).replace(str(donor.run.root), str(manifest.run.root)))
    manifest.set_stage(
        stage.name, status="done", fingerprint=fingerprint, inputs=dict(stage.inputs), started=known.get("started"),
        finished=known.get("finished"), seconds=known.get("seconds", 0.0), result=result,
        peak_memory_gib=known.get("peak_memory_gib"), taken_over_from=str(donor.run.root), stale=None,
        files=known.get("files", {}),
    )  # fmt: skip


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


def _clear(stage: Stage) -> None:
    for path in stage.outputs:
        remove(path)
    if stage.clear is not None:
        stage.clear()


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
