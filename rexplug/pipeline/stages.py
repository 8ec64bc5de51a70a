"""The stages of a run and their fingerprints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rexplug.errors import DataError, RecipeError
from rexplug.io.atomic import remove
from rexplug.run_directory import RunDirectory

GROUPS = ("relevance", "curate", "tokenize", "train", "evaluate", "export", "report")
"""The stages as users name them; `train` and `evaluate` have one stage per phase (`train.pretrain`)."""


@dataclass(frozen=True)
class Stage:
    """One step of a run: what decides its result, what it writes, and the function that does the work."""

    name: str
    inputs: Mapping[str, Any]
    """Everything that decides the result, besides the stages named in `after`."""
    work: Callable[[], Any]
    """Does the stage; what it returns is kept in the manifest."""
    after: tuple[str, ...] = ()
    """Names of the stages that this one depends on."""
    outputs: tuple[Path, ...] = ()
    """Files and folders that the stage writes. They are removed before the stage is redone."""
    clear: Callable[[], None] | None = field(default=None, compare=False)
    """Removes what the stage wrote outside its outputs, before it is redone."""
    adopt: Callable[[RunDirectory], None] | None = field(default=None, compare=False)
    """Copies what the same stage of another run wrote outside its outputs."""
    precious: bool = False
    """Whether a changed recipe must not discard the result: the start is refused instead, see `run_stages`."""
    code: Callable[[], Mapping[str, str]] | None = field(default=None, compare=False)
    """Reads again what `inputs` holds under `plugins`: the code of the plugins that take part."""
    optional: bool = False
    """Whether later stages run although this one failed; the run then ends as incomplete."""
    recorded: tuple[Path, ...] = ()
    """Files, and folders of files, whose checksums the manifest keeps because no folder of theirs does."""

    @property
    def key(self) -> str:
        """The recipe key that holds the stage's options: `phases.anneal` for `train.anneal`."""
        return f"phases.{self.name.split('.')[-1]}"

    @property
    def group(self) -> str:
        """The entry of `GROUPS` that the stage belongs to."""
        return self.name.split(".")[0]

    def remove_outputs(self) -> None:
        """Remove everything that the stage wrote."""
        for path in self.outputs:
            remove(path)
        if self.clear is not None:
            self.clear()


class Incomplete(DataError):
    """A run reached its end, but some of its evaluations failed."""


class StageObserver(Protocol):
    """Is notified when a stage starts from scratch and when it is done; not of stages that resume or are reused."""

    def before(self, stage: str) -> None:
        """Called when a stage starts."""

    def after(self, stage: str, seconds: float, memory_gib: float, result: Any) -> None:
        """Called when a stage is done, with its duration, the peak memory of the process so far, and its result."""


def fingerprints(stages: Sequence[Stage]) -> dict[str, str]:
    """Stage name -> hash of its inputs and of the fingerprints of the stages before it."""
    hashes: dict[str, str] = {}
    for stage in stages:
        text = json.dumps([stage.inputs, [hashes[name] for name in stage.after]], sort_keys=True, default=str)
        hashes[stage.name] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return hashes


def stages_named(stages: Sequence[Stage], name: str, option: str) -> list[Stage]:
    """The stages that `name` means: one stage, or all stages of a group.

    Args:
        stages: the stages of the run.
        name: a stage (`train.anneal`) or a group (`train`).
        option: the command line option that the name was given with, for the message.

    Raises:
        RecipeError: no stage or group has that name.
    """
    matches = [stage for stage in stages if name in (stage.name, stage.group)]
    if not matches:
        known = ", ".join([*GROUPS, *(stage.name for stage in stages if "." in stage.name)])
        raise RecipeError(f"{option} {name}: unknown stage; the stages are {known}")
    return matches
