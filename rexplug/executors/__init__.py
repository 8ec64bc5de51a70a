"""Runs jobs in processes on this machine, on Ray or on Slurm. A job is done when its record exists; there is no other state."""

from rexplug.executors.cluster import shared_ray_cluster
from rexplug.executors.job import Job
from rexplug.executors.local import shared_workers
from rexplug.executors.run import run_jobs

__all__ = ["Job", "run_jobs", "shared_ray_cluster", "shared_workers"]
