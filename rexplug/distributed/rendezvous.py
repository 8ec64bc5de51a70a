"""The rendezvous of ranks: the TCP store at MASTER_ADDR:MASTER_PORT, with errors that say what to change."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from rexplug.distributed.environment import env_int, rank, world_size
from rexplug.errors import DataError

_RENDEZVOUS_SECONDS = 600
"""How long ranks have to start and find each other; the environment variable REXPLUG_RENDEZVOUS_SECONDS changes it."""
_RESOLVE_SECONDS = 60.0
"""How long of that MASTER_ADDR may have no address; clusters publish the names of new machines late."""


def rendezvous_address() -> tuple[str, int, float]:
    """Host and port of rank 0's store, and the seconds that ranks have to meet there.

    Raises:
        DataError: the environment lacks a variable, or its values contradict each other.
    """
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if missing:
        raise DataError(
            f"the environment has WORLD_SIZE={world_size()}, but no {' and no '.join(missing)}; torchrun, srun and "
            "--processes set them"
        )
    if rank() >= world_size():
        raise DataError(
            f"the environment has RANK={rank()} and WORLD_SIZE={world_size()}; ranks are 0 to {world_size() - 1}"
        )
    port = env_int("MASTER_PORT", 0)
    if not 0 < port < 2**16:
        raise DataError(f"the environment has MASTER_PORT={port}; ports are 1 to {2**16 - 1}")
    return os.environ["MASTER_ADDR"], port, float(env_int("REXPLUG_RENDEZVOUS_SECONDS", _RENDEZVOUS_SECONDS))


def rendezvous_store(host: str, port: int, seconds: float) -> Any:
    """Torch's store that all ranks connect to: rank 0's own, or that of torchrun's agent.

    Names and ports are tried without torch first: torch waits forever for a name to resolve, and reports a failure as pages
    of C++ stack.

    Raises:
        DataError: the host has no address, the port is taken, or the other ranks did not come within `seconds`.
    """
    from torch.distributed.rendezvous import rendezvous

    deadline = time.monotonic() + seconds
    timed_out = _timed_out(f"{host}:{port}", seconds)
    _wait_for_address(host, port, min(seconds, _RESOLVE_SECONDS))
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
            if time.monotonic() >= deadline:
                raise timed_out
            time.sleep(0.2)
    try:
        left = timedelta(seconds=max(1.0, deadline - time.monotonic()))
        return next(iter(rendezvous("env://", timeout=left)))[0]
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
    if "timed out" in reason.lower() or time.monotonic() >= deadline:
        raise timed_out
    raise DataError(f"rank {rank()} of {world_size()} cannot connect to the other ranks at {host}:{port}: {reason}")


def _timed_out(where: str, seconds: float) -> DataError:
    return DataError(
        f"rank {rank()} of {world_size()} waited {seconds:.0f} s for the other ranks at {where}; were all "
        f"{world_size()} started, with the same MASTER_ADDR and MASTER_PORT, and can they reach each other? "
        "(REXPLUG_RENDEZVOUS_SECONDS sets how long they wait)"
    )


def compare_ranks(store: Any, kind: Mapping[str, str], seconds: float) -> None:
    """Check that all ranks have the same kind of device and the same versions: with others they would wait for each other.

    Args:
        store: torch's store, which all ranks have reached.
        kind: what must be equal: `device`, `GPU` or `CPU`, and the version of each package by its name.
        seconds: how long to wait for the other ranks.

    Raises:
        DataError: a rank differs from rank 0, or did not come.
    """
    keys = [f"rexplug/rank-{number}" for number in range(world_size())]
    try:
        store.set(keys[rank()], json.dumps(dict(kind)))
        store.wait(keys, timedelta(seconds=seconds))
        kinds = [json.loads(store.get(key)) for key in keys]
    except RuntimeError:
        raise _timed_out("the store", seconds) from None
    for number, theirs in enumerate(kinds):
        for name, value in kinds[0].items():
            if theirs.get(name) == value:
                continue
            if name == "device":
                with_gpu, without = (number, 0) if value == "CPU" else (0, number)
                raise DataError(
                    f"rank {without} of {world_size()} has no GPU that torch can use, and rank {with_gpu} has one; all need "
                    "one, or none (CUDA_VISIBLE_DEVICES= hides them)"
                )
            raise DataError(
                f"rank {number} of {world_size()} runs {name} {theirs.get(name)}, and rank 0 {value}; install the same "
                "version for all"
            )


def _wait_for_address(host: str, port: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return
        except OSError as error:
            if time.monotonic() >= deadline:
                raise DataError(
                    f"rank {rank()} of {world_size()} cannot find the machine of rank 0: MASTER_ADDR '{host}' has no address "
                    f"({error.strerror}); set it to a name or an address that every machine knows"
                ) from None
        time.sleep(0.5)
