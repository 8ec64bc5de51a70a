"""Ranks that the launcher starts: exit codes, signals, output and synchronization."""

import os
import signal
import sys

import pytest

from rexplug import distributed
from rexplug.distributed import launcher
from rexplug.errors import DataError


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch):
    monkeypatch.setattr(launcher, "_GRACE_SECONDS", 0.5)


def test_rank_0_writes_to_the_given_output(tmp_path):
    arguments = [sys.executable, "-S", "-c", "import os; print('rank', os.environ['RANK'])"]
    with (tmp_path / "output").open("w") as output:
        assert distributed.launch(2, arguments, tmp_path / "logs", output) == 0
    assert (tmp_path / "output").read_text() == "rank 0\n"
    assert (tmp_path / "logs" / "rank-1.log").read_text() == "rank 1\n"


@pytest.mark.slow
def test_a_rank_exits_with_its_code_and_flushes_its_output(tmp_path):
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


@pytest.mark.slow
def test_a_rank_that_waits_for_a_phase_hears_signals(tmp_path):
    """Rank 0 runs what only it does; rank 1 waits meanwhile and receives a signal to stop."""
    code = (
        "import os, signal, sys, time; from rexplug import distributed\n"
        "def stop(*_): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "distributed.connect()\n"
        "other = distributed.broadcast(os.getpid())\n"
        "if distributed.rank() == 0: time.sleep(60)\n"
        "signal.signal(signal.SIGALRM, stop); signal.setitimer(signal.ITIMER_REAL, 1.0)\n"
        "try: distributed.barrier()\n"
        "except KeyboardInterrupt: print('stopped'); os.kill(other, signal.SIGKILL); distributed.exit_process(130)\n"
    )
    with pytest.raises(DataError, match="rank 0 of 2 was ended by SIGKILL"):
        distributed.launch(2, [sys.executable, "-c", code], tmp_path / "logs")
    assert (tmp_path / "logs" / "rank-1.log").read_text() == "stopped\n"


@pytest.mark.slow
def test_a_barrier_waits_for_the_last_rank(tmp_path):
    """Each rank leaves a file before the barrier, the second one late; after it both see all files."""
    code = (
        "import sys, time; from pathlib import Path; from rexplug import distributed\n"
        "folder, rank = Path(sys.argv[1]), distributed.rank()\n"
        "distributed.connect()\n"
        "if rank == 1: time.sleep(1.5)\n"
        "(folder / f'before-{rank}').touch()\n"
        "distributed.barrier()\n"
        "seen = sorted(path.name for path in folder.glob('before-*'))\n"
        "distributed.disconnect(); distributed.exit_process(0 if seen == ['before-0', 'before-1'] else 1)\n"
    )
    assert distributed.launch(2, [sys.executable, "-c", code, str(tmp_path)], tmp_path / "logs") == 0


def test_in_a_run_of_one_process_nothing_is_waited_for(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    distributed.barrier()
    assert distributed.broadcast("value") == "value"
    assert distributed.sum_over_ranks(3) == 3
    assert not distributed.launcher_died()


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((0, 0), 0),
        ((2, 3), 2),
        ((1, None), 1),
        ((3, 0), 2),
        ((130, 130), 130),
        (
            (3, 1),
            "rank 1 of 2 failed; its output is in {logs}/rank-1.log. The other ranks were stopped; the same command",
        ),
        (
            (3, -9),
            "rank 1 of 2 was ended by SIGKILL; the other ranks were stopped. The same command resumes from the last",
        ),
        (
            (-11, 3),
            "rank 0 of 2 was ended by SIGSEGV; the other ranks were stopped. The same command resumes from the last",
        ),
    ],
)
def test_the_exit_code_of_a_run_is_that_of_its_first_rank_unless_another_failed(tmp_path, codes, expected):
    """Each rank ends with its code as soon as both run; one that outlives a failed rank (None) is killed in the end."""
    code = (
        "import os, sys, time; from pathlib import Path\n"
        "own = eval(sys.argv[1])[int(os.environ['RANK'])]\n"
        "(Path(sys.argv[2]) / os.environ['RANK']).touch()\n"
        "while len(list(Path(sys.argv[2]).iterdir())) < 2: time.sleep(0.01)\n"
        "if own is None: time.sleep(60)\n"
        "if own < 0: os.kill(os.getpid(), -own)\n"
        "sys.exit(own)\n"
    )
    ready, logs = tmp_path / "ready", tmp_path / "logs"
    ready.mkdir()
    arguments = [sys.executable, "-S", "-c", code, repr(codes), str(ready)]
    if isinstance(expected, int):
        assert distributed.launch(2, arguments, logs) == expected
    else:
        with pytest.raises(DataError) as error:
            distributed.launch(2, arguments, logs)
        assert str(error.value).startswith(expected.format(logs=logs))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_ranks_which_end_by_themselves(tmp_path, number):
    """Rank 0 asks its launcher to stop; both ranks save, which here is to write a file, and end with 130."""
    code = (
        "import os, signal, sys, time; from pathlib import Path\n"
        "def stop(number, frame):\n"
        "    (Path(sys.argv[1]) / f'saved-{os.environ[\"RANK\"]}').touch(); sys.exit(130)\n"
        "for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, stop)\n"
        "(Path(sys.argv[1]) / f'up-{os.environ[\"RANK\"]}').touch()\n"
        "while len(list(Path(sys.argv[1]).glob('up-*'))) < 2: time.sleep(0.01)\n"
        "if os.environ['RANK'] == '0': os.kill(os.getppid(), int(sys.argv[2]))\n"
        "time.sleep(60)\n"
    )
    kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}  # SIGHUP detaches this process from its terminal
    try:
        arguments = [sys.executable, "-S", "-c", code, str(tmp_path), str(int(number))]
        assert distributed.launch(2, arguments, tmp_path / "logs") == 130
    finally:
        for descriptor, copy in kept.items():
            os.dup2(copy, descriptor)
            os.close(copy)
    assert sorted(path.name for path in tmp_path.glob("saved-*")) == ["saved-0", "saved-1"]
