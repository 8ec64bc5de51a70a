"""The processes of a data-parallel run: who they are, how they are started, how rank 0 tells the others what to do.

Every rank is one `rexplug run` with the environment of torchrun (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR,
MASTER_PORT). Rank 0 tells the story; the others wait, train when it trains, and write nothing. `--processes N` starts
them on this machine; torchrun or Slurm do on several, which need a file system in common.
"""

from __future__ import annotations

import atexit
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rexplug.errors import DataError, RunInterrupted

_WAIT = timedelta(days=60)
"""Curation may take days while the other ranks wait for the first phase."""
_GRACE = 20.0
"""Seconds that ranks have to end by themselves once one of them failed."""
LOST = 3
"""How a rank that ends because another one is gone tells so to the process that started both."""
_control: Any = None
_kept: list[Any] = []
"""Groups of ranks that were left. To destroy one is to wait, with the interpreter's lock in hand, for gloo's threads, and one
of these may wait for the lock: it gives back the tensors of the last exchange. Seen to hang."""


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask a run to stop: SIGTERM, Ctrl-C, and the end of its terminal unless it is to outlive it (nohup)."""
    asked = (signal.SIGTERM, signal.SIGINT)
    return asked if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*asked, signal.SIGHUP)


def leave_terminal(number: int) -> None:
    """After SIGHUP what is printed goes nowhere: writing to a terminal that is gone is an error, amid whatever is saved."""
    if number != signal.SIGHUP:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                os.dup2(nowhere, descriptor)
    os.close(nowhere)


def rank() -> int:
    """This process's number, 0 without others."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_rank() -> int:
    """This process's number on its machine: its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def take_environment() -> None:
    """Take Slurm's variables as torchrun's, in a step of several tasks that `srun` started."""
    found = os.environ
    if "RANK" in found or int(found.get("SLURM_STEP_NUM_TASKS", "1")) < 2:
        return
    found["RANK"], found["WORLD_SIZE"] = found["SLURM_PROCID"], found["SLURM_STEP_NUM_TASKS"]
    found["LOCAL_RANK"], found["NODE_RANK"] = found["SLURM_LOCALID"], found.get("SLURM_NODEID", "0")
    nodes = int(found.get("SLURM_STEP_NUM_NODES", "1"))
    found.setdefault("LOCAL_WORLD_SIZE", str(int(found["WORLD_SIZE"]) // nodes))
    found.setdefault("MASTER_ADDR", first_host(found.get("SLURM_STEP_NODELIST", "127.0.0.1")))
    # The same for all tasks of a job, and unlikely to be taken by another one on the machine.
    found.setdefault("MASTER_PORT", str(20_000 + int(found.get("SLURM_JOB_ID", "0")) % 20_000))


def first_host(nodes: str) -> str:
    """The first name of a Slurm node list: `gpu[07-09,12],cpu1` is gpu07."""
    match = re.match(r"([^,\[]+)(?:\[([0-9]+))?", nodes)
    return (match[1] + (match[2] or "")) if match else nodes


def connect() -> None:
    """Join the other ranks; does nothing alone or when done before."""
    global _control
    if world() == 1 or _control is not None:
        return
    import torch
    import torch.distributed as dist

    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank())
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=timedelta(minutes=30))
    _control = dist.new_group(backend="gloo", timeout=_WAIT)


def say(command: Any) -> Any:
    """Rank 0 gives every rank the same object; the others receive it (what they pass is ignored)."""
    if world() == 1:
        return command
    import torch.distributed as dist

    connect()
    box = [command]
    dist.broadcast_object_list(box, src=0, group=_control)
    return box[0]


def total(number: int) -> int:
    """The sum of every rank's number, on every rank; it goes past the devices, which need not wait for it."""
    if world() == 1:
        return number
    import torch
    import torch.distributed as dist

    connect()
    box = torch.tensor([number], dtype=torch.int64)
    dist.all_reduce(box, group=_control)
    return int(box)


def abandoned() -> bool:
    """Whether the process that started the ranks is gone."""
    launcher = os.environ.get("REXPLUG_LAUNCHER")
    return launcher is not None and os.getppid() != int(launcher)


def lost_code() -> int:
    """The exit code of a process that ends because another rank is gone."""
    return LOST if "REXPLUG_LAUNCHER" in os.environ else 2


def dismiss() -> None:
    """Tell the ranks that wait for a phase that there is none; rank 0 does so however its run ends."""
    if world() > 1:
        # After an error in a phase they may be gone already.
        with suppress(RuntimeError):
            say(None)
    disconnect()


def disconnect() -> None:
    """Leave the others, so that nothing waits for this process."""
    global _control
    if _control is not None:
        import torch.distributed as dist
        from torch.distributed.distributed_c10d import _world

        _kept.append(dict(_world.pg_map))
        dist.destroy_process_group()
        _control = None


def leave(code: int) -> NoReturn:
    """End this process with an exit code; one that met other ranks ends without tidying up its memory.

    Its libraries' threads may be about to give back a tensor. They need the interpreter for that, and if it is gone the
    process is aborted (SIGABRT) instead of ending with its code.
    """
    if _control is None and not _kept:
        sys.exit(code)
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def launch(num: int, arguments: Sequence[str], logs: Path) -> int:
    """Start `num` ranks of this command on this machine and wait for them.

    Args:
        num: how many.
        arguments: the command line of each, e.g. `[sys.executable, "-m", "rexplug", "run", ...]`.
        logs: where ranks other than 0 write what they print, `rank-1.log` and so on.

    Returns:
        The exit code of rank 0.

    Raises:
        DataError: a rank died; the others were ended.
        RunInterrupted: a signal stopped them.
    """
    logs.mkdir(parents=True, exist_ok=True)
    shared = os.environ | {"WORLD_SIZE": str(num), "LOCAL_WORLD_SIZE": str(num), "NODE_RANK": "0"}
    shared |= {"REXPLUG_LAUNCHER": str(os.getpid()), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    # Ranks that share the processors must not each take all of them.
    shared.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // num)))
    processes: list[subprocess.Popen[bytes]] = []
    asked: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        leave_terminal(number)
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGHUP if number == signal.SIGHUP else signal.SIGTERM)

    before = {number: signal.signal(number, pass_on) for number in stop_signals()}
    try:
        for number in range(num):
            own = shared | {"RANK": str(number), "LOCAL_RANK": str(number)}
            log = None if number == 0 else (logs / f"rank-{number}.log").open("w")
            # A session of its own: Ctrl-C reaches a rank through us, once.
            processes.append(
                subprocess.Popen(arguments, env=own, stdout=log, stderr=log, start_new_session=True)
            )  # fmt: skip
            if log is not None:
                log.close()
        codes = _wait(processes)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
    return _verdict(codes, bool(asked), logs)


def _wait(processes: Sequence[subprocess.Popen[bytes]]) -> list[int | None]:
    """Exit codes, in order of rank; once one fails the others get a while to end by themselves, or are ended: None."""
    failed_at: float | None = None
    ended: set[int] = set()
    while any(process.poll() is None for process in processes):
        time.sleep(0.05)
        if failed_at is None and any(process.poll() not in (None, 0) for process in processes):
            failed_at = time.monotonic()
        if failed_at is not None and time.monotonic() - failed_at > _GRACE:
            for number, process in enumerate(processes):
                if process.poll() is None:
                    process.kill()
                    ended.add(number)
    codes = [process.wait() for process in processes]
    return [None if number in ended else code for number, code in enumerate(codes)]


def _verdict(codes: Sequence[int | None], asked: bool, logs: Path) -> int:
    """The exit code of the whole, or an error that names the rank that failed by itself."""
    killed = next(((number, code) for number, code in enumerate(codes) if code is not None and code < 0), None)
    if killed is not None and not asked:
        name = signal.Signals(-killed[1]).name
        raise DataError(
            f"rank {killed[0]} of {len(codes)} was ended by {name}; the other ranks were stopped. The same command goes on "
            f"from the last checkpoint (what ranks other than 0 printed is in {logs})"
        )
    if asked and any(code not in (0, 130) for code in codes):
        raise RunInterrupted("interrupted; the same command goes on from the last checkpoint")
    failed = [number for number, code in enumerate(codes) if code not in (0, LOST, None)]
    if failed and failed[0] > 0:
        raise DataError(
            f"rank {failed[0]} of {len(codes)} failed; what it printed is in {logs / f'rank-{failed[0]}.log'}. The other "
            "ranks were stopped; the same command goes on from the last checkpoint"
        )
    # Rank 0 said by itself what was wrong.
    return 2 if codes[0] in (LOST, None) else codes[0] or 0


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def command_line() -> list[str]:
    """This command again, as a rank runs it."""
    return [sys.executable, "-c", "from rexplug.cli import main; main()", *sys.argv[1:]]
