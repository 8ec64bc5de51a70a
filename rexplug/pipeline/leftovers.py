"""What earlier runs left: lines of figures that are taken over, and folders that are emptied."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable

from rexplug.run_directory import RunDirectory


def metric_lines(run: RunDirectory, wanted: Callable[[str], bool]) -> list[str]:
    """The whole lines of `metrics.jsonl` whose phase is wanted."""
    if not run.metrics.exists():
        return []
    kept = []
    for line in run.metrics.read_text(encoding="utf-8").splitlines():
        try:
            if wanted(json.loads(line)["phase"]):
                kept.append(line + "\n")
        except (ValueError, KeyError):
            continue  # a line that a killed run did not finish
    return kept


def remove_all(run: RunDirectory) -> None:
    """Empty the folder of a run, but for the lock that keeps others out."""
    for path in run.root.iterdir():
        if path.name == ".lock":
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
