"""Runs a command line in this process, and says what is wrong with its answer.

A command that reads a damaged run must work (exit code 0) or end in one message (exit code 2) that names the file or folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from command_line import rexplug


@dataclass(frozen=True)
class Answer:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The error message without the progress before it."""
        _, prefix, text = self.err.rpartition("rexplug: ")
        return (prefix + text).strip()

    def fault(self, run: Path) -> str | None:
        """How the answer breaks the rules; None if it does not."""
        if "Traceback" in self.err or self.code not in (0, 2):
            return f"exit code {self.code}: {self.message.splitlines()[-1] if self.message else self.err[-200:]}"
        if self.code == 2:
            if self.err.count("rexplug: ") != 1:
                return "not one message"
            if run.name not in self.message:
                return "the message names no file"
            if max(map(len, self.message.splitlines())) > 1500:
                return "the message is too long"
        return None


def call(*arguments: str) -> Answer:
    """Run a command in this process, as the console script does."""
    done = rexplug(*arguments)
    return Answer(done.returncode, done.stdout, done.stderr)
