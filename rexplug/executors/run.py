"""Runs jobs on the executor that the recipe names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rexplug.executors.cluster import run_on_cluster
from rexplug.executors.job import Job
from rexplug.executors.local import run_in_processes, run_in_this_process
from rexplug.progress import Progress
from rexplug.recipe.schema import Executor


def run_jobs(jobs: Sequence[Job], executor: Executor, *, logs: Path, progress: Progress, task: str) -> None:
    """Run the jobs that have no record yet; the others were done before.

    Raises:
        DataError: an input is at fault, a worker died more often than `retries` allows, or the disk is full. What other
            jobs finished is kept.
    """
    todo = [job for job in jobs if not job.record.exists()]
    before = len(jobs) - len(todo)
    progress.start(task, len(jobs), "shards")
    progress.update(before)
    if not todo:
        return
    documents = 0

    def report(done: int, more: int) -> None:
        nonlocal documents
        documents += more
        progress.update(before + done, documents=documents)

    if executor.use != "local":
        run_on_cluster(todo, executor, logs, report)
    elif executor.workers == 1 or len(todo) == 1:
        run_in_this_process(todo, executor.retries, report)
    else:
        run_in_processes(todo, min(executor.workers, len(todo)), executor.retries, report)
