"""The history of what stages took in earlier runs, on this machine and others: a line per stage in the user's cache.

Every run appends to it and every plan reads it, so that plans rest on measurements where there are any. The file does not
belong to any run: without it plans use documented defaults.
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
"""Bytes of the file above which its older half is dropped."""
_RECENT = 3
"""How many of the matching measurements count: the latest ones."""


class Measurement(BaseModel):
    """What a stage took when it ran.

    `work` is the amount of work in numbers, `cost_key` a hash of the options that decide its cost, and `counts` what it
    counted per source.
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
    def kind(self) -> str:
        """The kind of its stage: `train` for `train.anneal`."""
        return stage_kind(self.stage)


def stage_kind(stage: str) -> str:
    """The kind of a stage, which decides how its cost is estimated."""
    special = {"train.initial": "initial", "evaluate.baselines": "baselines"}
    return special.get(stage, stage.partition(".")[0])


def cost_key(*parts: Any) -> str:
    """A hash of options that decide a cost: equal options have equal keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def cache_file() -> Path:
    """Path of the history: in the folder `REXPLUG_CACHE`, else in the user's cache folder."""
    own = os.environ.get("REXPLUG_CACHE")
    general = os.environ.get("XDG_CACHE_HOME")
    folder = Path(own) if own else (Path(general) if general else Path.home() / ".cache") / "rexplug"
    return folder / "measurements.jsonl"


@dataclass(frozen=True)
class MeasurementHistory:
    """All measurements, oldest first, and a `note` if some could not be read."""

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
        measurements, bad = [], 0
        for line in lines:
            try:
                measurements.append(Measurement.model_validate_json(line))
            except ValidationError:
                bad += 1
        note = f"{path}: {bad} of {len(lines)} lines are damaged or of another version and were left out" if bad else ""
        return cls(measurements, note)

    @staticmethod
    def append(measurement: Measurement, path: Path | None = None) -> None:
        """Append a line to the file, under a lock: several runs may do so at the same time.

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
        """What the last run of a stage with these options counted, on any machine; empty if there was none."""
        for measurement in reversed(self.measurements):
            if measurement.stage == stage and measurement.cost_key == key and measurement.counts:
                return measurement.counts
        return {}

    def closest(self, stage: str, key: str, machine: Hardware, size: float) -> tuple[list[Measurement], MatchQuality]:
        """The measurements that match a stage best, and how well they match.

        Args:
            stage: its name.
            key: the cost key of its options.
            machine: where it will run.
            size: parameters of the model; 0 if they do not matter.
        """
        best = NONE
        matching: list[Measurement] = []
        for measurement in self.measurements:
            if measurement.kind != stage_kind(stage):
                continue
            match = _match(measurement, stage, key, machine, size)
            if match is None or match.level > best.level:
                continue
            if match.level < best.level:
                best, matching = match, []
            matching.append(measurement)
        return matching[-_RECENT:], best


@dataclass(frozen=True, slots=True)
class MatchQuality:
    """How well a measurement matches a stage: `level` (0 = best), the resulting error factor, and a `basis` in words."""

    level: int
    error_factor: float
    basis: str


SAME_STAGE = MatchQuality(0, 1.1, "measured here")
SAME_OPTIONS = MatchQuality(1, 1.25, "measured here on a similar stage")
SIMILAR_SIZE = MatchQuality(2, 1.6, "measured here, other options")
SAME_MACHINE = MatchQuality(3, 2.0, "measured here, another model")
SAME_PROCESSOR = MatchQuality(4, 2.0, "measured, other threads")
NONE = MatchQuality(5, 3.0, "default")


def _match(measurement: Measurement, stage: str, key: str, machine: Hardware, size: float) -> MatchQuality | None:
    """How well a measurement matches; None if it comes from another processor or GPU."""
    if measurement.machine != machine:
        same = measurement.machine.processor == machine.processor and measurement.machine.gpu == machine.gpu
        return SAME_PROCESSOR if same else None
    if measurement.cost_key == key:
        return SAME_STAGE if measurement.stage == stage else SAME_OPTIONS
    measured_size = measurement.work.get("parameters", 0.0)
    return SIMILAR_SIZE if not size or size / 2 <= measured_size <= size * 2 else SAME_MACHINE
