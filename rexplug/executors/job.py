"""A job, and how its failure travels between processes and hosts."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rexplug.errors import DataError, PluginError, RexplugError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work: `function(*arguments)` writes `record` last, and returns how many documents it went through."""

    title: str
    function: Callable[..., int]
    arguments: tuple[Any, ...]
    record: Path

    def run(self) -> int:
        """Do it; a full disk becomes a message.

        Raises:
            DataError: there is no room for what the job writes, or its input is at fault.
        """
        try:
            return self.function(*self.arguments)
        except OSError as error:
            if error.errno in _FULL or "No space left" in str(error) or "File too large" in str(error):
                raise DataError(
                    f"no room to write {self.title}: {error}; finished shards are kept: make room and run the same command "
                    "again"
                ) from None
            raise


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with a job, in a form that crosses processes and hosts."""

    kind: str
    text: str
    again: bool

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """A user's mistake keeps its sentence; anything else its traceback. Trouble with files may pass: try again."""
        if isinstance(error, RexplugError):
            return cls(type(error).__name__, str(error), False)
        shown = "".join(traceback.format_exception(error))
        return cls(type(error).__name__, shown, isinstance(error, OSError | MemoryError))

    @classmethod
    def death(cls, code: int | None) -> Failure:
        """Of a worker process that is gone."""
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return cls("death", how, True)

    def error(self, job: Job) -> Exception:
        """What to raise in the main process."""
        if self.kind == "death":
            return DataError(
                f"a worker died while it worked on {job.title} (killed, or out of memory: {self.text}), each time it was "
                "tried; finished shards are kept and the same command goes on from there. With less memory, lower "
                "curation.executor.workers"
            )
        if self.kind == PluginError.__name__:
            return PluginError(self.text)
        if self.kind in ("DataError", "RecipeError", "RexplugError"):
            return DataError(self.text)
        return RuntimeError(f"{job.title} failed:\n{self.text}")
