"""Progress on a terminal and in a log."""

import io

import pytest
from rich.console import Console

from rexplug.cli.progress import TerminalProgress, amount, duration
from rexplug.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test advances, for rich too."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def log(clock):
    """A progress that writes to a log, and the lines so far."""
    file = io.StringIO()
    progress = TerminalProgress(console=Console(file=file, width=120))
    return progress, lambda: file.getvalue().splitlines()


def test_it_implements_the_progress_protocol():
    assert isinstance(TerminalProgress(quiet=True), Progress)


def test_a_log_gets_a_line_per_interval_and_one_at_the_end(log, clock):
    progress, lines = log
    with progress:
        progress.note("stage one")
        progress.start("train", total=1000, unit="tokens")
        for second in range(1, 41):
            clock[0] += 1
            progress.update(10.0 * second, loss=5.0 - second / 10)
    assert lines() == [
        "stage one",
        "  train   15%  150/1k tokens  10 tokens/s  85 s left  loss 3.5",
        "  train   30%  300/1k tokens  10 tokens/s  70 s left  loss 2",
        "  train: 40 s, 400 tokens, 10 tokens/s, loss 1",
    ]


def test_the_rate_of_a_continued_task_leaves_out_what_was_done_before(log, clock):
    progress, lines = log
    with progress:
        progress.start("train", total=1000, unit="tokens")
        clock[0] += 1
        progress.update(600)
        clock[0] += 9
        progress.update(700)
    assert lines() == ["  train: 10 s, 700 tokens, 10 tokens/s"]


def test_a_task_without_total_or_unit(log, clock):
    progress, lines = log
    with progress:
        progress.start("count")
        clock[0] += 20
        progress.update(40, file="a.txt")
        progress.start("report")
    assert lines() == ["  count  40  2 items/s  file a.txt", "  count: 20 s, file a.txt", "  report: 0.0 s"]


def test_counts_are_shown_in_full_and_other_figures_with_four_digits(log, clock):
    progress, lines = log
    with progress:
        progress.start("count")
        clock[0] += 20
        progress.update(40, documents=146_600, loss=3.14159, rate=float("nan"))
    assert lines()[0].endswith("2 items/s  documents 146,600  loss 3.142  rate nan")


def test_a_task_with_a_share_and_what_happens_now(log, clock):
    progress, lines = log
    with progress:
        progress.start("evaluate m", 1.0)
        progress.update(0.0, now="search")
        clock[0] += 20
        progress.update(0.25, first=0.1, now="search: fine-tune 1, step 3 of 9")
        progress.update(1.0, now="", score=0.5)
    assert lines() == [
        "  evaluate m   25%  60 s left  now search: fine-tune 1, step 3 of 9  first 0.1",
        "  evaluate m: 20 s, first 0.1, score 0.5",
    ]  # fmt: skip


def test_quiet_prints_nothing(clock):
    file = io.StringIO()
    with TerminalProgress(quiet=True, console=Console(file=file, force_terminal=True)) as progress:
        progress.note("stage")
        progress.start("train", total=10)
        clock[0] += 60
        progress.update(5)
    assert file.getvalue() == ""


def test_an_error_leaves_the_task_open(log, clock):
    progress, lines = log
    with pytest.raises(KeyboardInterrupt), progress:
        progress.start("train", total=10)
        raise KeyboardInterrupt
    assert lines() == []


def test_a_terminal_shows_a_bar_that_goes_away_and_keeps_the_closing_line():
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=120, color_system=None)
    with TerminalProgress(console=console) as progress:
        progress.start("train\x1b[2J", total=100, unit="tokens")
        progress.update(50, loss=3.25)
        progress._bar.refresh()
        progress.note("done")
    text = file.getvalue()
    assert "train␛[2J" in text
    assert "50/100 tokens" in text
    assert "━" in text
    assert "  train␛[2J: 0.0 s, 50 tokens" in text
    assert "\x1b[2J" not in text


def test_amounts_and_durations_are_short():
    assert [amount(value) for value in (0, 3, 2.5, 950, 6100, 1.25e6, 3e9, 2e12)] == [
        "0", "3", "2.5", "950", "6.1k", "1.25M", "3B", "2T",
    ]  # fmt: skip
    assert [duration(value) for value in (4.21, 95, 200, 12_000, 400_000, 1e8, 1e9)] == [
        "4.2 s", "95 s", "3 min 20 s", "3 h 20 min", "4.6 days", "3.2 years", "32 years",
    ]  # fmt: skip
