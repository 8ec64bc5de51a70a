"""Where jobs run: processes on this machine, Ray, Slurm. A job is done when its record is there; no other state."""

from rexplug.executors.cluster import shared_ray_cluster
from rexplug.executors.job import Job
from rexplug.executors.run import run_jobs

__all__ = ["Job", "run_jobs", "shared_ray_cluster"]
