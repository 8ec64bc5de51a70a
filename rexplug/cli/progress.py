"""Progress on the terminal: a live line where there is one, plain lines in logs and CI."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from rexplug.cli import terminal

_EVERY_SECONDS = 15.0
"""Plain lines come at most this often."""


class Clock:
    """Rate and time left of one task, from what was done since it started."""

    def __init__(self, task: str, total: float | None, unit: str) -> None:
        self.task, self.total, self.unit = task, total, unit
        self.started = time.monotonic()
        self.first: float | None = None
        self.done = 0.0
        self.figures: dict[str, float | str] = {}

    def update(self, done: float, figures: dict[str, float | str]) -> None:
        """Take in how much is done; a continued task starts its rate where it continued."""
        if self.first is None:
            # The first report of a continued task holds what an earlier run did.
            self.first = 0.0 if self.total is None or done < 0.02 * self.total else done
        self.done = done
        self.figures |= figures

    def line(self) -> str:
        """`pretrain  42 %  420k/1M tokens  6.1k tokens/s  1 min 35 s left  loss 4.21`."""
        seconds = time.monotonic() - self.started
        parts = [self.task]
        rate = (self.done - (self.first or 0.0)) / seconds if seconds > 0 else 0.0
        if self.total:
            parts.append(f"{min(1.0, self.done / self.total):4.0%}")
            parts.append(f"{amount(self.done)}/{amount(self.total)} {self.unit}".rstrip())
        elif self.done:
            parts.append(f"{amount(self.done)} {self.unit}".rstrip())
        if rate > 0 and self.done:
            parts.append(f"{amount(rate)} {self.unit or 'items'}/s")
            if self.total and self.done < self.total and seconds > 2:
                parts.append(f"{duration((self.total - self.done) / rate)} left")
        parts += [f"{name} {_figure(value)}" for name, value in self.figures.items()]
        return "  ".join(parts)

    def closing(self) -> str:
        """What is said when the task is over."""
        seconds = time.monotonic() - self.started
        parts = [f"{self.task}: {duration(seconds)}"]
        if self.done and self.unit:
            rate = (self.done - (self.first or 0.0)) / seconds if seconds > 0 else 0.0
            parts.append(f"{amount(self.done)} {self.unit}")
            if rate > 0:
                parts.append(f"{amount(rate)} {self.unit}/s")
        parts += [f"{name} {_figure(value)}" for name, value in self.figures.items()]
        return ", ".join(parts)


class TerminalProgress:
    """Implements `rexplug.progress.Progress` on a terminal or a log; a context manager that closes the last task."""

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self.console = console or terminal.console(sys.stderr)
        self.quiet = quiet
        self._live: Live | None = None
        self._clock: Clock | None = None
        self._said = 0.0

    def __enter__(self) -> Self:
        if self.console.is_terminal and not self.quiet:
            self._live = Live(Text(""), console=self.console, refresh_per_second=5, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._close()
        if self._live is not None:
            self._live.update(Text(""))
            self._live.stop()

    def start(self, task: str, total: float | None = None, unit: str = "") -> None:
        """Begin a task; closes the one before with a line that stays."""
        self._close()
        self._clock = Clock(task, total, unit)
        self._said = time.monotonic()
        self._show()

    def update(self, done: float, **figures: float | str) -> None:
        """Show how much of the task is done."""
        if self._clock is None:
            return
        self._clock.update(done, figures)
        self._show()

    def note(self, text: str) -> None:
        """Say a line that stays; a stage's line ends the task of the stage before."""
        self._close()
        self._print(text, "bold" if self.console.is_terminal else "")

    def _show(self) -> None:
        if self._clock is None or self.quiet:
            return
        if self._live is not None:
            self._live.update(
                Text("  " + terminal.visible(self._clock.line()), style="cyan", no_wrap=True, overflow="ellipsis")
            )
        elif time.monotonic() - self._said >= _EVERY_SECONDS:
            self._said = time.monotonic()
            self._print("  " + self._clock.line(), "")

    def _close(self) -> None:
        if self._clock is not None:
            self._print("  " + self._clock.closing(), "dim" if self.console.is_terminal else "")
            self._clock = None

    def _print(self, text: str, style: str) -> None:
        if not self.quiet:
            self.console.print(Text(text, style=style), soft_wrap=True)


def amount(value: float) -> str:
    """A count in few characters: 950, 6.1k, 1.25M."""
    for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}" if value < 10 and value != int(value) else f"{value:.0f}"


def duration(seconds: float) -> str:
    """A time span as people say it."""
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
    return (
        f"{days:,.1f} days"
        if days < 1000
        else f"{days / 365.25:,.1f} years"
        if days < 3650
        else f"{days / 365.25:,.0f} years"
    )


def _figure(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
