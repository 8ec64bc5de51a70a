"""Runs jobs on Ray and Slurm, through datatrove's executors for them.

They bring jobs to other machines; whether a job is done is decided by its record alone. (datatrove's own notes of finished tasks
are kept per folder and do not know of changed options, so each round has a folder of its own.)
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rexplug.errors import DataError
from rexplug.executors.job import Failure, Job, ReportDone
from rexplug.io.atomic import write_json
from rexplug.plugins.files import loaded_files, unpickle
from rexplug.recipe.schema import Executor, Slurm
from rexplug.run_directory import read_json

_block: ContextVar[ExitStack | None] = ContextVar("_block", default=None)


@contextmanager
def shared_ray_cluster() -> Iterator[None]:
    """Within this block one local Ray, once it is started, serves all rounds of jobs; it is stopped at the end of the block.

    Starting Ray takes seconds, and curation has several rounds of jobs.
    """
    with ExitStack() as block:
        before = _block.set(block)
        try:
            yield
        finally:
            _block.reset(before)


class DatatroveJobStep:
    """The only step of a datatrove pipeline: runs every `ranks`-th job, in the folder in which the command was started.

    The jobs of each rank are in a file of their own under `folder`, so that a task reads its own and not those of all tasks.
    """

    def __init__(self, jobs: Sequence[Job], ranks: int, folder: Path) -> None:
        self.parts = folder / "jobs"
        self.parts.mkdir(parents=True, exist_ok=True)
        for rank in range(ranks):
            self._part(rank).write_bytes(pickle.dumps(list(jobs[rank::ranks])))
        self.started_in = Path.cwd()
        self.plugin_files = loaded_files()

    def _part(self, rank: int) -> Path:
        return self.parts / f"{rank:05d}.pickle"

    def __call__(self, data: Any, rank: int = 0, world_size: int = 1) -> None:
        """Run the jobs of a rank; a failure is written beside the job's record, where the main process reads it."""
        os.chdir(self.started_in)
        jobs: list[Job] = unpickle(self._part(rank).read_bytes(), self.plugin_files)
        for job in jobs:
            if job.record.exists():
                continue
            try:
                job.run()
            except Exception as error:
                write_json(_failure_file(job), asdict(Failure.of(error)))


def _ranks(jobs: Sequence[Job], executor: Executor) -> int:
    """Number of tasks for the cluster: a few for each worker, not one for each job, since starting a task takes seconds."""
    return min(len(jobs), 4 * executor.workers)


def _failure_file(job: Job) -> Path:
    """Where a worker writes why the job failed."""
    return job.record.with_suffix(".failure")


def run_on_cluster(jobs: Sequence[Job], executor: Executor, logs: Path, report: ReportDone) -> None:
    """Run jobs on Ray or Slurm; those that fail for a reason that may pass are tried again.

    Raises:
        DataError: an input is at fault, a job did not finish however often it was tried, or the cluster is not there.
    """
    run = _ray if executor.use == "ray" else _slurm
    todo = list(jobs)
    for attempt in range(executor.retries + 1):
        content = json.dumps([[str(job.record), attempt] for job in todo])
        folder = (logs / f"{executor.use}-{hashlib.sha256(content.encode()).hexdigest()[:12]}").resolve()
        shutil.rmtree(folder, ignore_errors=True)
        run(todo, executor, folder)
        failures = {job.record: Failure(**read_json(_failure_file(job))) for job in todo if _failure_file(job).exists()}
        for record in failures:
            record.with_suffix(".failure").unlink()
        todo = [job for job in todo if not job.record.exists()]
        report(len(jobs) - len(todo), 0)
        if not todo:
            return
        for job in todo:
            failure = failures.get(job.record)
            if failure is not None and (not failure.again or attempt == executor.retries):
                raise failure.error(job)
    raise DataError(
        f"{todo[0].title} (and {len(todo) - 1} more) did not finish on {executor.use} in {executor.retries + 1} attempts; what "
        f"the workers' output is in {folder}. Finished shards are kept and the same command resumes from there"
    )


def _ray(jobs: Sequence[Job], executor: Executor, folder: Path) -> None:
    try:
        import ray
    except ImportError:
        raise DataError("executor 'ray' needs the package ray; run `pip install rexplug[ray]`") from None
    from datatrove.executor.ray import RayPipelineExecutor

    with ExitStack() as here:
        if not ray.is_initialized():
            _start_ray(executor)
            (_block.get() or here).callback(ray.shutdown)
        ranks = _ranks(jobs, executor)
        RayPipelineExecutor(
            pipeline=[DatatroveJobStep(jobs, ranks, folder)], tasks=ranks, workers=executor.workers, logging_dir=str(folder),
            mem_per_cpu_gb=0.1,
        ).run()  # fmt: skip


def _start_ray(executor: Executor) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if executor.address is None:
        ray.init(num_cpus=executor.workers, include_dashboard=False, **quiet)
        return
    try:
        ray.init(address=executor.address, **quiet)
    except ConnectionError as error:
        raise DataError(f"no Ray cluster at '{executor.address}': {error}") from None


def slurm_executor(jobs: Sequence[Job], executor: Executor, folder: Path) -> Any:
    """datatrove's executor for these jobs; its run writes the script `launch_script.slurm` to `folder`."""
    from datatrove.executor.slurm import SlurmPipelineExecutor

    options = executor.slurm
    assert isinstance(options, Slurm)
    ranks = _ranks(jobs, executor)
    return SlurmPipelineExecutor(
        pipeline=[DatatroveJobStep(jobs, ranks, folder)], tasks=ranks, workers=executor.workers, time=options.time,
        partition=options.partition, cpus_per_task=options.cpus, mem_per_cpu_gb=options.memory_per_cpu, qos=options.qos,
        job_name="rexplug",
        env_command=options.setup or None, sbatch_args=dict(options.arguments), logging_dir=str(folder),
        slurm_logs_folder=str(folder / "slurm_logs"),
    )  # fmt: skip


def _slurm(jobs: Sequence[Job], executor: Executor, folder: Path) -> None:
    if shutil.which("sbatch") is None:
        raise DataError("executor 'slurm' needs the command sbatch: run this on a machine of the cluster")
    assert executor.slurm is not None
    slurm = slurm_executor(jobs, executor, folder)
    try:
        slurm.run()
    except subprocess.CalledProcessError as error:
        raise DataError(f"sbatch refused the job ({error}); its script is {folder / 'launch_script.slurm'}") from None
    waiting = deque(jobs)
    while True:
        # Each finished job is checked once, and of the others only the first: checking 40,000 files is slow on a shared disk.
        while waiting and (waiting[0].record.exists() or _failure_file(waiting[0]).exists()):
            waiting.popleft()
        if not waiting:
            return
        queue = subprocess.run(
            ["squeue", "--noheader", "--jobs", str(slurm.job_id)], capture_output=True, text=True, check=False
        )
        if queue.returncode != 0 or not queue.stdout.strip():
            return  # the job is over; what is missing did not finish
        time.sleep(executor.slurm.poll_seconds)
