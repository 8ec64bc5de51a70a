"""Runs a command on a changed recipe, and says what is wrong with its answer.

The right answer is the command's output, or one message of a few lines and exit code 2.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from foreign.recipes.mutants import RECIPES, Mutant

COMMANDS = ("check", "show", "plan")
SECONDS = 20
"""Longest time that one call may take before it counts as hanging."""
LONGEST = 4000
"""Most characters that one line of a message may have, and a message of one problem."""


@dataclass(frozen=True)
class Answer:
    """A command's answer to a recipe: exit code (1 for a traceback), output, message, seconds."""

    code: int
    output: str
    message: str
    seconds: float
    error: BaseException | None = None

    @property
    def cause(self) -> str:
        """Type of the exception that escaped, and the last line of rexplug that it came through."""
        if self.error is None:
            return ""
        frames = traceback.extract_tb(self.error.__traceback__)
        own_frames = [frame for frame in frames if "rexplug" in frame.filename and "/tests/" not in frame.filename]
        last = own_frames[-1] if own_frames else frames[-1]
        where = re.sub(r".*/((?:rexplug|plugins)/.*)", r"\1", last.filename)
        return f"{type(self.error).__name__} at {where}:{last.lineno} {last.name}: {str(self.error)[:90]!r}"


def prepare(folder: Path) -> None:
    """Write the local texts that shipped recipes read, and the recipes, since some extend others."""
    for name in ("general", "retail", "domain"):
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "texts.jsonl").write_text('{"text": "a server and a waterproof jacket"}\n')
    for path in RECIPES:
        (folder / path.name).write_bytes(path.read_bytes())


class _TimedOut(BaseException):
    """A call took too long."""


def run_command(command: str, mutated: Mutant, folder: Path) -> Answer:
    """Run a command on a recipe in this process, as the command line does; `prepare` wrote the `folder`."""
    from rexplug.cli import cli
    from rexplug.errors import RexplugError

    path = folder / "mutant.yaml"
    path.write_bytes(mutated.content)

    def time_out(number: int, frame: Any) -> None:
        raise _TimedOut(f"more than {SECONDS} s")

    before = Path.cwd()
    os.chdir(folder)
    output, errors = _strict_stream(), _strict_stream()
    handler = signal.signal(signal.SIGALRM, time_out)
    signal.alarm(SECONDS)
    began = time.perf_counter()
    code, message, error = 0, "", None
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                cli([command, "mutant.yaml", "--", *mutated.overrides], standalone_mode=False)
            except click.ClickException as refused:
                code, message = 2, refused.format_message()
            except RexplugError as refused:
                code, message = 2, str(refused)
            if message:
                click.echo(message, err=True)  # a message that cannot be printed is a traceback too
    except (Exception, _TimedOut) as problem:
        code, error = 1, problem
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        os.chdir(before)
    output.flush()
    return Answer(code, output.buffer.getvalue().decode(), message, time.perf_counter() - began, error)


def _strict_stream() -> Any:
    """A stream that accepts only valid Unicode, as a terminal does."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict", write_through=True)


def faults(command: str, answer: Answer, folder: Path) -> list[str]:
    """What is wrong with an answer; empty if it is right. What `show` prints must be a recipe, and the same one."""
    if answer.error is not None:
        return [f"traceback: {answer.cause}"]
    problems = []
    if command == "show" and answer.code == 0:
        again = run_command("show", Mutant(0, answer.output.encode(), (), "what show printed"), folder)
        if again.error is not None or again.code:
            problems.append(f"what show prints is not a valid recipe: {again.cause or again.message[:200]}")
        elif again.output != answer.output:
            changed = [line for line in again.output.splitlines() if line not in answer.output.splitlines()]
            problems.append(f"what show prints is another recipe: {changed[:3]}")
    if answer.code == 0 and command != "show" and (line := re.search(r".*\b(?:inf|nan)\b.*", answer.output)):
        problems.append(f"the output holds inf or nan: {line[0][:120]}")
    if answer.seconds > SECONDS / 2:
        problems.append(f"slow: {answer.seconds:.1f} s")
    if answer.code == 2 and not answer.message.strip():
        problems.append("no message")
    if any(len(line) > LONGEST for line in answer.message.splitlines()):
        problems.append("a line of the message is too long")
    control = re.search(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u2028\u2029]", answer.message)
    if control:
        problems.append(f"the message holds the control character {control[0]!r}")
    return problems
