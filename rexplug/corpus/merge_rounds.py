"""Merges many files into few, in rounds, so that no job has more than a few hundred of them open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rexplug.executors import Job, run_jobs
from rexplug.progress import Progress
from rexplug.recipe.schema import Executor

MOST_FILES = 256
"""Files that are merged into one, and that a later job reads."""


def merged_in_rounds(
    paths: Sequence[Path],
    job: Callable[[Sequence[Path], Path], Job],
    folder: Path,
    executor: Executor,
    *,
    progress: Progress,
    task: str,
) -> list[Path]:
    """At most `MOST_FILES` files with the content of all, in the same order; the files themselves if they are few.

    Args:
        paths: the files, all with the same suffix.
        job: makes the job that merges some files into the one at a path.
        folder: where merged files go.
        executor: where the jobs run.
        progress: receives the progress.
        task: what the progress calls it.
    """
    current, level = list(paths), 0
    while len(current) > MOST_FILES:
        groups = [current[start : start + MOST_FILES] for start in range(0, len(current), MOST_FILES)]
        targets = [folder / f"merged-{level}" / f"{number:05d}{paths[0].suffix}" for number in range(len(groups))]
        jobs = [job(group, target) for group, target in zip(groups, targets, strict=True)]
        run_jobs(jobs, executor, logs=folder / "logs", progress=progress, task=task)
        current, level = targets, level + 1
    return current
