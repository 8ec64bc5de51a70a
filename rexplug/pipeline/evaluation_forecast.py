"""Forecasts how long evaluators take on a model outside a run, and records what they took for later forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING

from rexplug.components import Evaluator
from rexplug.errors import one_line
from rexplug.evaluation.lexical import LexicalModel
from rexplug.pipeline.manifest import now
from rexplug.pipeline.stage_changes import duration
from rexplug.planning import Hardware, Measurement, MeasurementHistory
from rexplug.planning.costs import evaluator_work, seconds_of
from rexplug.planning.gpus import gpu_of_device
from rexplug.planning.history import cost_key
from rexplug.plugins.calls import evaluator_label
from rexplug.progress import Progress

if TYPE_CHECKING:
    from rexplug.evaluation.harness import EvaluationData
    from rexplug.evaluation.models import Model
    from rexplug.evaluation.text_encoder import TextEncoder
    from rexplug.evaluation.workload import Workload

_LARGEST_CORRECTION = 3.0
"""Earlier evaluations change a forecast by this factor at most: the machine may have been under a different load."""


@dataclass
class EvaluationForecast:
    """Forecasts how long the evaluators take on a model, and records what they took.

    The work of each evaluator is counted, and the speed of the model on this machine is measured. If the evaluator ran here
    before, the forecast is corrected by what it took then.
    """

    label: str
    """The model's label."""
    progress: Progress
    history: MeasurementHistory = field(default_factory=MeasurementHistory.read)
    finished: set[str] = field(default_factory=set)
    """Labels of the evaluators that ran."""
    _forecast: dict[str, float] = field(default_factory=dict)
    """Label -> seconds, before the correction."""

    def before(self, model: Model, evaluators: Sequence[Evaluator], data: EvaluationData) -> Mapping[str, float]:
        """Note the time that the evaluators are expected to take; returns label -> seconds."""
        if isinstance(model, LexicalModel) or not evaluators or not model.tokenizes:
            return {}
        self.progress.start(f"forecast {self.label}")
        try:
            return self._expect(model, evaluators, data)
        except Exception as error:  # an evaluation needs no forecast
            self.progress.note(f"  {self.label}: no forecast of the time ({one_line(error, 120)})")
            return {}

    def _expect(self, model: TextEncoder, evaluators: Sequence[Evaluator], data: EvaluationData) -> dict[str, float]:
        from rexplug.evaluation.speed import measure_speed
        from rexplug.evaluation.workload import Workload, workload_of

        machine = _machine_of(model)
        works = {evaluator_label(evaluator): workload_of(evaluator, model, data) for evaluator in evaluators}
        trains = any(work is not None and work.steps for work in works.values())
        speed = measure_speed(model, training=trains)
        expected, basis = {}, {}
        first_of: dict[str, str] = {}
        for evaluator in evaluators:
            label = evaluator_label(evaluator)
            work, shared_with = works[label], ""
            if work is not None and work.shared and first_of.setdefault(work.shared, label) != label:
                shared_with = first_of[work.shared]
                work = Workload(work.texts, seconds=work.seconds)
            self._forecast[label] = speed.seconds(work) if work is not None else _default(model, machine)
            factor = self._correction(evaluator, model, machine)
            expected[label] = self._forecast[label] * (factor or 1.0)
            basis[label] = _in_words(work, shared_with, measured_before=factor is not None)
        training = f", fine-tunes on {_rate(speed.trained)}" if trains else ""
        early = "; less where a fine-tune is stopped early" if trains else ""
        lines = [
            f"  {self.label}: about {duration(sum(expected.values()))} on {machine} in {model.precision}; it reads "
            f"{_rate(speed.read)}{training}{early}"
        ]
        width = max(map(len, expected))
        lines += [
            f"    {label:<{width}}  {duration(seconds):>12}  {basis[label]}" for label, seconds in expected.items()
        ]
        self.progress.note("\n".join(lines))
        return expected

    def after(self, model: Model, evaluator: Evaluator, seconds: float) -> None:
        """Append what an evaluator took to the history."""
        label = evaluator_label(evaluator)
        self.finished.add(label)
        if isinstance(model, LexicalModel) or not model.tokenizes or seconds <= 0:
            return
        stage, key = _stage_and_key(evaluator, model)
        work = _work_of(model)
        if label in self._forecast:
            work["forecast_seconds"] = self._forecast[label]
        measurement = Measurement(
            at=now(), stage=stage, cost_key=key, machine=_machine_of(model), work=work, seconds=seconds
        )
        try:
            MeasurementHistory.append(measurement)
        except OSError as error:
            self.progress.note(f"  note: the time of '{label}' could not be recorded ({error.strerror})")

    def _correction(self, evaluator: Evaluator, model: TextEncoder, machine: Hardware) -> float | None:
        """What this evaluator took on this machine before, as a multiple of its forecasts; None if it did not run here."""
        stage, key = _stage_and_key(evaluator, model)
        ratios = [
            measured.seconds / forecast
            for measured in self.history.measurements
            if measured.stage == stage
            and measured.cost_key == key
            and measured.machine == machine
            and (forecast := measured.work.get("forecast_seconds", 0.0)) > 0
        ]
        if not ratios:
            return None
        return min(_LARGEST_CORRECTION, max(1 / _LARGEST_CORRECTION, median(ratios[-3:])))


def _in_words(work: Workload | None, shared_with: str, *, measured_before: bool) -> str:
    """What a forecast is based on; `shared_with` is an evaluator before it that computes its fine-tunes and embeddings."""
    if work is None:
        known = "not counted, by default within 3x"
    elif not work.texts:
        known = "does not apply"
    else:
        known = f"{work.texts:,} texts" + (f" as {shared_with}" if shared_with else "")
        if work.fine_tunes:
            known += f", {work.fine_tunes} fine-tunes, {work.steps:,} steps in all"
    return f"{known}; measured here before" if measured_before else known


def _rate(tokens: float) -> str:
    return f"{tokens:,.0f} tokens/s"


def _default(model: TextEncoder, machine: Hardware) -> float:
    return seconds_of("evaluator", _work_of(model), machine, gpu_of_device(machine.gpu))


def _stage_and_key(evaluator: Evaluator, model: TextEncoder) -> tuple[str, str]:
    return f"evaluator.{evaluator_label(evaluator)}", cost_key("evaluator", evaluator.dump(), model.precision)


def _machine_of(model: TextEncoder) -> Hardware:
    """This machine, with the GPU that the model is on or with none."""
    return replace(Hardware.find(), gpu=model.device_name)


def _work_of(model: TextEncoder) -> dict[str, float]:
    return evaluator_work(model.num_parameters, model.num_parameters_without_embedding, model.precision)
