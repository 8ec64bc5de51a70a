"""Where jobs run: processes on this machine, Ray, Slurm. A job is done when its record is there; no other state."""

from rexplug.executors.cluster import one_cluster
from rexplug.executors.job import Job
from rexplug.executors.run import run_jobs

__all__ = ["Job", "one_cluster", "run_jobs"]
