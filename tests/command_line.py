"""Runs a command line in this process: a process of its own would import everything again, which takes most of its time."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Done:
    """Exit code and output of a command, named as those of `subprocess.run`."""

    returncode: int
    stdout: str
    stderr: str


def rexplug(*arguments: object, cwd: Path = ROOT, **environment: str) -> Done:
    """Run `rexplug` as the console script does, in the folder `cwd` and with these environment variables."""
    from rexplug import cli

    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.chdir(cwd)
        patch.setattr("sys.argv", ["rexplug", *map(str, arguments)])
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            code = cli._run()
        except SystemExit as error:
            code = int(error.code or 0)
    return Done(code, out.getvalue(), err.getvalue())
