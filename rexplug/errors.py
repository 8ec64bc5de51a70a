"""What rexplug raises when the user can mend it. Anything else that escapes is our own mistake."""

from __future__ import annotations

import errno
import unicodedata
from collections.abc import Sequence

_LONGEST_LINE = 2000
"""Characters of a line of a message; the middle of a longer one is left out."""
_LONGEST_VALUE = 120
"""Characters of a value in a message."""
_CONTROL = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (*range(9), *range(11, 32), *range(127, 160), 0x2028, 0x2029)
}


def brief(value: object) -> str:
    """A value as messages repeat it: as Python writes it, and cut where it is long."""
    text = repr(value)
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


def one_line(error: object, limit: int = 300) -> str:
    """The text of an exception that a library raised, on one line and cut at `limit` characters."""
    return " ".join(str(error).split())[:limit]


def printable(text: str) -> str:
    """A message as a terminal may show it: control characters and lone surrogates spelled out, long lines cut."""
    if not text.isascii() and any(unicodedata.category(each) == "Cs" for each in text):
        text = text.encode("utf-8", "backslashreplace").decode()
    return "\n".join(map(_cut, text.translate(_CONTROL).split("\n")))


def _cut(line: str) -> str:
    if len(line) <= _LONGEST_LINE:
        return line
    head, tail = 3 * _LONGEST_LINE // 4, _LONGEST_LINE // 4
    return f"{line[:head]} [... {len(line) - head - tail:,} characters ...] {line[-tail:]}"


class RexplugError(Exception):
    """A mistake that the user can mend; its text says where, what is wrong and what would be right."""

    def __str__(self) -> str:
        return printable(super().__str__())


class RecipeError(RexplugError):
    """The recipe, an override or an option on the command line is wrong."""


class PluginError(RexplugError):
    """A plugin did not load, breaks its contract, or a component that was asked for does not exist."""


class DataError(RexplugError):
    """A source, a store, a checkpoint or another file cannot be read or does not hold what it should."""


class RankLost(DataError):
    """Another process of the run is gone, and this one ends for that reason alone."""


class RunInterrupted(RexplugError):
    """The run was asked to stop (Ctrl-C, SIGTERM, SIGHUP); what was made so far is saved and the next run continues it."""


class NotApplicable(RexplugError):
    """A model cannot do what an evaluator measures; the result says so in place of a figure."""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a full disk, a used-up quota and a limit on the size of files are called."""


def full_disk(error: BaseException) -> str | None:
    """Why a file could not be written, if the error says that there is no room for it: `out/model: No space left on device`.

    safetensors and torch tell of it in errors of their own, in words.
    """
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    text = str(error)
    words = ["PytorchStreamWriter failed writing", "unexpected pos", *(f"os error {number}" for number in _FULL)]
    return text.splitlines()[0] if any(each in text for each in words) else None
