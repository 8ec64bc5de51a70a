"""Several ranks: the same stream and losses as one process, a clean end when one dies, and another number of ranks after a resume."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from engine.conftest import begin
from engine.helpers import lines_of_ranks

from rexplug.errors import DataError


def lines_of(training):
    exact, lines = lines_of_ranks(training)
    return exact, [line["loss"] for line in lines]


@pytest.fixture(autouse=True)
def _threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def alone(tmp_path_factory, request):
    training = request.getfixturevalue("bench_at")(tmp_path_factory.mktemp("alone") / "run")
    training.train("first")
    return lines_of(training)


@pytest.mark.slow
def test_two_ranks_train_as_one(launch, bench_at, tmp_path, alone):
    training = bench_at(tmp_path / "run")
    assert launch(training, 2) == 0
    exact, losses = lines_of(training)
    assert exact == alone[0]
    assert losses == pytest.approx(alone[1], abs=1e-5)
    assert (training.run.logs / "rank-1.log").exists()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_dies_ends_the_run_and_any_number_resumes(launch, bench_at, tmp_path, alone, rank):
    training = bench_at(tmp_path / "run")
    with pytest.raises(DataError) as error:
        launch(training, 2, steps=6, rank=rank)
    assert str(error.value) == (
        f"rank {rank} of 2 was ended by SIGKILL; the other ranks were stopped. The same command resumes from the last "
        f"checkpoint (the output of ranks other than 0 is in {training.run.logs})"
    )
    assert len(list((training.run.checkpoints / "first").glob("step-*"))) >= 1
    training.train("first")  # by one process
    exact, losses = lines_of(training)
    assert exact == alone[0]
    assert losses == pytest.approx(alone[1], abs=1e-5)


@pytest.mark.slow
def test_a_rank_that_fails_is_named_with_its_log(launch, bench_at, tmp_path, alone):
    training = bench_at(tmp_path / "run")
    with pytest.raises(DataError) as error:
        launch(training, 2, steps=6, rank=1, name="error")
    log = training.run.logs / "rank-1.log"
    assert str(error.value) == (
        f"rank 1 of 2 failed; its output is in {log}. The other ranks were stopped; the same command resumes from "
        "the last checkpoint"
    )
    assert log.read_text().endswith("this rank cannot read its disk\n")
    assert launch(training, 3) == 0
    assert lines_of(training)[0] == alone[0]


@pytest.mark.slow
def test_rank_0_reports_its_own_failure(launch, bench_at, tmp_path):
    training = bench_at(tmp_path / "run")
    assert launch(training, 2, steps=6, rank=0, name="error") == 2
    assert "lost another rank and ends; the same command resumes" in (training.run.logs / "rank-1.log").read_text()


@pytest.mark.slow
def test_a_signal_to_one_rank_saves_and_stops_all(launch, bench_at, tmp_path, alone):
    training = bench_at(tmp_path / "run")
    assert launch(training, 2, steps=4, rank=1, name="SIGTERM") == 130
    exact, _ = lines_of(training)
    assert exact == alone[0][:5], "both stop after the same step, the one after the signal"
    assert launch(training, 2) == 0
    assert lines_of(training)[0] == alone[0]


@pytest.mark.slow
def test_ranks_end_with_the_process_that_started_them(bench_at, tmp_path):
    training = bench_at(tmp_path / "run")
    begin(training)
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import conftest as c\n"
        "c.launch(c.frequent(Path(sys.argv[2])), 2, steps=5, rank=0, target=__import__('os').getpid())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(training.root)],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    deadline = 60
    while deadline and not list((training.run.checkpoints / "first").glob("step-00000000[56]")):
        deadline -= 1
        signal.sigtimedwait([], 0.5)
    exact, _ = lines_of(training)
    assert 5 <= len(exact) < 12, "they stopped soon and saved"
