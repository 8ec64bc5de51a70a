"""Processes on this machine. datatrove's local executor waits for ever when a worker is killed; this one starts another."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import connection, get_context, parent_process
from typing import Any

from rexplug.executors.job import Failure, Job

ReportDone = Callable[[int, int], None]
"""Told how many jobs are done, and how many more documents that were."""


def run_in_this_process(jobs: Sequence[Job], retries: int, tell: ReportDone) -> None:
    """One job after the other in this process."""
    for number, job in enumerate(jobs, 1):
        for attempt in range(retries + 1):
            try:
                tell(number, job.run())
                break
            except Exception as error:
                if attempt == retries or not Failure.of(error).again:
                    raise


class _Worker:
    """A process that takes one job at a time."""

    def __init__(self) -> None:
        context = get_context("spawn")
        self.line, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,))
        self.process.start()
        theirs.close()
        self.job: int | None = None

    def give(self, number: int, job: Job) -> None:
        """Start a job."""
        self.job = number
        self.line.send(job)

    def end(self, *, now: bool) -> None:
        """Let the process go; `now` does not wait for its job."""
        if now:
            self.process.kill()
        else:
            with suppress(OSError):  # it may be gone already
                self.line.send(None)
        self.process.join()
        self.line.close()


def run_in_processes(jobs: Sequence[Job], workers: int, retries: int, tell: ReportDone) -> None:
    """Jobs in their order, `workers` at a time. After a failure that no retry mends, those that run are let finish."""
    waiting = deque(range(len(jobs)))
    attempts = [0] * len(jobs)
    failed: tuple[int, Failure] | None = None
    pool: list[_Worker] = []
    done = 0
    try:
        while True:
            for worker in [each for each in pool if each.job is None]:
                if waiting and failed is None:
                    number = waiting.popleft()
                    worker.give(number, jobs[number])
            while waiting and failed is None and len(pool) < workers:
                pool.append(_Worker())
                number = waiting.popleft()
                pool[-1].give(number, jobs[number])
            busy = [each for each in pool if each.job is not None]
            if not busy:
                break
            connection.wait([each.line for each in busy] + [each.process.sentinel for each in busy])
            for worker in busy:
                answer = _answer(worker)
                if answer is None:
                    continue
                assert worker.job is not None
                number, worker.job = worker.job, None
                if isinstance(answer, int):
                    done += 1
                    tell(done, answer)
                    continue
                if answer.kind == "death":
                    worker.end(now=True)
                    pool.remove(worker)
                attempts[number] += 1
                if answer.again and attempts[number] <= retries:
                    waiting.appendleft(number)
                elif failed is None or number < failed[0]:
                    failed = number, answer
    except BaseException:
        for worker in pool:
            worker.end(now=True)
        raise
    for worker in pool:
        worker.end(now=False)
    if failed is not None:
        raise failed[1].error(jobs[failed[0]])


def _answer(worker: _Worker) -> int | Failure | None:
    """What a worker says; its death counts as an answer, nothing new does not."""
    try:
        if worker.line.poll():
            answer: int | Failure = worker.line.recv()
            return answer
    except (EOFError, OSError):
        worker.process.join()
    if worker.process.is_alive():
        return None
    return Failure.death(worker.process.exitcode)


def _serve(line: Any) -> None:
    _end_with_parent()
    while (job := line.recv()) is not None:
        try:
            line.send(job.run())
        except Exception as error:
            line.send(Failure.of(error))


def _end_with_parent() -> None:
    """Let a worker end when the main process is killed; it would wait for work for ever, or write beside a new run."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
