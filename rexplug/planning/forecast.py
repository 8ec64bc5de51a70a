"""Forecasts a run: time and memory of every stage, disk, GPUs, and how certain that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from rexplug.planning.costs import Task, corpus_size, seconds_of, tasks_of
from rexplug.planning.disk import Disk, disk_of
from rexplug.planning.gpus import Gpu, GpuForecast, forecast_on_gpu, gpu_of_device
from rexplug.planning.hardware import Hardware
from rexplug.planning.history import NONE, MatchQuality, Measurement, MeasurementHistory
from rexplug.planning.phases import Plan, make_plan
from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory


@dataclass(frozen=True)
class StageForecast:
    """The forecast of a stage: `seconds` (None if not known) and `memory_gib`, the run's peak memory up to its end.

    Both rest on `num` measurements with the quality `match`; `why` says if the work is a guess.
    """

    name: str
    seconds: float | None
    memory_gib: float
    match: MatchQuality
    num: int
    why: str = ""


@dataclass(frozen=True)
class Forecast:
    """A recipe before it runs: its plan, stages, disk, and training on GPUs."""

    plan: Plan
    machine: Hardware
    tasks: Sequence[Task]
    stages: Sequence[StageForecast]
    disk: Disk
    gpus: Sequence[GpuForecast]
    notes: Sequence[str]

    @property
    def seconds(self) -> float:
        """Wall time of all stages whose time is known."""
        return sum(stage.seconds or 0.0 for stage in self.stages)

    @property
    def training_seconds(self) -> float:
        """Wall time of the phases."""
        return sum(stage.seconds or 0.0 for stage in self.stages if _is_phase(stage.name))

    @property
    def error_factor(self) -> float:
        """The error factor of `seconds`: that of the stages, weighted by their time."""
        if not self.seconds:
            return NONE.error_factor
        weighted = sum((stage.seconds or 0.0) * math.log(stage.match.error_factor) for stage in self.stages)
        return math.exp(weighted / self.seconds)

    @property
    def memory_gib(self) -> float:
        """Peak memory of the largest process of the run."""
        return max(stage.memory_gib for stage in self.stages)

    def stage(self, name: str) -> StageForecast | None:
        """The forecast of a stage by its name; None if the recipe has no such stage."""
        return next((stage for stage in self.stages if stage.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """What a run keeps of it in plan.json."""
        return {
            "machine": str(self.machine),
            "seconds": round(self.seconds, 1), "off": round(self.error_factor, 2), "memory_gib": round(self.memory_gib, 2),
            "disk_bytes": round(self.disk.total),
            "stages": {
                stage.name: {
                    "seconds": None if stage.seconds is None else round(stage.seconds, 2),
                    "memory_gib": round(stage.memory_gib, 2), "off": stage.match.error_factor, "basis": stage.match.basis,
                }
                for stage in self.stages
            },
            "phases": {
                phase.name: {
                    "tokens": phase.tokens, "steps": phase.steps,
                    "epochs": {
                        name: None if use.epochs is None else round(use.epochs, 4) for name, use in phase.sources.items()
                    },
                }
                for phase in self.plan.phases
            },
        }  # fmt: skip


def make_forecast(
    recipe: Recipe,
    run: RunDirectory,
    *,
    gpus: Sequence[Gpu] = (),
    num_gpus: int = 1,
    processes: int = 1,
    machine: Hardware | None = None,
    history: MeasurementHistory | None = None,
) -> Forecast:
    """Plan a recipe and forecast what it takes.

    Args:
        recipe: the recipe.
        run: the run directory, whose counts make the plan exact.
        gpus: kinds of GPUs to estimate training on.
        num_gpus: how many of a kind.
        processes: how many train together on this machine's own GPUs; on a CPU they share its threads.
        machine: where the stages run; this one if left out.
        history: measurements of earlier runs; those in the user's cache if left out.

    Raises:
        DataError: a token store of the run is damaged.
    """
    machine = machine or Hardware.find()
    history = MeasurementHistory.read() if history is None else history
    plan = make_plan(recipe, run, history)
    own = gpu_of_device(machine.gpu)
    plan = _with_measured_fill(plan, tasks_of(recipe, plan, machine, own, processes), history)
    tasks = tasks_of(recipe, plan, machine, own, processes)
    stages: list[StageForecast] = []
    peak = 0.0
    for task in tasks:
        expected = _expected(task, machine, own, history, peak)
        peak = expected.memory_gib
        stages.append(expected)
    size = corpus_size(plan)
    last = next((stage.seconds for stage in stages if stage.name == f"train.{recipe.phases[-1].name}"), None)
    disk = disk_of(
        recipe, plan, read_bytes=size.read_bytes, tokens=size.tokens, documents=size.documents, seconds=last or 0.0
    )
    on_gpus = [forecast_on_gpu(plan, gpu, num_gpus, _factor_on(gpu, tasks, history)) for gpu in gpus]
    notes = [note for note in (history.note,) if note]
    if recipe.model.precision == "bf16" and not machine.gpu and not machine.bf16:
        notes.append(
            "model.precision: bf16 needs a GPU or a CPU with AVX512-BF16 or AMX, which this machine does not have"
        )
    return Forecast(
        plan, machine, tasks, stages, disk, [estimate for estimate in on_gpus if estimate is not None], notes
    )


def _with_measured_fill(plan: Plan, tasks: Sequence[Task], history: MeasurementHistory) -> Plan:
    """The plan with the steps that follow from how full rows were in earlier runs of such phases."""
    phases = []
    for phase in plan.phases:
        key = next(task.cost_key for task in tasks if task.name == f"train.{phase.name}")
        fills = [
            measurement.work["fill"]
            for measurement in history.measurements
            if measurement.cost_key == key and "fill" in measurement.work
        ]
        phases.append(replace(phase, steps=round(phase.steps / fills[-1])) if fills and fills[-1] > 0 else phase)
    return replace(plan, phases=tuple(phases))


def _expected(
    task: Task, machine: Hardware, gpu: Gpu | None, history: MeasurementHistory, peak: float
) -> StageForecast:
    """The forecast of a stage from the measurements that match it best, or from its default."""
    measurements, match = history.closest(task.name, task.cost_key, machine, task.size)
    if task.seconds is None:
        return StageForecast(task.name, None, max(peak, task.memory_gib), NONE, 0, "the model's shape is not known")
    ratios = [
        ratio for measurement in measurements if (ratio := _ratio(_same_work(measurement, task), gpu)) is not None
    ]
    if not ratios:
        return StageForecast(task.name, task.seconds, max(peak, task.memory_gib), NONE, 0, task.why)
    seconds = task.seconds * median(ratios)
    # The peak is that of the run so far, so that it never falls from one stage to the next.
    measured = [measurement.memory_gib for measurement in measurements if measurement.memory_gib is not None]
    more = task.work.get("memory_gib", 0.0) - measurements[-1].work.get("memory_gib", 0.0)
    memory = measured[-1] + max(0.0, more) if measured else task.memory_gib
    measured_here = task.name.startswith("evaluate.")
    return StageForecast(
        task.name, seconds, max(peak, memory), match, len(measurements), "" if measured_here else task.why
    )


def _same_work(measurement: Measurement, task: Task) -> Measurement:
    """A measurement with the work that is known now, where equal options mean equal work: its run had not counted it yet."""
    if measurement.cost_key != task.cost_key or measurement.kind not in ("relevance", "curate", "tokenize"):
        return measurement
    return measurement.model_copy(update={"work": {**task.work, "workers": measurement.work.get("workers", 1.0)}})


def _ratio(measurement: Measurement, gpu: Gpu | None) -> float | None:
    """How many times longer a stage took than the default for its work and machine; None if the line lacks its work."""
    try:
        return measurement.seconds / seconds_of(
            measurement.stage, measurement.work, measurement.machine, gpu if measurement.machine.gpu else None
        )
    except (KeyError, ZeroDivisionError):
        return None


def _factor_on(gpu: Gpu, tasks: Sequence[Task], history: MeasurementHistory) -> float | None:
    """How many times longer training took on a kind of GPU than the published share predicts; None if it was not measured."""
    on_this_gpu = [
        measurement
        for measurement in history.measurements
        if measurement.kind == "train"
        and gpu_of_device(measurement.machine.gpu) == gpu
        and measurement.work.get("parameters")
    ]
    size = max(task.size for task in tasks)
    similar = [measurement for measurement in on_this_gpu if size / 2 <= measurement.work["parameters"] <= size * 2]
    ratios = [ratio for measurement in similar[-6:] if (ratio := _ratio(measurement, gpu)) is not None]
    return median(ratios) if ratios else None


def _is_phase(name: str) -> bool:
    return name.startswith("train.") and name != "train.initial"
