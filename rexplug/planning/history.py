"""What stages of earlier runs took on this machine and elsewhere: a line per stage in a file of the user's cache.

Every run adds to it and every plan reads it, so that a plan rests on measured figures where there are any. The file is
no part of any run: without it plans fall back on documented defaults.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rexplug.planning.hardware import Hardware

_MAX_BYTES = 4 * 2**20
"""Bytes of the file beyond which its older half is dropped."""
_RECENT = 3
"""Measurements of a kind that count: the last ones."""


class Measurement(BaseModel):
    """A stage that ran: what it had to do (`work`), and what it took.

    `cost_key` is a hash of the options that decide its cost, `counts` what it counted per source.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, populate_by_name=True)

    at: str
    stage: str
    cost_key: str = Field(alias="like")
    machine: Hardware
    work: dict[str, float]
    seconds: float = Field(gt=0)
    memory_gib: float | None = None
    counts: dict[str, dict[str, Any]] = {}

    @property
    def group(self) -> str:
        """The kind of stage: `train` for `train.anneal`."""
        return group_of(self.stage)


def group_of(stage: str) -> str:
    """The kind of a stage, by which costs are told apart."""
    special = {"train.initial": "initial", "evaluate.baselines": "baselines"}
    return special.get(stage, stage.partition(".")[0])


def cost_key(*parts: Any) -> str:
    """A hash of options: equal where they are."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def cache_file() -> Path:
    """Where measurements lie: `REXPLUG_CACHE`, else the user's cache folder."""
    own = os.environ.get("REXPLUG_CACHE")
    general = os.environ.get("XDG_CACHE_HOME")
    folder = Path(own) if own else (Path(general) if general else Path.home() / ".cache") / "rexplug"
    return folder / "measurements.jsonl"


@dataclass(frozen=True)
class MeasurementHistory:
    """All measurements, oldest first, and a `note` where some could not be read."""

    measurements: Sequence[Measurement] = ()
    note: str = ""

    @classmethod
    def read(cls, path: Path | None = None) -> MeasurementHistory:
        """Read the file; lines that are damaged or of another version are left out and counted in `note`."""
        path = path or cache_file()
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return cls()
        except OSError as error:
            return cls((), f"measurements of earlier runs cannot be read: {path}: {error.strerror}")
        found, bad = [], 0
        for line in lines:
            try:
                found.append(Measurement.model_validate_json(line))
            except ValidationError:
                bad += 1
        note = f"{path}: {bad} of {len(lines)} lines are damaged or of another version and were left out" if bad else ""
        return cls(found, note)

    @staticmethod
    def append(measurement: Measurement, path: Path | None = None) -> None:
        """Add a line to the file, in one step; several runs may do so at the same time.

        Raises:
            OSError: it cannot be written.
        """
        path = path or cache_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.tell() > _MAX_BYTES:
                file.seek(0)
                lines = file.readlines()
                file.truncate(0)
                file.writelines(lines[len(lines) // 2 :])
            file.write(measurement.model_dump_json(by_alias=True) + "\n")

    def counts(self, stage: str, key: str) -> Mapping[str, Mapping[str, Any]]:
        """What the last run of such a stage counted, on whichever machine; empty if there was none."""
        for each in reversed(self.measurements):
            if each.stage == stage and each.cost_key == key and each.counts:
                return each.counts
        return {}

    def closest(self, stage: str, key: str, machine: Hardware, size: float) -> tuple[list[Measurement], Closeness]:
        """The measurements that say most about a stage, and how close they are.

        Args:
            stage: its name.
            key: the hash of its options.
            machine: where it is going to run.
            size: parameters of the model; 0 if they do not matter.
        """
        best = NONE
        found: list[Measurement] = []
        for each in self.measurements:
            if each.group != group_of(stage):
                continue
            level = _closeness(each, stage, key, machine, size)
            if level is None or level.level > best.level:
                continue
            if level.level < best.level:
                best, found = level, []
            found.append(each)
        return found[-_RECENT:], best


@dataclass(frozen=True, slots=True)
class Closeness:
    """How much a measurement says about a stage: `level` 0 is the most, `off` the factor by which it may be off."""

    level: int
    off: float
    words: str


SAME = Closeness(0, 1.1, "measured here")
ALIKE = Closeness(1, 1.25, "measured here on a similar stage")
SIZED = Closeness(2, 1.6, "measured here, other options")
HERE = Closeness(3, 2.0, "measured here, another model")
PROCESSOR = Closeness(4, 2.0, "measured, other threads")
NONE = Closeness(5, 3.0, "default")


def _closeness(each: Measurement, stage: str, key: str, machine: Hardware, size: float) -> Closeness | None:
    if each.machine != machine:
        same = each.machine.processor == machine.processor and each.machine.gpu == machine.gpu
        return PROCESSOR if same else None
    if each.cost_key == key:
        return SAME if each.stage == stage else ALIKE
    before = each.work.get("parameters", 0.0)
    return SIZED if not size or size / 2 <= before <= size * 2 else HERE
