"""Records the forecast of each stage in `plan.json`, and its measured cost in the history that later plans use."""

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
"""Stages after which the sizes of sources are known better."""


def _recorded(path: Path) -> dict[str, Any]:
    """The contents of `plan.json`; empty if it is damaged, since no result depends on it."""
    try:
        content = read_json(path) if path.exists() else {}
    except DataError:
        return {}
    sections = [content.get(key, {}) for key in ("stages", "phases")] if isinstance(content, dict) else [None]
    sound = all(
        isinstance(section, dict) and all(isinstance(entry, dict) for entry in section.values()) for section in sections
    )
    return content if sound else {}


class ForecastRecorder:
    """Observes the stages of a run: records what was expected of each in `plan.json`, and what it took in the history.

    The forecast is made when the run starts, and again once sources have been counted if their sizes were estimates.
    """

    def __init__(self, recipe: Recipe, run: RunDirectory, progress: Progress) -> None:
        self._recipe, self._run, self._progress = recipe, run, progress
        self._hardware = Hardware.find()
        self._forecast: Forecast | None = None
        self._moment = "before the run"
        self._trained = False

    def before(self, stage: str) -> None:
        """Write the forecast of a stage that starts now."""
        expected = self._current().to_json()
        content: dict[str, Any] = {"stages": {}, "phases": {}}
        content |= _recorded(self._run.plan)
        when = {"made": self._moment, "at": now()}
        content["machine"] = expected["machine"]
        content["stages"][stage] = {**expected["stages"].get(stage, {"seconds": None}), **when}
        phase = stage.partition(".")[2]
        if stage.startswith("train.") and phase in expected["phases"]:
            content["phases"][phase] = {**expected["phases"][phase], **when}
        if stage == self._current().stages[0].name or "whole" not in content:
            content["whole"] = {name: expected[name] for name in ("seconds", "off", "memory_gib", "disk_bytes")} | when
        write_json(self._run.plan, content)

    def after(self, stage: str, seconds: float, memory_gib: float, result: Any) -> None:
        """Append what a stage took, which ran from start to end, to the history."""
        guessed = any(size.how in ("unknown", "estimated") for size in self._current().plan.source_sizes.values())
        if stage in _COUNTING and guessed:
            self._forecast, self._moment = None, f"after {stage}"
        forecast = self._current()
        task = next((task for task in forecast.tasks if task.name == stage), None)
        if task is None or task.seconds is None or seconds <= 0:
            return
        work, machine = dict(task.work), self._hardware
        if isinstance(result, Mapping) and stage.startswith("train.") and "steps" in result:
            # The device and the number of steps are certain only now.
            machine = replace(machine, gpu=result.get("device_name", "") if result["device"] == "cuda" else "")
            work["flops"] *= result["tokens"] / work["tokens"]
            steps = float(result["steps"])
            work |= {"tokens": float(result["tokens"]), "steps": steps, "first": float(not self._trained)}
            # Rows are not completely full, so a phase takes a few more steps than its tokens divided by those of a batch.
            (phase,) = (phase for phase in self._recipe.phases if stage == f"train.{phase.name}")
            work["fill"] = planned_steps(phase) / steps
            self._trained = True
            if result.get("processes", 1) > 1 and result["device"] == "cpu":
                return  # the processes share the threads that a plan gives to one
        counts: dict[str, dict[str, Any]] = {}
        if stage in _COUNTING:
            counts = {name: size.counts(self._recipe) for name, size in forecast.plan.source_sizes.items()}
        measurement = Measurement(
            at=now(), stage=stage, cost_key=task.cost_key, machine=machine, work=work, seconds=seconds, memory_gib=memory_gib,
            counts=counts,
        )  # fmt: skip
        try:
            MeasurementHistory.append(measurement)
        except OSError as error:
            self._progress.note(
                f"  note: the cost of '{stage}' could not be recorded for later plans ({error.strerror})"
            )

    def _current(self) -> Forecast:
        if self._forecast is None:
            self._forecast = make_forecast(
                self._recipe, self._run, machine=self._hardware, processes=distributed.world_size()
            )
        return self._forecast
