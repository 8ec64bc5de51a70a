"""The place of a process among the ranks, as torchrun's or Slurm's environment gives it."""

import os

from rexplug import distributed


def test_the_first_host_of_a_slurm_list():
    assert distributed.first_host("gpu[07-09,12],cpu1") == "gpu07"
    assert distributed.first_host("gpu3,gpu4") == "gpu3"


def test_slurm_names_the_ranks(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    step = {
        "SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NUM_NODES": "2", "SLURM_PROCID": "5", "SLURM_LOCALID": "1",
        "SLURM_NODEID": "1", "SLURM_STEP_NODELIST": "node[03-04]", "SLURM_JOB_ID": "123456",
    }  # fmt: skip
    for name, value in step.items():
        monkeypatch.setenv(name, value)
    environment = dict(os.environ)
    try:
        distributed.adopt_slurm_env()
        assert (distributed.rank(), distributed.world_size(), distributed.local_rank()) == (5, 8, 1)
        assert os.environ["LOCAL_WORLD_SIZE"] == "4"
        assert os.environ["MASTER_ADDR"] == "node03"
        assert os.environ["MASTER_PORT"] == "23456"
    finally:
        os.environ.clear()
        os.environ.update(environment)


def test_a_batch_job_without_a_step_runs_one_process(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)
    monkeypatch.setenv("SLURM_NTASKS", "8")
    monkeypatch.setenv("SLURM_PROCID", "0")
    distributed.adopt_slurm_env()
    assert distributed.world_size() == 1
