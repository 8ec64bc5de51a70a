"""Refuses to start a run that would discard training which is half done or took long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rexplug.errors import RecipeError
from rexplug.pipeline.manifest import Manifest
from rexplug.pipeline.reuse import find_donor
from rexplug.pipeline.stage_changes import allowed_changes, duration, input_changes, recipe_changes
from rexplug.pipeline.stages import Stage
from rexplug.run_directory import RunDirectory

LONG = 600.0
"""Seconds of work from which a finished precious stage is protected like a half-finished one."""


@dataclass
class TrainingProtection:
    """Checks a start before any work is done, so that nothing is lost on the way to the refusal.

    Args:
        stages: the stages that this start may run.
        manifest: what is recorded of them.
        current: stage name -> present fingerprint.
        forced: names of the stages that `--from` asks for.
        allow: the keys of `--allow-change`.
        siblings: runs whose finished stages are reused.
        kept: stages that count as done although a plugin's code changed.
    """

    stages: Sequence[Stage]
    manifest: Manifest
    current: Mapping[str, str]
    forced: set[str]
    allow: Sequence[str]
    siblings: Sequence[RunDirectory]
    kept: Mapping[str, str]
    _lost: dict[str, tuple[str, Path]] = field(default_factory=dict)
    """Stages that would run again because an output is missing -> the stage that wrote it, and its path."""

    def require_safe(self) -> None:
        """Refuse a start that would discard a precious result of any stage.

        Raises:
            RecipeError: a precious stage would be cleared because the recipe, a plugin's code or a file before it changed.
        """
        redone = set(self.forced)
        for stage in self.stages:
            recorded = self.manifest.stage(stage.name)
            if redone & set(stage.after):
                redone.add(stage.name)  # asked for, together with what it depends on
            missing = [path for path in stage.outputs if recorded.get("status") == "done" and not path.exists()]
            lost_before = [self._lost[name] for name in stage.after if name in self._lost]
            if stage.name not in redone and (lost_before or missing):
                if lost_before:
                    self._lost[stage.name] = lost_before[0]
                elif find_donor(stage, self.current[stage.name], self.manifest, self.siblings) is None:
                    self._lost[stage.name] = stage.name, missing[0]
            if not stage.precious or stage.name in redone or not self._worth_keeping(stage, recorded):
                continue
            if recorded.get("fingerprint") == self.current[stage.name]:
                if lost_before and not missing:
                    raise self._missing_input(stage, recorded, *lost_before[0])
            elif stage.name not in self.kept and not allowed_changes(stage, recorded, self.allow):
                raise self._changed(stage, recorded)

    @staticmethod
    def _worth_keeping(stage: Stage, recorded: Mapping[str, Any]) -> bool:
        if not recorded:
            return False
        return (
            recorded.get("status") == "running"
            or recorded.get("seconds", 0.0) >= LONG
            # A phase that only became longer or shorter can nearly always continue, however little it took.
            or any(change.startswith("phase.tokens: ") for change in input_changes(stage, recorded))
        )

    @staticmethod
    def _missing_input(stage: Stage, recorded: Mapping[str, Any], first: str, path: Path) -> RecipeError:
        return RecipeError(
            f"{path} is gone, so that {first} and what comes after it would run again, {stage.name} too "
            f"({duration(recorded.get('seconds', 0.0))}). Restore it, make it alone again (--until {first}), do all of it "
            f"again (--from {first}), or take another folder (--run-dir)"
        )

    def _changed(self, stage: Stage, recorded: Mapping[str, Any]) -> RecipeError:
        changes = recipe_changes(stage, recorded)
        own = changes
        if not changes:  # what changed is a stage before it
            first = next((other for other in self.stages if self._changes_of(other)), None)
            own = self._changes_of(first) if first else []
            changes = [f"{first.name}: {own[0]}"] if first else ["a stage before"]
        plugins = [change.partition(":")[0] for change in own if change.startswith("plugins.")]
        if own is not changes and len(plugins) < len(own):
            plugins = []  # the stage before has other changes too, which no key allows
        state = "half done" if recorded.get("status") == "running" else "done"
        spent = duration(recorded.get("seconds", 0.0))
        if any(change.startswith("format: ") for change in own):
            return RecipeError(
                f"{stage.name} is {state} ({spent}), and this version of rexplug writes its inputs in another format "
                f"({changes[0]}). Nothing was changed: finish the run with rexplug "
                f"{self.manifest.values.get('rexplug', 'of the version that started it')}, do it again (--from {stage.name}), or "
                "take another folder (--run-dir)"
            )
        keyed = [change.split(":")[0] for change in changes[:3] if change.startswith(stage.key)]
        keys = " ".join(f"--allow-change {key}" for key in dict.fromkeys([*keyed, *plugins]))
        new = "new value" if keyed or not plugins else "new code"
        ways = [f"continue with the {new} ({keys})"] if keys else []
        ways.append(f"do it again (--from {stage.name})")
        ways.append("or take another folder (--run-dir)")
        return RecipeError(
            f"{stage.name} is {state} ({spent}) with {'other code' if plugins and not keyed else 'another recipe'}: "
            f"{'; '.join(changes[:5])}. Undo the change, {', '.join(ways)}"
        )

    def _changes_of(self, stage: Stage) -> list[str]:
        return input_changes(stage, self.manifest.stage(stage.name))
