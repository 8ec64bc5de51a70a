"""Plan beside measurement: what plan.json expected of each stage when it began, and what run.json says it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rexplug.run_directory import RunDirectory, read_json


@dataclass(frozen=True)
class StageRow:
    """A finished stage: seconds and the run's peak memory in GiB, each planned (None without a plan) and measured."""

    name: str
    planned: float | None
    measured: float
    planned_gib: float | None
    measured_gib: float | None
    basis: str
    made: str

    @property
    def difference(self) -> str:
        """How much more time it took than planned."""
        return difference(self.planned, self.measured)


@dataclass(frozen=True)
class PhaseRow:
    """A trained phase: tokens, steps and epochs of each source, as (planned, measured); planned is None without a plan."""

    name: str
    tokens: tuple[int | None, int]
    steps: tuple[int | None, int]
    epochs: Mapping[str, tuple[float | None, float]]


@dataclass(frozen=True)
class Foreseen:
    """A run's plan beside what it did; `planned` says whether there is a plan at all."""

    stages: tuple[StageRow, ...]
    phases: tuple[PhaseRow, ...]
    machine: str
    planned: bool

    @property
    def whole(self) -> StageRow | None:
        """All stages that were planned and are done; None if there are none."""
        both = [row for row in self.stages if row.planned is not None]
        if not both:
            return None
        gib = [row.planned_gib for row in both if row.planned_gib is not None]
        measured = [row.measured_gib for row in both if row.measured_gib is not None]
        return StageRow(
            "all", sum(row.planned or 0.0 for row in both), sum(row.measured for row in both), max(gib, default=None),
            max(measured, default=None), "", "",
        )  # fmt: skip


def foreseen(run: RunDirectory, manifest: Mapping[str, Any], seen: Mapping[str, Mapping[str, float]]) -> Foreseen:
    """Read plan.json beside run.json; a run without the former has no planned figures.

    `seen` are the epochs of each source, by phase, counted in tokens as the plan counts them; where a phase is missing
    those of its result stand, which are counted in samples.
    """
    plan: Mapping[str, Any] = read_json(run.plan) if run.plan.exists() else {}
    stages, phases = [], []
    for name, stage in manifest["stages"].items():
        if stage.get("status") != "done" or name == "report" or not stage.get("seconds"):
            continue
        entry = plan.get("stages", {}).get(name, {})
        stages.append(
            StageRow(
                name, entry.get("seconds"), stage["seconds"], entry.get("memory_gib"), stage.get("peak_memory_gib"),
                entry.get("basis", ""), entry.get("made", ""),
            )
        )  # fmt: skip
        result, phase = stage.get("result") or {}, name.partition(".")[2]
        if name.startswith("train.") and "steps" in result:
            wanted = plan.get("phases", {}).get(phase, {})
            epochs = {
                source: (wanted.get("epochs", {}).get(source), value)
                for source, value in {**result["epochs"], **seen.get(phase, {})}.items()
            }
            phases.append(
                PhaseRow(
                    phase, (wanted.get("tokens"), result["tokens"]), (wanted.get("steps"), result["steps"]), epochs
                )
            )
    return Foreseen(tuple(stages), tuple(phases), plan.get("machine", ""), bool(plan))


def difference(planned: float | None, measured: float | None) -> str:
    """`+4 %` where measured is 1.04 times what was planned; empty where one of them is missing."""
    if not planned or measured is None:
        return ""
    percent = round(100 * (measured / planned - 1))
    return f"{percent:+d} %" if percent else "0 %"


def card_lines(found: Foreseen) -> list[str]:
    """The tables of the model card; nothing for a run without a plan."""
    if not found.planned or not found.stages:
        return []
    lines = [
        "", "## Plan and measurement", "", f"Planned before each stage began, on {found.machine}.", "",
        "| stage | planned | took | | memory so far, planned | measured |", "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]  # fmt: skip
    for row in [*found.stages, *([found.whole] if found.whole else [])]:
        lines.append(
            f"| {row.name} | {_seconds(row.planned)} | {_seconds(row.measured)} | {row.difference} | {_gib(row.planned_gib)} | "
            f"{_gib(row.measured_gib)} |"
        )
    lines += ["", "| phase | tokens, planned | seen | steps, planned | taken | epochs, planned → seen |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | --- |")
    for phase in found.phases:
        (tokens, seen), (steps, taken) = phase.tokens, phase.steps
        epochs = ", ".join(
            f"{name} {_epochs(planned)} → {value:.2f}" for name, (planned, value) in phase.epochs.items()
        )
        lines.append(
            f"| {phase.name} | {_count(tokens)} | {_count(seen)} | {_count(steps)} | {_count(taken)} | {epochs} |"
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
