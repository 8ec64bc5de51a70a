"""What a run was expected to take, written down before each stage begins, and what it took, remembered for later plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rexplug import distributed
from rexplug.errors import DataError
from rexplug.io.atomic import write_json
from rexplug.pipeline.manifest import now
from rexplug.planning import Forecast, Hardware, Measurement, MeasurementHistory, make_forecast, planned_steps
from rexplug.progress import Progress
from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory, read_json

_COUNTING = ("curate", "tokenize")
"""Stages after which more is known of the sources."""


def _sound(path: Path) -> dict[str, Any]:
    """What was expected before; a file that says nothing sensible is written anew, since no result depends on it."""
    try:
        content = read_json(path) if path.exists() else {}
    except DataError:
        return {}
    parts = [content.get(key, {}) for key in ("stages", "phases")] if isinstance(content, dict) else [None]
    sound = all(isinstance(part, dict) and all(isinstance(each, dict) for each in part.values()) for part in parts)
    return content if sound else {}


class ForecastRecorder:
    """Plans a run at its start, and again once sources are counted if they were not; told of stages by `run_stages`.

    `plan.json` keeps what was expected of each stage when it began, so that a report can set it beside what happened.
    """

    def __init__(self, recipe: Recipe, run: RunDirectory, progress: Progress) -> None:
        self._recipe, self._run, self._progress = recipe, run, progress
        self._machine = Hardware.find()
        self._forecast: Forecast | None = None
        self._moment = "before the run"
        self._stale = True
        self._trained = False

    def before(self, stage: str) -> None:
        """Write down what is expected of a stage that begins now."""
        expected = self._now().to_json()
        content: dict[str, Any] = {"stages": {}, "phases": {}}
        content |= _sound(self._run.plan)
        made = {"made": self._moment, "at": now()}
        content["machine"] = expected["machine"]
        content["stages"][stage] = {**expected["stages"].get(stage, {"seconds": None}), **made}
        phase = stage.partition(".")[2]
        if stage.startswith("train.") and phase in expected["phases"]:
            content["phases"][phase] = {**expected["phases"][phase], **made}
        if stage == self._now().stages[0].name or "whole" not in content:
            content["whole"] = {name: expected[name] for name in ("seconds", "off", "memory_gib", "disk_bytes")} | made
        write_json(self._run.plan, content)

    def after(self, stage: str, seconds: float, memory_gib: float, result: Any) -> None:
        """Remember what a stage took that ran from beginning to end."""
        guessed = any(known.how in ("unknown", "estimated") for known in self._now().plan.source_sizes.values())
        if stage in _COUNTING and guessed:
            self._stale, self._moment = True, f"after {stage}"
        forecast = self._now()
        task = next((task for task in forecast.tasks if task.name == stage), None)
        if task is None or task.seconds is None or seconds <= 0:
            return
        work, machine = dict(task.work), self._machine
        if isinstance(result, Mapping) and stage.startswith("train.") and "steps" in result:
            # What trained is known for sure only now.
            machine = replace(machine, gpu=result.get("device_name", "") if result["device"] == "cuda" else "")
            work["flops"] *= result["tokens"] / work["tokens"]
            steps = float(result["steps"])
            work |= {"tokens": float(result["tokens"]), "steps": steps, "first": float(not self._trained)}
            # Rows are not quite full, so that a phase takes a few steps more than its tokens over those of a batch.
            (phase,) = (each for each in self._recipe.phases if stage == f"train.{each.name}")
            work["fill"] = planned_steps(phase) / steps
            self._trained = True
            if result.get("processes", 1) > 1 and result["device"] == "cpu":
                return  # they share the threads that a plan gives to one
        counts: dict[str, dict[str, Any]] = {}
        if stage in _COUNTING:
            counts = {name: known.counts(self._recipe) for name, known in forecast.plan.source_sizes.items()}
        measurement = Measurement(
            at=now(), stage=stage, cost_key=task.cost_key, machine=machine, work=work, seconds=seconds, memory_gib=memory_gib,
            counts=counts,
        )  # fmt: skip
        try:
            MeasurementHistory.append(measurement)
        except OSError as error:
            self._progress.note(f"  note: what '{stage}' took could not be kept for later plans ({error.strerror})")

    def _now(self) -> Forecast:
        if self._forecast is None or self._stale:
            self._forecast = make_forecast(
                self._recipe, self._run, machine=self._machine, processes=distributed.world_size()
            )
            self._stale = False
        return self._forecast
