"""Data-parallel ranks: their environment, launch, rendezvous, communication and exit.

Every rank is one `rexplug run` with torchrun's environment (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT). Rank 0
does all stages; the others wait, train when it trains, and write nothing. `--processes N` starts ranks on this machine;
torchrun and Slurm start them on several, which need a shared file system. Importing this package imports no torch.
"""

from rexplug.distributed.environment import adopt_slurm_env, first_host, gpu_index, local_rank, rank, world_size
from rexplug.distributed.failures import communication_explained
from rexplug.distributed.launcher import command_line, launch, launcher_died, peer_lost_exit_code
from rexplug.distributed.process_group import (
    barrier,
    broadcast,
    connect,
    disconnect,
    exit_process,
    release_workers,
    sum_over_ranks,
)
from rexplug.distributed.signals import OUTPUT_DESCRIPTORS, detach_from_terminal, stop_signals

__all__ = [
    "OUTPUT_DESCRIPTORS", "adopt_slurm_env", "barrier", "broadcast", "command_line", "communication_explained", "connect",
    "detach_from_terminal", "disconnect", "exit_process", "first_host", "gpu_index", "launch", "launcher_died", "local_rank",
    "peer_lost_exit_code", "rank", "release_workers", "stop_signals", "sum_over_ranks", "world_size",
]  # fmt: skip
