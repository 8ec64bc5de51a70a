"""The plan of a run (plan.json) beside what its stages and phases took (run.json)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rexplug.run_directory import RunDirectory, read_json


@dataclass(frozen=True)
class StageRow:
    """A finished stage: its seconds and the run's peak memory so far in GiB, planned (None without a plan) and measured.

    `basis` says what the plan rested on, and `planned_when` when it was made.
    """

    name: str
    planned: float | None
    measured: float
    planned_gib: float | None
    measured_gib: float | None
    basis: str
    planned_when: str

    @property
    def difference(self) -> str:
        """How much longer the stage took than planned."""
        return percent_longer(self.planned, self.measured)


@dataclass(frozen=True)
class PhaseRow:
    """A trained phase: tokens, steps and epochs of each source, as (planned, measured); planned is None without a plan."""

    name: str
    tokens: tuple[int | None, int]
    steps: tuple[int | None, int]
    epochs: Mapping[str, tuple[float | None, float]]


@dataclass(frozen=True)
class PlanVsActual:
    """A run's plan beside its measurements; `planned` says whether there is a plan at all."""

    stages: tuple[StageRow, ...]
    phases: tuple[PhaseRow, ...]
    machine: str
    planned: bool

    @property
    def total(self) -> StageRow | None:
        """All finished stages that were planned; None if there are none."""
        rows = [row for row in self.stages if row.planned is not None]
        if not rows:
            return None
        planned_gib = [row.planned_gib for row in rows if row.planned_gib is not None]
        measured_gib = [row.measured_gib for row in rows if row.measured_gib is not None]
        return StageRow(
            "all",
            sum(row.planned or 0.0 for row in rows),
            sum(row.measured for row in rows),
            max(planned_gib, default=None),
            max(measured_gib, default=None),
            "",
            "",
        )


def plan_vs_actual(
    run: RunDirectory, manifest: Mapping[str, Any], epochs: Mapping[str, Mapping[str, float]]
) -> PlanVsActual:
    """Read plan.json and compare it with the manifest; a run without a plan has no planned values.

    Args:
        run: the run.
        manifest: the content of its run.json.
        epochs: phase -> source -> epochs, counted in tokens as the plan counts them. For a phase that is missing, those
            of its result are used, which are counted in samples.
    """
    plan: Mapping[str, Any] = read_json(run.plan) if run.plan.exists() else {}
    stages, phases = [], []
    for name, stage in manifest["stages"].items():
        if stage.get("status") != "done" or name == "report" or not stage.get("seconds"):
            continue
        planned = plan.get("stages", {}).get(name, {})
        stages.append(
            StageRow(
                name,
                planned.get("seconds"),
                stage["seconds"],
                planned.get("memory_gib"),
                stage.get("peak_memory_gib"),
                planned.get("basis", ""),
                planned.get("made", ""),
            )
        )
        result, phase = stage.get("result") or {}, name.partition(".")[2]
        if name.startswith("train.") and "steps" in result:
            planned_phase = plan.get("phases", {}).get(phase, {})
            measured_epochs = {**result["epochs"], **epochs.get(phase, {})}
            phases.append(
                PhaseRow(
                    phase,
                    (planned_phase.get("tokens"), result["tokens"]),
                    (planned_phase.get("steps"), result["steps"]),
                    {
                        source: (planned_phase.get("epochs", {}).get(source), value)
                        for source, value in measured_epochs.items()
                    },
                )
            )
    return PlanVsActual(tuple(stages), tuple(phases), plan.get("machine", ""), bool(plan))


def percent_longer(planned: float | None, measured: float | None) -> str:
    """`+4 %` where measured is 1.04 times what was planned; empty where one of them is missing."""
    if not planned or measured is None:
        return ""
    percent = round(100 * (measured / planned - 1))
    return f"{percent:+d} %" if percent else "0 %"


def markdown_lines(compared: PlanVsActual) -> list[str]:
    """The tables of the model card; empty for a run without a plan."""
    if not compared.planned or not compared.stages:
        return []
    lines = [
        "",
        "## Plan and measurement",
        "",
        f"Planned before each stage began, on {compared.machine}.",
        "",
        "| stage | planned | took | | memory so far, planned | measured |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in [*compared.stages, *([compared.total] if compared.total else [])]:
        lines.append(
            f"| {row.name} | {_seconds(row.planned)} | {_seconds(row.measured)} | {row.difference} | {_gib(row.planned_gib)} | "
            f"{_gib(row.measured_gib)} |"
        )
    lines += [
        "",
        "| phase | tokens, planned | seen | steps, planned | taken | epochs, planned → seen |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for phase in compared.phases:
        (planned_tokens, tokens), (planned_steps, steps) = phase.tokens, phase.steps
        epochs = ", ".join(
            f"{name} {_epochs(planned)} → {value:.2f}" for name, (planned, value) in phase.epochs.items()
        )
        lines.append(
            f"| {phase.name} | {_count(planned_tokens)} | {_count(tokens)} | {_count(planned_steps)} | {_count(steps)} | "
            f"{epochs} |"
        )
    return lines


def _seconds(value: float | None) -> str:
    if value is None:
        return "?"
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.1f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _gib(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f} GiB"


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _epochs(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"
