"""Communication between ranks: broadcast, barrier and sums over a control group, and leaving it.

Beside torch's default group, which exchanges gradients, there are two gloo groups: the control group, whose collectives may
wait for days, and the step group, whose collectives belong to a training step. A process has one of each, so they are module
state here as they are in torch.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

from rexplug.distributed.environment import gpu_index, rank, world_size
from rexplug.distributed.failures import cannot_connect, communication_explained
from rexplug.distributed.launcher import peer_lost_exit_code
from rexplug.distributed.peers import PeerWatch
from rexplug.distributed.rendezvous import compare_ranks, rendezvous_address, rendezvous_store
from rexplug.errors import DataError
from rexplug.version import __version__

_CONTROL_TIMEOUT = timedelta(days=60)
"""Of the control group: curation may take days while the other ranks wait for the first phase."""
_TRAINING_TIMEOUT = timedelta(minutes=30)
"""Of the default group, which exchanges gradients, and of the step group: how long ranks wait for one that is stuck."""
_control_group: Any = None
_step_group: Any = None
_watch: PeerWatch | None = None
_collective_lock = threading.Lock()
"""Held during a collective of the control group: they must run in the same order on every rank."""
_leaked_groups: list[Any] = []
"""Process groups we leak on purpose, and waits that a signal interrupted: `destroy_process_group` joins gloo's threads while
holding the GIL, and one of those threads may need the GIL to free tensors of the last collective (observed deadlock)."""
_T = TypeVar("_T")


def connect() -> None:
    """Join the other ranks; does nothing in a run of one process, or when connected already.

    This rank's GPU becomes torch's current device before anything is allocated, and NCCL connects at once, so that what is
    wrong with it shows before any work is done.

    Raises:
        DataError: the environment is not that of a rank, the ranks do not find each other in time, differ in what they train
            on, or cannot communicate.
    """
    global _control_group, _step_group, _watch
    if world_size() <= 1 or _control_group is not None:
        return
    import torch
    import torch.distributed as dist

    device = None
    if torch.cuda.is_available():
        device = torch.device("cuda", gpu_index(torch.cuda.device_count()))
        torch.cuda.set_device(device)
    host, port, seconds = rendezvous_address()
    store = _interruptible(lambda: rendezvous_store(host, port, seconds))
    kind = {"device": "GPU" if device else "CPU", "torch": torch.__version__, "rexplug": __version__}
    _interruptible(lambda: compare_ranks(store, kind, seconds))
    store.set_timeout(_TRAINING_TIMEOUT)

    def join() -> None:
        if device is not None:
            torch.cuda.set_device(device)  # a setting of each thread
        dist.init_process_group(
            "gloo" if device is None else "nccl",
            store=store, rank=rank(), world_size=world_size(), timeout=_TRAINING_TIMEOUT, device_id=device,
        )  # fmt: skip

    try:
        _interruptible(join)
        _step_group = _interruptible(lambda: dist.new_group(backend="gloo", timeout=_TRAINING_TIMEOUT))
        _control_group = _interruptible(lambda: dist.new_group(backend="gloo", timeout=_CONTROL_TIMEOUT))
    except RuntimeError as error:
        raise cannot_connect(error, f"{host}:{port}") from None
    # Where rank 0 cannot be reached, ranks notice a lost one by errors and timeouts alone.
    with suppress(OSError, RuntimeError, ValueError):
        _watch = PeerWatch(store, host, peer_lost_exit_code())


def _interruptible(work: Callable[[], _T]) -> _T:
    """Run a call that may block for long in a thread of its own, so that this thread still handles signals.

    Such calls block in C++, where Python runs no signal handler; this thread waits in Python. Calls run one at a time.
    """
    outcome: list[_T] = []
    failure: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            with _collective_lock:
                outcome.append(work())
        except BaseException as error:
            failure.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="collective", daemon=True).start()
    _leaked_groups.append(done)  # stays there if a signal interrupts the wait: `exit_process` must know
    while not done.wait(1.0):
        pass
    _leaked_groups.remove(done)
    if failure:
        raise failure[0]
    return outcome[0]


def broadcast(value: Any) -> Any:
    """Give every rank the object that rank 0 passes; what the others pass is ignored.

    Raises:
        RankLost: another rank is gone.
    """
    if world_size() == 1:
        return value
    import torch.distributed as dist

    connect()
    box = [value]
    with communication_explained():
        _interruptible(lambda: dist.broadcast_object_list(box, src=0, group=_control_group))
    return box[0]


def barrier() -> None:
    """Wait until every rank has called this, however long that takes.

    Raises:
        RankLost: another rank is gone.
    """
    if world_size() == 1:
        return
    import torch
    import torch.distributed as dist

    connect()
    with communication_explained():
        # Not torch's own barrier, which would take a GPU of a gloo group too.
        _interruptible(lambda: dist.all_reduce(torch.zeros(1), group=_control_group))


def sum_over_ranks(number: int) -> int:
    """The sum of an integer over all ranks, on every rank; computed on the CPU, so that no GPU waits for it.

    Raises:
        RankLost: another rank is gone, or did not come within half an hour.
    """
    if world_size() == 1:
        return number
    import torch
    import torch.distributed as dist

    connect()
    box = torch.tensor([number], dtype=torch.int64)
    with communication_explained():
        dist.all_reduce(box, group=_step_group)
    return int(box)


def release_workers() -> None:
    """Tell the ranks that wait for a phase that there is none; rank 0 calls it however its run ends."""
    if world_size() > 1:
        # After an error in a phase the other ranks may be gone already.
        with suppress(RuntimeError, DataError):
            broadcast(None)
    disconnect()


def disconnect() -> None:
    """Leave the process groups, so that no collective waits for this process."""
    global _control_group, _step_group, _watch
    if _watch is not None:
        _watch.stop()
        _watch = None
    if _control_group is not None:
        import torch.distributed as dist
        from torch.distributed.distributed_c10d import _world

        _leaked_groups.append(dict(_world.pg_map))
        # NCCL waits for the other ranks before it frees a communicator; the end of the process frees it as well.
        if dist.get_backend() != "nccl":
            dist.destroy_process_group()
        _control_group = _step_group = None


def exit_process(code: int) -> NoReturn:
    """End this process with an exit code; one that was connected to other ranks ends without freeing its memory.

    Threads of gloo may be about to free a tensor, for which they need the interpreter; if it is gone, the process is aborted
    (SIGABRT) instead of ending with its exit code.
    """
    if _control_group is None and not _leaked_groups:
        sys.exit(code)
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
