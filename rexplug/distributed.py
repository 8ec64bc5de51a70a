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
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

from rexplug.errors import DataError, RunInterrupted

_WAIT = timedelta(days=60)
"""Curation may take days while the other ranks wait for the first phase."""
_STEP = timedelta(minutes=30)
"""How long an exchange amid training may take."""
_MEET = 600.0
"""Seconds that ranks have to start and find each other; REXPLUG_RENDEZVOUS_SECONDS changes it."""
_RESOLVE = 60.0
"""Seconds of these in which the name of rank 0's machine may become known; clusters make them known late."""
_GRACE = 20.0
"""Seconds that ranks have to end by themselves once one of them failed."""
EXIT_PEER_LOST = 3
"""How a rank that ends because another one is gone tells so to the process that started both."""
_control: Any = None
_turn = threading.Lock()
_T = TypeVar("_T")
_leaked_groups: list[Any] = []
"""Groups of ranks that were left, and waits for them that a signal ended. To destroy a group is to wait, with the interpreter's
lock in hand, for gloo's threads, and one of these may wait for the lock: it gives back the tensors of the last exchange. Seen to
hang."""


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask a run to stop: SIGTERM, Ctrl-C, and the end of its terminal unless it is to outlive it (nohup)."""
    asked = (signal.SIGTERM, signal.SIGINT)
    return asked if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*asked, signal.SIGHUP)


def detach_from_terminal(number: int) -> None:
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
    return _number("RANK", 0)


def world() -> int:
    """How many processes train together."""
    number = _number("WORLD_SIZE", 1)
    if number < 1:
        raise DataError("the environment has WORLD_SIZE=0; at least one process trains")
    return number


def local_rank() -> int:
    """This process's number on its machine: its GPU."""
    return _number("LOCAL_RANK", 0)


def _number(name: str, usual: int) -> int:
    text = os.environ.get(name, str(usual))
    if not (text.isascii() and text.isdigit()):
        raise DataError(
            f"the environment has {name}={text!r}, which is no number; torchrun, srun and --processes set it"
        )
    return int(text)


def adopt_slurm_env() -> None:
    """Take Slurm's variables as torchrun's, in a step of several tasks that `srun` started."""
    found = os.environ
    if "RANK" in found or _number("SLURM_STEP_NUM_TASKS", 1) < 2:
        return
    found["RANK"], found["WORLD_SIZE"] = found["SLURM_PROCID"], found["SLURM_STEP_NUM_TASKS"]
    found["LOCAL_RANK"], found["NODE_RANK"] = found["SLURM_LOCALID"], found.get("SLURM_NODEID", "0")
    nodes = max(1, _number("SLURM_STEP_NUM_NODES", 1))
    found.setdefault("LOCAL_WORLD_SIZE", str(int(found["WORLD_SIZE"]) // nodes))
    found.setdefault("MASTER_ADDR", first_host(found.get("SLURM_STEP_NODELIST", "127.0.0.1")))
    # The same for all tasks of a job, and unlikely to be taken by another one on the machine.
    found.setdefault("MASTER_PORT", str(20_000 + _number("SLURM_JOB_ID", 0) % 20_000))


def first_host(nodes: str) -> str:
    """The first name of a Slurm node list: `gpu[07-09,12],cpu1` is gpu07."""
    match = re.match(r"([^,\[]+)(?:\[([0-9]+))?", nodes)
    return (match[1] + (match[2] or "")) if match else nodes


def connect() -> None:
    """Join the other ranks; does nothing alone or when done before.

    Raises:
        DataError: the environment is not that of a rank, or the ranks do not find each other in time.
    """
    global _control
    if world() <= 1 or _control is not None:
        return
    import torch
    import torch.distributed as dist

    if torch.cuda.is_available():
        if local_rank() >= torch.cuda.device_count():
            raise DataError(
                f"rank {rank()} wants GPU {local_rank()} of this machine, which has {torch.cuda.device_count()}; start at most "
                "one rank per GPU"
            )
        torch.cuda.set_device(local_rank())
    where = _meeting_place()
    store = _patiently(lambda: _meet(*where))
    store.set_timeout(_STEP)
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(backend, store=store, rank=rank(), world_size=world(), timeout=_STEP)
        _control = _patiently(lambda: dist.new_group(backend="gloo", timeout=_WAIT))
    except RuntimeError as error:
        raise DataError(
            f"rank {rank()} of {world()} met the others at {where[0]}:{where[1]}, but cannot connect with them: "
            f"{str(error).splitlines()[0]} (GLOO_SOCKET_IFNAME names the network interface to use)"
        ) from None


def _meeting_place() -> tuple[str, int, float]:
    """Host and port of rank 0, and the seconds that there are to meet there."""
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if missing:
        raise DataError(
            f"the environment has WORLD_SIZE={world()}, but no {' and no '.join(missing)}; torchrun, srun and --processes set them"
        )
    if rank() >= world():
        raise DataError(f"the environment has RANK={rank()} and WORLD_SIZE={world()}; ranks are 0 to {world() - 1}")
    port = _number("MASTER_PORT", 0)
    if not 0 < port < 2**16:
        raise DataError(f"the environment has MASTER_PORT={port}; ports are 1 to {2**16 - 1}")
    return os.environ["MASTER_ADDR"], port, float(_number("REXPLUG_RENDEZVOUS_SECONDS", int(_MEET)))


def _meet(host: str, port: int, seconds: float) -> Any:
    """The store through which all ranks find each other: rank 0's, or that of torchrun's agent.

    What can be found out without torch is: it waits for ever for a name, and tells of a failure in pages of C++.
    """
    from torch.distributed.rendezvous import rendezvous

    end = time.monotonic() + seconds
    in_vain = DataError(
        f"rank {rank()} of {world()} waited {seconds:.0f} s in vain for the others at {host}:{port}; were all {world()} started, "
        "with the same MASTER_ADDR and MASTER_PORT, and may they reach each other? (REXPLUG_RENDEZVOUS_SECONDS is how long they "
        "wait)"
    )
    _resolve(host, port, min(seconds, _RESOLVE))
    if rank() == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        try:
            socket.create_server(("", port)).close()
        except OSError as error:
            reason = os.strerror(error.errno or 0)  # without the address, which some versions of Python add
            raise DataError(
                f"MASTER_PORT {port} cannot be opened on this machine ({reason}), so the ranks cannot meet there; give all ranks "
                "another one"
            ) from None
    else:
        while True:
            with suppress(OSError), socket.create_connection((host, port), timeout=5):
                break
            if time.monotonic() >= end:
                raise in_vain
            time.sleep(0.2)
    try:
        return next(iter(rendezvous("env://", timeout=timedelta(seconds=max(1.0, end - time.monotonic())))))[0]
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
    if "timed out" in reason.lower() or time.monotonic() >= end:
        raise in_vain
    raise DataError(f"rank {rank()} of {world()} cannot meet the others at {host}:{port}: {reason}")


def _resolve(host: str, port: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return
        except OSError as error:
            if time.monotonic() >= end:
                raise DataError(
                    f"rank {rank()} of {world()} does not find the machine of rank 0: MASTER_ADDR '{host}' has no address "
                    f"({error.strerror}); set it to a name or an address that every machine knows"
                ) from None
        time.sleep(0.5)


def _patiently(work: Callable[[], _T]) -> _T:
    """Do what may have to wait for other ranks in a thread of its own.

    It waits in C++, where no signal is heard, and this thread in Python, where they are. One at a time, since exchanges of
    a group must not overtake each other.
    """
    outcome: list[_T] = []
    failure: list[BaseException] = []
    done = threading.Event()

    def do() -> None:
        try:
            with _turn:
                outcome.append(work())
        except BaseException as error:
            failure.append(error)
        finally:
            done.set()

    threading.Thread(target=do, name="ranks", daemon=True).start()
    _leaked_groups.append(done)  # left behind if a signal ends the wait: see `exit_process`
    while not done.wait(1.0):
        pass
    _leaked_groups.remove(done)
    if failure:
        raise failure[0]
    return outcome[0]


def broadcast(command: Any) -> Any:
    """Rank 0 gives every rank the same object; the others receive it (what they pass is ignored)."""
    if world() == 1:
        return command
    import torch.distributed as dist

    connect()
    box = [command]
    _patiently(lambda: dist.broadcast_object_list(box, src=0, group=_control))
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


def launcher_died() -> bool:
    """Whether the process that started the ranks is gone."""
    launcher = os.environ.get("REXPLUG_LAUNCHER")
    return launcher is not None and os.getppid() != int(launcher)


def peer_lost_exit_code() -> int:
    """The exit code of a process that ends because another rank is gone."""
    return EXIT_PEER_LOST if "REXPLUG_LAUNCHER" in os.environ else 2


def release_workers() -> None:
    """Tell the ranks that wait for a phase that there is none; rank 0 does so however its run ends."""
    if world() > 1:
        # After an error in a phase they may be gone already.
        with suppress(RuntimeError):
            broadcast(None)
    disconnect()


def disconnect() -> None:
    """Leave the others, so that nothing waits for this process."""
    global _control
    if _control is not None:
        import torch.distributed as dist
        from torch.distributed.distributed_c10d import _world

        _leaked_groups.append(dict(_world.pg_map))
        dist.destroy_process_group()
        _control = None


def exit_process(code: int) -> NoReturn:
    """End this process with an exit code; one that met other ranks ends without tidying up its memory.

    Its libraries' threads may be about to give back a tensor. They need the interpreter for that, and if it is gone the
    process is aborted (SIGABRT) instead of ending with its code.
    """
    if _control is None and not _leaked_groups:
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
        detach_from_terminal(number)
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
    failed = [number for number, code in enumerate(codes) if code not in (0, EXIT_PEER_LOST, None)]
    if failed and failed[0] > 0:
        raise DataError(
            f"rank {failed[0]} of {len(codes)} failed; what it printed is in {logs / f'rank-{failed[0]}.log'}. The other "
            "ranks were stopped; the same command goes on from the last checkpoint"
        )
    # Rank 0 said by itself what was wrong.
    return 2 if codes[0] in (EXIT_PEER_LOST, None) else codes[0] or 0


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def command_line() -> list[str]:
    """This command again, as a rank runs it."""
    return [sys.executable, "-c", "from rexplug.cli import main; main()", *sys.argv[1:]]
