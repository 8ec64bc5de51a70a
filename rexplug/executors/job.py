"""A job, and its failure in a form that can be sent between processes and hosts."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rexplug.errors import DataError, PluginError, RexplugError, full_disk
from rexplug.io.compression import StorageError
from rexplug.plugins.calls import plugin_at_fault

ReportDone = Callable[[int, int], None]
"""Called with the number of jobs that are done, and the number of documents of the latest."""


@dataclass(frozen=True, slots=True)
class Job:
    """A function with its arguments; it writes the file `record` last, and returns how many documents it processed."""

    title: str
    function: Callable[..., int]
    arguments: tuple[Any, ...]
    record: Path

    def run(self) -> int:
        """Call the function; a full disk becomes a message for the user.

        Raises:
            DataError: there is no room for what the job writes, or its input is at fault.
        """
        try:
            return self.function(*self.arguments)
        except OSError as error:
            if full_disk(error) or "No space left" in str(error) or "File too large" in str(error):
                raise DataError(
                    f"no room to write {self.title}: {error}; finished shards are kept: make room and run the same command "
                    "again"
                ) from None
            raise


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed: the class of the exception, its text, and whether to try the job `again`."""

    kind: str
    text: str
    again: bool

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The failure of an exception: a message for users keeps its text, anything else its traceback. File errors may pass."""
        if isinstance(error, RexplugError):
            return cls(
                PluginError.__name__ if isinstance(error, PluginError) else DataError.__name__, str(error), False
            )
        if isinstance(error, StorageError):
            return cls(DataError.__name__, str(error), True)
        again = isinstance(error, OSError | MemoryError)
        if (blamed := plugin_at_fault(error)) is not None:
            return cls(PluginError.__name__, str(blamed), again)
        return cls(type(error).__name__, "".join(traceback.format_exception(error)), again)

    @classmethod
    def death(cls, code: int | None) -> Failure:
        """The failure of a worker process that ended, by its exit code."""
        cause = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return cls("death", cause, True)

    def error(self, job: Job) -> Exception:
        """The exception to raise in the main process."""
        if self.kind == "death":
            return DataError(
                f"a worker died while it worked on {job.title} (killed, or out of memory: {self.text}), each time it was "
                "tried; finished shards are kept and the same command resumes from there. With less memory, lower "
                "curation.executor.workers"
            )
        if self.kind == PluginError.__name__:
            return PluginError(self.text)
        if self.kind == DataError.__name__:
            return DataError(self.text)
        return RuntimeError(f"{job.title} failed:\n{self.text}")
