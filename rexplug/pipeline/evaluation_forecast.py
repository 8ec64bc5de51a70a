"""Forecasts how long evaluators take on a model outside a run, and records what they took for later forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING

from rexplug.components import Evaluator
from rexplug.evaluation.lexical import LexicalModel
from rexplug.pipeline.manifest import now
from rexplug.pipeline.stage_changes import duration
from rexplug.planning import Hardware, Measurement, MeasurementHistory
from rexplug.planning.costs import evaluated_on, evaluator_work, seconds_of
from rexplug.planning.gpus import gpu_of_device
from rexplug.planning.history import NONE, cost_key
from rexplug.progress import Progress

if TYPE_CHECKING:
    from rexplug.evaluation.encoder import HuggingFaceEncoder
    from rexplug.evaluation.models import Model


@dataclass
class EvaluationForecast:
    """Says before the evaluators run on a model how long they take, from evaluations on the same device, and records them."""

    label: str
    """The model's label."""
    progress: Progress
    history: MeasurementHistory = field(default_factory=MeasurementHistory.read)

    def before(self, model: Model, evaluators: Sequence[Evaluator]) -> None:
        """Note the time that the evaluators are expected to take, and what that rests on."""
        if isinstance(model, LexicalModel) or not evaluators or not model.num_parameters:
            return
        machine, work = _machine_of(model), _work_of(model)
        gpu = gpu_of_device(machine.gpu)
        seconds, num_measured = 0.0, 0
        for evaluator in evaluators:
            default = seconds_of("evaluator", work, machine, gpu)
            stage, key = _stage_and_key(evaluator, model)
            measurements, match = self.history.closest(stage, key, machine, work["parameters"])
            # Measurements of other evaluators say little about this one.
            ratios = [m.seconds / seconds_of(m.stage, m.work, m.machine, gpu) for m in measurements if m.stage == stage]
            seconds += default * (median(ratios) if ratios else 1.0)
            num_measured += bool(ratios) and match is not NONE
        rest = len(evaluators) - num_measured
        basis = f"{num_measured} of {len(evaluators)} evaluators measured here before"
        if rest and machine.gpu:
            basis += f"; {evaluated_on(machine.gpu, gpu, model.precision)}"
        elif rest:
            basis += "; the others by default, within 3x"
        self.progress.note(f"  {self.label}: about {duration(seconds)} on {machine} in {model.precision} ({basis})")

    def after(self, model: Model, evaluator: Evaluator, seconds: float) -> None:
        """Append what an evaluator took to the history."""
        if isinstance(model, LexicalModel) or seconds <= 0 or not model.num_parameters:
            return
        stage, key = _stage_and_key(evaluator, model)
        measurement = Measurement(
            at=now(), stage=stage, cost_key=key, machine=_machine_of(model), work=_work_of(model), seconds=seconds
        )
        try:
            MeasurementHistory.append(measurement)
        except OSError as error:
            self.progress.note(f"  note: the time of '{evaluator.label}' could not be recorded ({error.strerror})")


def _stage_and_key(evaluator: Evaluator, model: HuggingFaceEncoder) -> tuple[str, str]:
    return f"evaluator.{evaluator.label}", cost_key("evaluator", evaluator.dump(), model.precision)


def _machine_of(model: HuggingFaceEncoder) -> Hardware:
    """This machine, with the GPU that the model is on or with none."""
    return replace(Hardware.find(), gpu=model.device_name)


def _work_of(model: HuggingFaceEncoder) -> dict[str, float]:
    return evaluator_work(model.num_parameters, model.num_parameters_without_embedding, model.precision)
