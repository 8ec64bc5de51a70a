"""Signals: a phase saves a checkpoint and stops, whichever signal arrives."""

import errno
import os
import pty
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from engine.helpers import AtStep, assert_same_outcome, crash, lines_of, outcome

from rexplug.errors import RunInterrupted


@pytest.fixture
def own_terminal():
    """After SIGHUP the process no longer writes to the terminal; the tests' terminal is restored."""
    kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    yield
    for descriptor, copy in kept.items():
        os.dup2(copy, descriptor)
        os.close(copy)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_stops(bench_at, tmp_path, undisturbed, own_terminal, number):
    training = bench_at(tmp_path / "run")
    handler = signal.getsignal(number)
    with pytest.raises(RunInterrupted) as stop:
        training.train("first", AtStep(5, lambda: signal.raise_signal(number)))
    tokens = lines_of(training)[-1]["tokens"]
    assert str(stop.value) == (
        f"stopped in phase 'first' after step 5 ({tokens:,} of 3,000 tokens); saved; the same command resumes from here"
    )
    assert signal.getsignal(number) is handler
    progress = AtStep(-1, crash)
    training.train("first", progress)
    assert f"first resumes after step 5 ({tokens:,} of 3,000 tokens)" in progress.notes
    assert_same_outcome(outcome(training), undisturbed)


@pytest.mark.slow
def test_a_signal_in_the_last_step_stops_too(bench_at, tmp_path, undisturbed):
    training = bench_at(tmp_path / "run")
    last = undisturbed["state"]["step"]
    with pytest.raises(RunInterrupted) as stop:
        training.train("first", AtStep(last, lambda: signal.raise_signal(signal.SIGINT)))
    assert str(stop.value) == "stopped at the end of phase 'first'; saved; the same command resumes from here"
    training.train("first", AtStep(1, crash))
    assert_same_outcome(outcome(training), undisturbed)


@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGTERM])
def test_sighup_is_not_a_second_request_to_stop(own_terminal, first):
    """The end of a session sends SIGHUP and SIGTERM in either order, which counts as one request to stop."""
    from rexplug.engine.stop_request import StopRequest

    with (stop := StopRequest()).listening():
        hear = signal.getsignal(signal.SIGTERM)
        assert hear == signal.getsignal(signal.SIGHUP)
        hear(first, None)
        assert stop.received
        hear(signal.SIGTERM if first == signal.SIGHUP else signal.SIGHUP, None)
        hear(signal.SIGHUP, None)
        with pytest.raises(KeyboardInterrupt):
            hear(signal.SIGTERM, None)


def test_a_run_under_nohup_outlives_its_terminal():
    from rexplug import distributed
    from rexplug.engine.stop_request import StopRequest

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert distributed.stop_signals() == (signal.SIGTERM, signal.SIGINT)
        with (stop := StopRequest()).listening():
            signal.raise_signal(signal.SIGHUP)
            assert not stop.received
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_no_handler_is_set():
    """Python lets only the main thread set a signal handler; a run in another thread, as of a notebook, must still train."""
    from rexplug.engine.composer_import import import_composer
    from rexplug.engine.stop_request import StopRequest

    before = signal.getsignal(signal.SIGTERM)

    def phase():
        import_composer()
        with (stop := StopRequest()).listening():
            return stop.received, signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(phase).result() == (False, before)


def test_a_phase_trains_the_same_outside_the_main_thread(bench_at, tmp_path, undisturbed):
    training = bench_at(tmp_path / "run")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(training.train, "first").result()
    assert_same_outcome(outcome(training), undisturbed)


def fail(number):
    raise OSError(number, os.strerror(number))


@pytest.mark.slow
def test_a_report_that_fails_just_before_sighup_does_not_end_the_phase(bench_at, tmp_path, undisturbed, own_terminal):
    training = bench_at(tmp_path / "run")
    training.train("first", AtStep(5, lambda: fail(errno.EIO)))
    assert_same_outcome(outcome(training), undisturbed)


def test_other_errors_of_reports_are_raised(bench_at, tmp_path):
    with pytest.raises(OSError, match="No space left on device"):
        bench_at(tmp_path / "run").train("first", AtStep(1, lambda: fail(errno.ENOSPC)))


@pytest.mark.slow
def test_a_terminal_that_is_closed_leaves_a_checkpoint(bench_at, tmp_path, undisturbed):
    """A new terminal whose other end is closed, so that writing to it fails."""
    script = (
        "import fcntl, sys, termios; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import conftest as c\n"
        "from rexplug.errors import RunInterrupted\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "class Print(c.Silent):\n"
        "    def update(self, done, **metrics): metrics and print('step', flush=True)\n"
        "try: c.frequent(Path(sys.argv[2])).train('first', Print())\n"
        "except RunInterrupted as error: print(error, flush=True); Path(sys.argv[3]).write_text(str(error)); sys.exit(130)\n"
    )
    arguments = [
        sys.executable,
        "-c",
        script,
        str(Path(__file__).parent),
        str(tmp_path / "run"),
        str(tmp_path / "said"),
    ]
    terminal, ours = pty.openpty()
    child = subprocess.Popen(arguments, stdin=ours, stdout=ours, stderr=ours, start_new_session=True)
    os.close(ours)
    heard = b""
    while heard.count(b"step") < 4:
        heard += os.read(terminal, 1000)
    os.close(terminal)
    assert child.wait(timeout=120) == 130
    assert (tmp_path / "said").read_text().startswith("stopped in phase 'first' after step ")
    training = bench_at(tmp_path / "run")
    assert list((training.run.checkpoints / "first").glob("step-*"))
    training.train("first")
    assert_same_outcome(outcome(training), undisturbed)
