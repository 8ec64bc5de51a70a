"""The place of a process among the ranks, as torchrun's or Slurm's environment gives it."""

import os

import pytest

from rexplug import distributed
from rexplug.errors import DataError


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


@pytest.fixture
def on_four_gpus(monkeypatch):
    """Makes this process rank 7 of 8, the last of four ranks of its machine."""
    place = {"RANK": "7", "WORLD_SIZE": "8", "LOCAL_RANK": "3", "LOCAL_WORLD_SIZE": "4"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    for name in ("SLURM_PROCID", "CUDA_VISIBLE_DEVICES", "REXPLUG_LAUNCHER"):
        monkeypatch.delenv(name, raising=False)


def test_a_rank_takes_the_gpu_of_its_local_rank(on_four_gpus):
    assert distributed.gpu_index(4) == 3


def test_a_slurm_task_that_sees_its_own_gpu_alone_takes_it(on_four_gpus, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-5d1c")
    assert distributed.gpu_index(1) == 0
    monkeypatch.setenv("REXPLUG_LAUNCHER", "123")  # ranks of --processes in a Slurm job share what the job sees
    with pytest.raises(DataError, match="sees 1 GPU, but this machine has 4 ranks"):
        distributed.gpu_index(1)


@pytest.mark.parametrize("local_rank", ["0", "3"])
def test_more_ranks_than_gpus_are_refused_by_every_rank(on_four_gpus, monkeypatch, local_rank):
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    with pytest.raises(DataError) as error:
        distributed.gpu_index(2)
    assert str(error.value) == ("rank 7 of 8 sees 2 GPUs, but this machine has 4 ranks; start at most one rank per GPU")
