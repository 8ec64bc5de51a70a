"""This process's place among the ranks, read from the environment that torchrun, srun or `--processes` sets."""

from __future__ import annotations

import os
import re

from rexplug.errors import DataError

LAUNCHER_PID = "REXPLUG_LAUNCHER"
"""Environment variable in which a rank finds the process id of the launcher of `--processes`."""


def rank() -> int:
    """The number of this process among all ranks; 0 in a run of one process."""
    return env_int("RANK", 0)


def world_size() -> int:
    """The number of ranks; 1 in a run of one process.

    Raises:
        DataError: the environment names no positive number.
    """
    size = env_int("WORLD_SIZE", 1)
    if size < 1:
        raise DataError("the environment has WORLD_SIZE=0; at least one process trains")
    return size


def local_rank() -> int:
    """The number of this process among the ranks of its machine."""
    return env_int("LOCAL_RANK", 0)


def gpu_index(num_gpus: int) -> int:
    """The index of this rank's GPU among the GPUs that it sees: its local rank, or 0 where it sees one of its own alone.

    Args:
        num_gpus: the number of GPUs that this process sees.

    Raises:
        DataError: there are fewer GPUs than ranks on this machine.
    """
    ranks = max(env_int("LOCAL_WORLD_SIZE", 1), local_rank() + 1)
    if ranks <= num_gpus:
        return local_rank()
    # Slurm's --gpus-per-task shows every task its own GPU, as number 0.
    by_slurm = "SLURM_PROCID" in os.environ and LAUNCHER_PID not in os.environ
    if num_gpus == 1 and by_slurm and "CUDA_VISIBLE_DEVICES" in os.environ:
        return 0
    raise DataError(
        f"rank {rank()} of {world_size()} sees {num_gpus} GPU{'s' * (num_gpus != 1)}, but this machine has {ranks} ranks; start at "
        "most one rank per GPU"
    )


def env_int(name: str, default: int) -> int:
    """An environment variable as a non-negative integer.

    Raises:
        DataError: it is set to something else.
    """
    text = os.environ.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise DataError(
            f"the environment has {name}={text!r}, which is not a number; torchrun, srun and --processes set it"
        )
    return int(text)


def adopt_slurm_env() -> None:
    """Set torchrun's variables from Slurm's, in a job step of several tasks that `srun` started; else do nothing."""
    environment = os.environ
    if "RANK" in environment or env_int("SLURM_STEP_NUM_TASKS", 1) < 2:
        return
    environment["RANK"], environment["WORLD_SIZE"] = environment["SLURM_PROCID"], environment["SLURM_STEP_NUM_TASKS"]
    environment["LOCAL_RANK"], environment["NODE_RANK"] = (
        environment["SLURM_LOCALID"],
        environment.get("SLURM_NODEID", "0"),
    )
    nodes = max(1, env_int("SLURM_STEP_NUM_NODES", 1))
    environment.setdefault("LOCAL_WORLD_SIZE", str(int(environment["WORLD_SIZE"]) // nodes))
    environment.setdefault("MASTER_ADDR", first_host(environment.get("SLURM_STEP_NODELIST", "127.0.0.1")))
    # The same port in all tasks of a job, and unlikely to be the port of another job on the machine.
    environment.setdefault("MASTER_PORT", str(20_000 + env_int("SLURM_JOB_ID", 0) % 20_000))


def first_host(nodes: str) -> str:
    """The first host name of a Slurm node list: `gpu07` for `gpu[07-09,12],cpu1`."""
    match = re.match(r"([^,\[]+)(?:\[([0-9]+))?", nodes)
    return (match[1] + (match[2] or "")) if match else nodes
