"""Errors that the user can repair. Any other exception that leaves rexplug is a mistake of rexplug or of a plugin."""

from __future__ import annotations

import errno
import os
import unicodedata
from collections.abc import Sequence

_LONGEST_LINE = 2000
"""Characters of a line of a message; of a longer line the middle is left out."""
_LONGEST_VALUE = 120
"""Characters of a value that a message repeats."""
_CONTROL = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (*range(9), *range(11, 32), *range(127, 160), 0x2028, 0x2029)
}


def brief(value: object) -> str:
    """The `repr` of a value for a message, cut at 120 characters; its type where `repr` raises."""
    try:
        text = repr(value)
    except (Exception, SystemExit):  # the `repr` of a class from a plugin or a library
        text = f"<{type(value).__name__} whose repr raises>"
    if len(text) <= _LONGEST_VALUE:
        return text
    return f"{text[:_LONGEST_VALUE]}... ({len(text):,} characters)"


def shorten(text: str, limit: int = 60) -> str:
    """A text of at most `limit` characters; the end of a longer one is replaced by `...`."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def first_few(names: Sequence[str], limit: int = 3) -> str:
    """The first `limit` names and the number of the others: `a, b, c and 4 more`."""
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def error_text(error: object) -> str:
    """The text of an exception that a library or a plugin raised; its class may have a `__str__` that raises."""
    try:
        return str(error)
    except (Exception, SystemExit):
        return f"<{type(error).__name__} whose text cannot be shown>"


def one_line(error: object, limit: int = 300) -> str:
    """The text of an exception that a library raised, on one line and cut at `limit` characters."""
    return " ".join(error_text(error).split())[:limit]


def first_line(error: BaseException, limit: int = 300) -> str:
    """The first line of an exception's text, cut at `limit` characters; the name of its class if it has no text."""
    text = error_text(error).strip()
    return text.splitlines()[0][:limit] if text else type(error).__name__


def printable(text: str) -> str:
    """A message that is safe to show on a terminal: control characters and lone surrogates are escaped, long lines cut."""
    if not text.isascii() and any(unicodedata.category(character) == "Cs" for character in text):
        text = text.encode("utf-8", "backslashreplace").decode()
    return "\n".join(map(_cut, text.translate(_CONTROL).split("\n")))


def _cut(line: str) -> str:
    if len(line) <= _LONGEST_LINE:
        return line
    head, tail = 3 * _LONGEST_LINE // 4, _LONGEST_LINE // 4
    return f"{line[:head]} [... {len(line) - head - tail:,} characters ...] {line[-tail:]}"


class RexplugError(Exception):
    """A mistake that the user can repair; the text says where, what is wrong and what would be right."""

    def __str__(self) -> str:
        return printable(super().__str__())


class RecipeError(RexplugError):
    """The recipe, an override or an option on the command line is wrong."""


class PluginError(RexplugError):
    """A plugin did not load, breaks its contract, or a component that was asked for does not exist."""

    missing: str | None = None
    """The plugin that is not installed, where that is the reason."""


class DataError(RexplugError):
    """A source, a store, a checkpoint or another file cannot be read, or its contents are not what they should be.

    A plugin raises it for what its user can repair: rexplug shows the text as it is, without a traceback.
    """


class RankLost(DataError):
    """Another process of the run died, which is the only reason why this one stops."""


class RunInterrupted(RexplugError):
    """The run was asked to stop (Ctrl-C, SIGTERM, SIGHUP); its state is saved, and the next run continues from it."""


class NotApplicable(RexplugError):
    """A model cannot do what an evaluator measures; the result gives the reason in place of metrics.

    An evaluator raises it in `evaluate`, with the reason as a clause about the model.
    """


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The errors of a full disk, of an exhausted quota and of a limit on file sizes."""


_BLOCKED = (NotADirectoryError, IsADirectoryError, FileExistsError, PermissionError)
"""What the file system raises where another kind of file is in the way, or may not be touched."""


def blocked(error: BaseException) -> str | None:
    """Which path cannot be used, and why, if another kind of file is in the way or access is denied; None for other errors."""
    if isinstance(error, _BLOCKED) and error.filename is not None:
        return f"{os.fsdecode(error.filename)} cannot be used: {error.strerror}; repair or remove what is there"
    return None


def full_disk(error: BaseException) -> str | None:
    """What could not be written because the disk is full, e.g. `out/model: No space left on device`; None for other errors.

    safetensors and torch raise errors of their own, which are recognised by their text.
    """
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    text = str(error)
    signs = ["PytorchStreamWriter failed writing", "unexpected pos", *(f"os error {number}" for number in _FULL)]
    return text.splitlines()[0] if any(sign in text for sign in signs) else None
