"""Runs jobs in processes on this machine.

Not datatrove's local executor: that one never returns when a worker is killed; this one starts another worker.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from multiprocessing import connection, get_context, parent_process
from typing import Any

from rexplug.errors import DataError
from rexplug.executors.job import Failure, Job, ReportDone
from rexplug.io.compression import StorageError
from rexplug.plugins.files import loaded_files, unpickle


def run_in_this_process(jobs: Sequence[Job], retries: int, report: ReportDone) -> None:
    """Run one job after the other in this process."""
    for number, job in enumerate(jobs, 1):
        for attempt in range(retries + 1):
            try:
                report(number, job.run())
                break
            except StorageError as error:
                if attempt == retries:
                    raise DataError(str(error)) from error
            except Exception as error:
                if attempt == retries or not Failure.of(error).again:
                    raise


class _Worker:
    """The main process's side of a process that takes one job at a time."""

    def __init__(self) -> None:
        context = get_context("spawn")
        self.connection, other_end = context.Pipe()
        self.process = context.Process(target=_serve, args=(other_end, loaded_files()))
        self.process.start()
        other_end.close()
        self.job: int | None = None

    def start(self, number: int, job: Job) -> None:
        """Send a job to the process."""
        self.job = number
        self.connection.send(job)

    def stop(self, *, now: bool) -> None:
        """End the process; `now` does not wait for its job."""
        if now:
            self.process.kill()
        else:
            with suppress(OSError):  # it may be gone already
                self.connection.send_bytes(b"")
        self.process.join()
        self.connection.close()


_shared: ContextVar[list[_Worker] | None] = ContextVar("_shared", default=None)


@contextmanager
def shared_workers() -> Iterator[None]:
    """Within this block the worker processes of one round of jobs also run the next rounds; they end with the block.

    Starting a process takes about half a second. Workers keep the files that they have cached, so the block is for rounds of
    small jobs on the same data.
    """
    pool: list[_Worker] = []
    before = _shared.set(pool)
    try:
        yield
    finally:
        _shared.reset(before)
        for worker in pool:
            worker.stop(now=False)


def run_in_processes(jobs: Sequence[Job], workers: int, retries: int, report: ReportDone) -> None:
    """Run jobs in their order, `workers` at a time. After a failure that is final no job is started.

    Raises:
        DataError, PluginError, RuntimeError: the failure of the first job, in the order of `jobs`, that failed for good.
    """
    pool = _shared.get()
    if pool is None:
        with shared_workers():
            run_in_processes(jobs, workers, retries, report)
        return
    waiting = deque(range(len(jobs)))
    attempts = [0] * len(jobs)
    failed: tuple[int, Failure] | None = None
    done = 0
    try:
        for worker in [worker for worker in pool if not worker.process.is_alive()]:
            worker.stop(now=True)
            pool.remove(worker)
        while True:
            for worker in [worker for worker in pool if worker.job is None]:
                if waiting and failed is None:
                    number = waiting.popleft()
                    worker.start(number, jobs[number])
            while waiting and failed is None and len(pool) < workers:
                pool.append(_Worker())
                number = waiting.popleft()
                pool[-1].start(number, jobs[number])
            busy = [worker for worker in pool if worker.job is not None]
            if not busy:
                break
            connection.wait([worker.connection for worker in busy] + [worker.process.sentinel for worker in busy])
            for worker in busy:
                answer = _answer(worker)
                if answer is None:
                    continue
                assert worker.job is not None
                number, worker.job = worker.job, None
                if isinstance(answer, int):
                    done += 1
                    report(done, answer)
                    continue
                if answer.kind == "death":
                    worker.stop(now=True)
                    pool.remove(worker)
                attempts[number] += 1
                if answer.again and attempts[number] <= retries:
                    waiting.appendleft(number)
                elif failed is None or number < failed[0]:
                    failed = number, answer
    except BaseException:
        for worker in pool:
            worker.stop(now=True)
        pool.clear()
        raise
    if failed is not None:
        raise failed[1].error(jobs[failed[0]])


def _answer(worker: _Worker) -> int | Failure | None:
    """What a worker has sent: the result or failure of its job. Its death is a failure; None if there is nothing new."""
    try:
        if worker.connection.poll():
            answer: int | Failure = worker.connection.recv()
            return answer
    except (EOFError, OSError):
        worker.process.join()
    if worker.process.is_alive():
        return None
    return Failure.death(worker.process.exitcode)


def _serve(jobs: Any, plugin_files: Mapping[str, str]) -> None:
    """Run the jobs that come over the connection, in a worker process."""
    _end_with_parent()
    while message := jobs.recv_bytes():
        try:
            jobs.send(unpickle(message, plugin_files).run())
        except Exception as error:
            jobs.send(Failure.of(error))


def _end_with_parent() -> None:
    """End this worker when the main process is killed: it would wait for jobs forever, or write beside a new run."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
