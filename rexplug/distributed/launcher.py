"""Starts the ranks of `--processes N` on this machine and reports how they ended.

Not torchrun, which was tried with torch 2.7: it kills ranks 30 s after it asked them to stop, which is less than a checkpoint
may take, exits with 1 whatever a rank's exit code was, and buries the message of the rank that failed under stack traces. Runs
that torchrun starts are supported all the same.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import IO

from rexplug.distributed.environment import LAUNCHER_PID
from rexplug.distributed.signals import detach_from_terminal, stop_signals
from rexplug.errors import DataError, RunInterrupted

_GRACE_SECONDS = 20.0
"""How long the other ranks have to end by themselves once one of them failed."""
EXIT_PEER_LOST = 3
"""Exit code of a rank that stops because a peer died."""


def launcher_died() -> bool:
    """Whether this rank was started by a launcher that has exited."""
    launcher = os.environ.get(LAUNCHER_PID)
    return launcher is not None and os.getppid() != int(launcher)


def peer_lost_exit_code() -> int:
    """The exit code of a rank that stops because a peer died: `EXIT_PEER_LOST` for our launcher, else 2."""
    return EXIT_PEER_LOST if LAUNCHER_PID in os.environ else 2


def launch(num_ranks: int, arguments: Sequence[str], logs: Path, output: IO[str] | None = None) -> int:
    """Start ranks of this command on this machine and wait for them.

    A signal that asks to stop is passed on to the ranks, which save and end by themselves.

    Args:
        num_ranks: how many.
        arguments: the command line of each, e.g. `[sys.executable, "-m", "rexplug", "run", ...]`.
        logs: the folder where ranks other than 0 write their output, `rank-1.log` and so on.
        output: the standard output of rank 0; that of this process if left out.

    Returns:
        The exit code of rank 0.

    Raises:
        DataError: a rank died or failed; the others were ended.
        RunInterrupted: a signal stopped them.
    """
    logs.mkdir(parents=True, exist_ok=True)
    shared = os.environ | {"WORLD_SIZE": str(num_ranks), "LOCAL_WORLD_SIZE": str(num_ranks), "NODE_RANK": "0"}
    shared |= {LAUNCHER_PID: str(os.getpid()), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    # Ranks that share the cores must not each start a thread per core.
    shared.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num_ranks)))
    processes: list[subprocess.Popen[bytes]] = []
    received: list[int] = []

    def forward_signal(number: int, frame: FrameType | None) -> None:
        received.append(number)
        detach_from_terminal(number)
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGHUP if number == signal.SIGHUP else signal.SIGTERM)

    handlers = {number: signal.signal(number, forward_signal) for number in stop_signals()}
    try:
        for rank in range(num_ranks):
            environment = shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            log = None if rank == 0 else (logs / f"rank-{rank}.log").open("w")
            # In a session of its own, a rank receives Ctrl-C from us alone, and once.
            processes.append(
                subprocess.Popen(arguments, env=environment, stdout=log or output, stderr=log, start_new_session=True)
            )
            if log is not None:
                log.close()
        codes = _wait_for_ranks(processes)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return _exit_code(codes, bool(received), logs)


def _wait_for_ranks(processes: Sequence[subprocess.Popen[bytes]]) -> list[int | None]:
    """Exit codes in order of rank; None for ranks that had to be killed because they outlived a failed one for too long."""
    failed_at: float | None = None
    killed: set[int] = set()
    while any(process.poll() is None for process in processes):
        time.sleep(0.05)
        # 130: it was asked to stop, and has saved; others may still be writing a checkpoint.
        if failed_at is None and any(process.poll() not in (None, 0, 130) for process in processes):
            failed_at = time.monotonic()
        if failed_at is not None and time.monotonic() - failed_at > _GRACE_SECONDS:
            for rank, process in enumerate(processes):
                if process.poll() is None:
                    process.kill()
                    killed.add(rank)
    codes = [process.wait() for process in processes]
    return [None if rank in killed else code for rank, code in enumerate(codes)]


def _exit_code(codes: Sequence[int | None], signalled: bool, logs: Path) -> int:
    """The exit code of the run, or an error that names the rank that failed first.

    Raises:
        DataError: a signal that we did not send ended a rank, or a rank other than 0 failed.
        RunInterrupted: the ranks were asked to stop.
    """
    killed = next(((rank, code) for rank, code in enumerate(codes) if code is not None and code < 0), None)
    if killed is not None and not signalled:
        name = signal.Signals(-killed[1]).name
        # torch aborts a rank in which NCCL failed, or that waited half an hour for another rank.
        why = ", perhaps by NCCL's watchdog, whose message is in its output" if name == "SIGABRT" else ""
        raise DataError(
            f"rank {killed[0]} of {len(codes)} was ended by {name}{why}; the other ranks were stopped. The same command "
            f"resumes from the last checkpoint (the output of ranks other than 0 is in {logs})"
        )
    if signalled and any(code not in (0, 130) for code in codes):
        raise RunInterrupted("interrupted; the same command resumes from the last checkpoint")
    failed = [rank for rank, code in enumerate(codes) if code not in (0, EXIT_PEER_LOST, None)]
    if failed and failed[0] > 0:
        raise DataError(
            f"rank {failed[0]} of {len(codes)} failed; its output is in {logs / f'rank-{failed[0]}.log'}. The other ranks were "
            "stopped; the same command resumes from the last checkpoint"
        )
    # Rank 0 has printed its own error.
    return 2 if codes[0] in (EXIT_PEER_LOST, None) else codes[0] or 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command_line() -> list[str]:
    """The command line that runs this command again, as a rank."""
    return [sys.executable, "-c", "from rexplug.cli import main; main()", *sys.argv[1:]]
