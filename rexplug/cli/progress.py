"""Progress on the terminal: a live bar where there is one, plain lines in logs and CI."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from rexplug.cli import terminal

_EVERY_SECONDS = 15.0
"""Plain lines come at most this often."""
_SMALL = 0.02
"""A first report below this share of the total is work of this process, not of one that it continues."""


class TerminalProgress:
    """Implements `rexplug.progress.Progress` on a terminal or a log; a context manager that closes the last task.

    rich draws the live bar. The plain lines and the line that closes a task are ours: rich prints nothing between the start and
    the end of a task where there is no terminal, and its speed is that of the last seconds, not of the task.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self.console = console or terminal.console(sys.stderr)
        self.quiet = quiet
        self._bar = Progress(
            TextColumn("  {task.description}", style="cyan", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[detail]}", style="cyan", markup=False),
            console=self.console, transient=True, refresh_per_second=5, get_time=time.monotonic,
            disable=quiet or not self.console.is_terminal,
        )  # fmt: skip
        self._task: TaskID | None = None
        self._metrics: dict[str, float | str] = {}
        self._first: float | None = None
        self._unit = ""
        self._printed = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._close()
        self._bar.stop()

    def start(self, task: str, total: float | None = None, unit: str = "") -> None:
        """Begin a task; closes the one before with a line that stays."""
        self._close()
        self._task = self._bar.add_task(terminal.visible(task), total=total, detail="")
        self._metrics, self._first, self._unit = {}, None, unit
        self._printed = time.monotonic()

    def update(self, done: float, **metrics: float | str) -> None:
        """Show how much of the task is done."""
        if self._task is None:
            return
        self._metrics = {name: value for name, value in (self._metrics | metrics).items() if value != ""}
        total = self._bar.tasks[0].total
        if self._first is None:
            # The first report of a continued task counts what an earlier process did; the rate must not.
            self._first = 0.0 if total is None or done < _SMALL * total else done
        self._bar.update(self._task, completed=done, detail=terminal.visible(self._detail(done)))
        if self.quiet or not self._bar.disable:
            return
        if time.monotonic() - self._printed >= _EVERY_SECONDS:
            self._printed = time.monotonic()
            self._print(f"  {self._bar.tasks[0].description}  {self._detail(done)}", "")

    def note(self, text: str) -> None:
        """Print a line that stays; it ends the current task."""
        self._close()
        self._print(text, "bold" if self.console.is_terminal else "")

    def _rate(self, done: float) -> float:
        """Done per second since the task began in this process."""
        seconds = self._bar.tasks[0].elapsed or 0.0
        return (done - (self._first or 0.0)) / seconds if seconds > 0 else 0.0

    def _detail(self, done: float) -> str:
        """`42 %  420k/1M tokens  6.1k tokens/s  1 min 35 s left  loss 4.21`."""
        task, parts, rate = self._bar.tasks[0], [], self._rate(done)
        if task.total:
            parts.append(f"{min(1.0, done / task.total):4.0%}")
            if self._unit:
                parts.append(f"{amount(done)}/{amount(task.total)} {self._unit}")
        elif done:
            parts.append(f"{amount(done)} {self._unit}".rstrip())
        if rate > 0 and done:
            if self._unit or not task.total:
                parts.append(f"{amount(rate)} {self._unit or 'items'}/s")
            if task.total and done < task.total and (task.elapsed or 0.0) > 2:
                parts.append(f"{duration((task.total - done) / rate)} left")
        return "  ".join([*parts, *self._named_metrics()])

    def _named_metrics(self) -> list[str]:
        """Texts, which say what happens, before numbers, of which there may be many."""
        shown = sorted(self._metrics.items(), key=lambda metric: not isinstance(metric[1], str))
        return [f"{name} {value if isinstance(value, str) else _figure(value)}" for name, value in shown]

    def _close(self) -> None:
        """End the current task with a line that says what it took."""
        if self._task is None:
            return
        task = self._bar.tasks[0]
        parts = [f"{task.description}: {duration(task.elapsed or 0.0)}"]
        if task.completed and self._unit:
            parts.append(f"{amount(task.completed)} {self._unit}")
            rate = self._rate(task.completed)
            if rate > 0:
                parts.append(f"{amount(rate)} {self._unit}/s")
        self._bar.remove_task(self._task)
        self._task = None
        self._print("  " + ", ".join([*parts, *self._named_metrics()]), "dim" if self.console.is_terminal else "")

    def _print(self, text: str, style: str) -> None:
        if not self.quiet:
            self.console.print(Text(text, style=style), soft_wrap=True)


def _figure(value: float) -> str:
    """Four digits, but whole numbers in full: a count is read without an exponent."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e12 else f"{value:.4g}"


def amount(value: float) -> str:
    """A count in few characters: 950, 6.1k, 1.25M."""
    for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}" if value < 10 and value != int(value) else f"{value:.0f}"


def duration(seconds: float) -> str:
    """A time span with units: 4.2 s, 1 min 35 s, 3 h 20 min, 4.5 days."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days = hours / 24
    if days < 1000:
        return f"{days:,.1f} days"
    years = days / 365.25
    return f"{years:,.1f} years" if days < 3650 else f"{years:,.0f} years"
