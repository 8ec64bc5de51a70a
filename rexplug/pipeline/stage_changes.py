"""What changed since a stage last ran, and which changes `--allow-change` permits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rexplug.pipeline.manifest import Manifest, differences
from rexplug.pipeline.stages import Stage, fingerprints

_OUTDATED = "the recipe, or code, that it depends on has changed"


def input_changes(stage: Stage, recorded: Mapping[str, Any]) -> list[str]:
    """The differences between the recorded inputs of a stage and its present ones, as `path: old -> new`."""
    return differences(recorded.get("inputs", {}), json.loads(json.dumps(stage.inputs, default=str)))


def recipe_changes(stage: Stage, recorded: Mapping[str, Any]) -> list[str]:
    """`input_changes` under the keys that `--allow-change` takes: `phases.anneal.tokens: 1000 -> 2000`."""
    return [
        f"{stage.key}.{change.removeprefix('phase.')}" if change.startswith("phase.") else change
        for change in input_changes(stage, recorded)
    ]


def allowed_changes(stage: Stage, recorded: Mapping[str, Any], allow: Sequence[str]) -> list[str]:
    """The changes of a precious stage if `allow` names the keys of all of them, else an empty list."""
    if not stage.precious or not recorded:
        return []
    changes = recipe_changes(stage, recorded)
    covered = all(any(change.startswith((f"{key}:", f"{key}.")) for key in allow) for change in changes)
    return changes if covered else []


def describe_change(change: str) -> str:
    """A change of a stage's inputs as a clause that may follow "because"."""
    path, _, values = change.partition(": ")
    if path == "plugins.rexplug":
        return "rexplug's own code of evaluations changed"
    if path.startswith("option_files"):
        # Size and modification time of a file are compared one by one.
        file = path.removeprefix("option_files").removeprefix(".").removesuffix(".0").removesuffix(".1")
        return f"the file {file} changed" if file else "files that options name are now compared"
    if path.startswith("plugins.") and "nothing" not in values.split(" -> "):
        return f"the code of plugin '{path.removeprefix('plugins.')}' changed ({values})"
    if path == "format":
        return f"this version of rexplug writes it in another format ({values})"
    return f"of a change: {change}"


def duration(seconds: float) -> str:
    """A duration for people: `95 s`, `12.5 min`."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def rerun_reason(
    stage: Stage, recorded: Mapping[str, Any], fingerprint: str, forced: set[str], ran: Sequence[str]
) -> str | None:
    """Why a stage must run, as a clause for the progress log; None if its recorded result is still valid.

    Args:
        stage: the stage.
        recorded: what the manifest holds of it.
        fingerprint: its present fingerprint.
        forced: names of the stages that `--from` asks for.
        ran: names of the stages that have run in this call.
    """
    if stage.name in forced:
        return "runs again, as asked with --from"
    if not recorded:
        return "starts"
    if recorded.get("fingerprint") != fingerprint:
        changed = input_changes(stage, recorded)
        if changed:
            more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
            return f"runs again, because {describe_change(changed[0])}{more}{_alternative(stage, recorded)}"
        return "runs again, because a stage before it changed"
    if recorded.get("status") == "failed":
        return "runs again, it failed"
    if recorded.get("status") != "done":
        return "runs again, it was not finished"
    if recorded.get("stale"):
        return f"runs again, because {recorded['stale']}"
    before = [name for name in stage.after if name in ran]
    if before:
        return f"runs again, because {before[0]} ran again"
    missing = [path for path in stage.outputs if not path.exists()]
    if missing:
        return f"runs again, because {missing[0]} is gone"
    return None


def _alternative(stage: Stage, recorded: Mapping[str, Any]) -> str:
    """For a precious stage that is about to be cleared: the options with which it would have continued."""
    if not stage.precious:
        return ""
    keys = " ".join(f"--allow-change {change.split(':')[0]}" for change in recipe_changes(stage, recorded)[:3])
    return f"; with {keys} it would continue from its checkpoints instead"


def kept_despite_code_change(
    stages: Sequence[Stage], manifest: Manifest, current: Mapping[str, str], allow: Sequence[str]
) -> dict[str, str]:
    """The stages that still count as done because `allow` names the plugin whose code changed.

    A stage that stopped halfway is not among them unless it is precious: its output would come from two versions of the code.

    Args:
        stages: the stages of the run.
        manifest: what is recorded of them.
        current: stage name -> present fingerprint.
        allow: the keys of `--allow-change`.

    Returns:
        stage name -> the change, as `plugins.legal: old -> new`.
    """
    plugins = {key.removeprefix("plugins.") for key in allow if key.startswith("plugins.")}
    if not plugins:
        return {}
    with_old_code: list[Stage] = []
    changes: dict[str, str] = {}
    for stage in stages:
        recorded = manifest.stage(stage.name)
        old_code, code = recorded.get("inputs", {}).get("plugins", {}), dict(stage.inputs.get("plugins", {}))
        usable = recorded.get("status") == "done" or (stage.precious and bool(recorded))
        for name in sorted(plugins & set(code) & set(old_code)) if usable else ():
            if code[name] != old_code[name]:
                changes.setdefault(stage.name, f"plugins.{name}: {old_code[name]} -> {code[name]}")
                code[name] = old_code[name]
        with_old_code.append(
            replace(stage, inputs={**stage.inputs, "plugins": code} if "plugins" in stage.inputs else stage.inputs)
        )
    old_fingerprints = fingerprints(with_old_code)
    kept, change = {}, ""
    for stage in stages:
        change = changes.get(stage.name, change)
        recorded = manifest.stage(stage.name)
        if change and recorded.get("fingerprint") == old_fingerprints[stage.name] != current[stage.name]:
            kept[stage.name] = change
    return kept


def mark_outdated(
    stages: Sequence[Stage], manifest: Manifest, current: Mapping[str, str], allow: Sequence[str]
) -> None:
    """Mark results that do not belong to the present recipe as stale, so that reports leave them out."""
    for stage in stages:
        recorded = manifest.stage(stage.name)
        if not recorded:
            continue
        differs = recorded.get("fingerprint") != current[stage.name] and not allowed_changes(stage, recorded, allow)
        if differs and not recorded.get("stale"):
            manifest.set_stage(stage.name, stale=_OUTDATED)
        elif not differs and recorded.get("stale") == _OUTDATED:  # the change was undone
            manifest.set_stage(stage.name, stale=None)


def mark_dependents_stale(stage: Stage, stages: Sequence[Stage], manifest: Manifest) -> None:
    """Before a phase is trained again: mark results that were made from its previous weights as stale."""
    if not stage.precious:
        return
    retrained = {stage.name}
    for other in stages:
        if retrained & set(other.after):
            retrained.add(other.name)
            if not other.precious and manifest.stage(other.name):
                manifest.set_stage(other.name, stale=f"{stage.name} ran again")
