"""Several processes: the same stream and losses as one, a clean end when one dies, and another number afterwards."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from rexplug import distributed
from rexplug.errors import DataError


def lines_of(made):
    lines = [json.loads(line) for line in made.run.metrics.read_text().splitlines()]
    exact = [{k: line[k] for k in ("step", "tokens", "learning_rate", "shares", "masked", "planned")} for line in lines]
    return exact, [line["loss"] for line in lines]


@pytest.fixture(autouse=True)
def _threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def alone(tmp_path_factory, request):
    made = request.getfixturevalue("bench_at")(tmp_path_factory.mktemp("alone") / "run")
    made.train("first")
    return lines_of(made)


@pytest.mark.slow
def test_two_ranks_train_as_one(launch, bench_at, tmp_path, alone):
    made = bench_at(tmp_path / "run")
    assert launch(made, 2) == 0
    exact, losses = lines_of(made)
    assert exact == alone[0]
    assert losses == pytest.approx(alone[1], abs=1e-5)
    assert (made.run.logs / "rank-1.log").exists()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_dies_ends_the_run_and_any_number_goes_on(launch, bench_at, tmp_path, alone, rank):
    made = bench_at(tmp_path / "run")
    with pytest.raises(DataError) as error:
        launch(made, 2, steps=6, rank=rank)
    assert str(error.value) == (
        f"rank {rank} of 2 was ended by SIGKILL; the other ranks were stopped. The same command goes on from the last "
        f"checkpoint (what ranks other than 0 printed is in {made.run.logs})"
    )
    assert len(list((made.run.checkpoints / "first").glob("step-*"))) >= 1
    made.train("first")  # by one process
    exact, losses = lines_of(made)
    assert exact == alone[0]
    assert losses == pytest.approx(alone[1], abs=1e-5)


@pytest.mark.slow
def test_a_rank_that_fails_is_named_with_what_it_printed(launch, bench_at, tmp_path, alone):
    made = bench_at(tmp_path / "run")
    with pytest.raises(DataError) as error:
        launch(made, 2, steps=6, rank=1, name="error")
    log = made.run.logs / "rank-1.log"
    assert str(error.value) == (
        f"rank 1 of 2 failed; what it printed is in {log}. The other ranks were stopped; the same command goes on from "
        "the last checkpoint"
    )
    assert log.read_text().endswith("this rank cannot read its disk\n")
    assert launch(made, 3) == 0
    assert lines_of(made)[0] == alone[0]


@pytest.mark.slow
def test_a_failure_of_the_first_rank_is_its_own_to_tell(launch, bench_at, tmp_path):
    made = bench_at(tmp_path / "run")
    assert launch(made, 2, steps=6, rank=0, name="error") == 2
    assert "lost another rank and ends; the same command goes on" in (made.run.logs / "rank-1.log").read_text()


@pytest.mark.slow
def test_a_signal_to_one_rank_saves_and_stops_all(launch, bench_at, tmp_path, alone):
    made = bench_at(tmp_path / "run")
    assert launch(made, 2, steps=4, rank=1, name="SIGTERM") == 130
    exact, _ = lines_of(made)
    assert exact == alone[0][:5], "both stop after the same step, the one after the signal"
    assert launch(made, 2) == 0
    assert lines_of(made)[0] == alone[0]


@pytest.mark.slow
def test_a_rank_ends_with_its_code_and_all_that_it_had_to_say(tmp_path):
    code = (
        "import atexit; from rexplug import distributed\n"
        "assert distributed.broadcast('hello') == 'hello'\n"
        "atexit.register(print, 'and last words')\n"
        "print('half a line', end=' ')\n"
        "distributed.disconnect(); distributed.exit_process(7)\n"
    )
    assert distributed.launch(2, [sys.executable, "-c", code], tmp_path / "logs") == 7
    assert (tmp_path / "logs" / "rank-1.log").read_text() == "half a line and last words\n"


def test_alone_leaving_is_an_ordinary_exit():
    with pytest.raises(SystemExit) as caught:
        distributed.exit_process(3)
    assert caught.value.code == 3


@pytest.fixture
def second(monkeypatch):
    """This process is rank 1 of 2; its environment is changed by keywords. A wait that was given up is not waited for."""
    monkeypatch.setattr(distributed, "_leaked_groups", [])
    monkeypatch.setattr(distributed, "_turn", threading.Lock())

    def become(**changes):
        usual = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
        monkeypatch.setenv("REXPLUG_RENDEZVOUS_SECONDS", "1")
        monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)
        for name, value in (usual | changes).items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)

    return become


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"RANK": "two"}, "the environment has RANK='two', which is no number; torchrun, srun and --processes set it"),
        (
            {"WORLD_SIZE": "-2"},
            "the environment has WORLD_SIZE='-2', which is no number; torchrun, srun and --processes",
        ),
        ({"WORLD_SIZE": "0"}, "the environment has WORLD_SIZE=0; at least one process trains"),
        ({"RANK": "2"}, "the environment has RANK=2 and WORLD_SIZE=2; ranks are 0 to 1"),
        ({"MASTER_PORT": "70000"}, "the environment has MASTER_PORT=70000; ports are 1 to 65535"),
        (
            {"MASTER_ADDR": None, "MASTER_PORT": ""},
            "the environment has WORLD_SIZE=2, but no MASTER_ADDR and no MASTER_PORT; torchrun, srun and --processes set",
        ),
        (
            {"MASTER_ADDR": "no-such-host.invalid"},
            "rank 1 of 2 does not find the machine of rank 0: MASTER_ADDR 'no-such-host.invalid' has no address (",
        ),
        (
            {},
            "rank 1 of 2 waited 1 s in vain for the others at 127.0.0.1:29511; were all 2 started, with the same MASTER_ADDR "
            "and MASTER_PORT, and may they reach each other? (REXPLUG_RENDEZVOUS_SECONDS is how long they wait)",
        ),
    ],
)
def test_ranks_that_do_not_find_each_other_say_why(second, changes, message):
    second(**changes)
    with pytest.raises(DataError) as error:
        distributed.connect()
    assert str(error.value).startswith(message)


def test_a_port_in_use_is_named(second):
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        second(RANK="0", MASTER_PORT=str(port))
        with pytest.raises(DataError) as error:
            distributed.connect()
    assert str(error.value) == (
        f"MASTER_PORT {port} cannot be opened on this machine (Address already in use), so the ranks cannot meet there; give "
        "all ranks another one"
    )


def test_a_rank_that_waits_for_the_others_hears_signals(second):
    second(REXPLUG_RENDEZVOUS_SECONDS="20", MASTER_PORT="29512")

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    began = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt):
            distributed.connect()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < 10


@pytest.mark.slow
def test_a_rank_that_waits_for_a_phase_hears_signals(tmp_path):
    """Rank 0 is busy with what only it does; rank 1 waits in the meantime and is asked to stop."""
    code = (
        "import os, signal, sys, time; from rexplug import distributed\n"
        "def stop(*_): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "distributed.connect()\n"
        "other = distributed.broadcast(os.getpid())\n"
        "if distributed.rank() == 0: time.sleep(60)\n"
        "signal.signal(signal.SIGALRM, stop); signal.setitimer(signal.ITIMER_REAL, 1.0)\n"
        "try: distributed.broadcast(None)\n"
        "except KeyboardInterrupt: print('stopped'); os.kill(other, signal.SIGKILL); distributed.exit_process(130)\n"
    )
    with pytest.raises(DataError, match="rank 0 of 2 was ended by SIGKILL"):
        distributed.launch(2, [sys.executable, "-c", code], tmp_path / "logs")
    assert (tmp_path / "logs" / "rank-1.log").read_text() == "stopped\n"


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
        assert (distributed.rank(), distributed.world(), distributed.local_rank()) == (5, 8, 1)
        assert os.environ["LOCAL_WORLD_SIZE"] == "4"
        assert os.environ["MASTER_ADDR"] == "node03"
        assert os.environ["MASTER_PORT"] == "23456"
    finally:
        os.environ.clear()
        os.environ.update(environment)


def test_a_batch_job_that_is_no_step_is_one_process(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)
    monkeypatch.setenv("SLURM_NTASKS", "8")
    monkeypatch.setenv("SLURM_PROCID", "0")
    distributed.adopt_slurm_env()
    assert distributed.world() == 1


def test_rows_are_dealt_out_and_a_rank_without_one_idles(bench):
    from rexplug.engine.loader import data_spec
    from rexplug.engine.packed_row import unpack_fields

    stream = bench().stream("first")

    def first(rank: int = 0, world: int = 1) -> dict[str, object]:
        return next(iter(data_spec(stream, stream.start, rank, world).dataloader))

    whole = first()
    assert len(unpack_fields(whole)) == 2
    parts = [first(rank, 3) for rank in range(3)]
    rows = [row for part in parts for row in unpack_fields(part)]
    assert [len(row.token_ids) for row in rows] == [stream.row_tokens] * 3, "a row of another width is compiled anew"
    assert sum(row.num_masked for row in unpack_fields(whole)) == sum(row.num_masked for row in rows)
    idle = rows[2]
    assert (idle.num_tokens, idle.num_masked, len(idle.masked)) == (0, 0, 0)
    assert sum(idle.lengths) == stream.row_tokens
    assert max(idle.lengths) == stream.context
    for part in parts:
        assert part["about"].pop("documents").tolist() == whole["about"]["documents"].tolist()
        assert part["about"].items() <= whole["about"].items(), "figures are those of the whole batch"


def test_loader_workers_give_the_batches_of_the_process_itself(bench):
    from rexplug.engine.loader import data_spec

    stream = bench().stream("first")
    alone, beside = (list(data_spec(stream, stream.start, workers=workers).dataloader) for workers in (0, 2))
    assert len(alone) == len(beside) > 3
    for one, other in zip(alone, beside, strict=True):
        assert one["about"].pop("documents").tolist() == other["about"].pop("documents").tolist()
        assert one["about"] == other["about"]
        assert all(torch.equal(one["fields"][name], other["fields"][name]) for name in one["fields"])
        assert [one[key] for key in ("sizes", "lengths", "num_tokens")] == [
            other[key] for key in ("sizes", "lengths", "num_tokens")
        ]


@pytest.mark.slow
def test_ranks_end_with_the_process_that_started_them(bench_at, tmp_path):
    made = bench_at(tmp_path / "run")
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import conftest as c\n"
        "c.launch(c.frequent(Path(sys.argv[2])), 2, steps=5, rank=0, target=__import__('os').getpid())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(made.root)],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    deadline = 60
    while deadline and not list((made.run.checkpoints / "first").glob("step-00000000[56]")):
        deadline -= 1
        signal.sigtimedwait([], 0.5)
    exact, _ = lines_of(made)
    assert 5 <= len(exact) < 12, "they stopped soon and saved"
