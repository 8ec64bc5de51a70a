"""The call of a component's method: an exception that it raises names the plugin, the component, the method and its input.

    with PluginCall(labeller, "label", f"on {len(candidates)} candidates"):
        labels = labeller.label(candidates, context)

An exception that a plugin's own code raises becomes a `PluginError`:

    legal 0.1.0: legal.has_citation.judge() raised ValueError on document 'op-0003': invalid citation
      /home/me/legal.py:12, in judge: return Verdict(parse(document.text))

So do `SystemExit` (a library that calls `sys.exit()` must not end a run with an exit code of its own) and what else is no
`Exception`, such as the panic of a library written in Rust or a cancelled task; Ctrl-C passes. What the core's own components
raise is a mistake of rexplug and keeps its traceback. `RexplugError` passes, because a plugin raises it on purpose;
`OSError` and `MemoryError` pass, because executors retry after them and a full disk has a message of its own. Python shows
the note that these exceptions get under their traceback; `plugin_at_fault` finds it where an error is not retried.
"""

from __future__ import annotations

import math
import operator
import traceback
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from numbers import Real
from types import TracebackType
from typing import Any, Self, TypeVar

from rexplug.components import Component, Document, Shard, TokenBatch, TokenizedDocument
from rexplug.errors import PluginError, RexplugError, brief, error_text
from rexplug.plugins.hookspecs import GROUP
from rexplug.plugins.trial_limits import TrialOver

T = TypeVar("T")

_CORE = "rexplug"
_CORE_NOTE, _PLUGIN_NOTE = "raised by ", "raised by the plugin's "
"""Prefixes of the notes of exceptions that pass."""
_PASSING = (RexplugError, KeyboardInterrupt, GeneratorExit, TrialOver)
_MOST_LINES = 12
"""Lines of the plugin that a message shows; of a recursion without end the middle is left out."""


class PluginCall:
    """A context manager for one call of a component's method; see the module's documentation.

    Args:
        component: the component.
        method: the name of the method.
        subject: what it is called on. Documents, shards, rows and progress are described; a text is used as it is and begins
            with its preposition. It is described only if the call fails, so that a call that works costs under a microsecond.
    """

    __slots__ = ("_component", "_method", "_subject")

    def __init__(self, component: Component, method: str, subject: object = "") -> None:
        self._component, self._method, self._subject = component, method, subject

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        if isinstance(error, _PASSING) and (not isinstance(error, RexplugError) or str(error)):
            return  # one without a text would say nothing to the user
        what, on = f"{self._component.name}.{self._method}()", _described(self._subject)
        is_core = _package(self._component) == _CORE
        if isinstance(error, OSError | MemoryError) or (is_core and isinstance(error, Exception)):
            error.add_note(
                f"{_CORE_NOTE if is_core else _PLUGIN_NOTE}{'' if is_core else owner(self._component)}{what}{on}"
            )
            return
        if is_core:
            return
        message = error_text(error)
        text = f": {message}" if message else ""
        lines = [f"{owner(self._component)}{what} raised {type(error).__name__}{on}{text}"]
        lines += _own_lines(self._component, trace)
        raise PluginError("\n".join(lines)) from error


def plugin_at_fault(error: BaseException) -> PluginError | None:
    """The message for an unhandled `OSError` or `MemoryError` of a plugin's code; None for any other error."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, str) and note.startswith(_PLUGIN_NOTE):
            message = error_text(error)
            return PluginError(
                f"{note.removeprefix(_PLUGIN_NOTE)}: {type(error).__name__}{f': {message}' if message else ''}"
            )
    return None


def owner(component: Component) -> str:
    """`legal 0.1.0: ` for a component of an installed plugin, else an empty text."""
    version = None if _package(component) == _CORE else _version(component.name.partition(".")[0])
    return f"{component.name.partition('.')[0]} {version}: " if version else ""


@cache
def _version(plugin: str) -> str | None:
    """The version of the distribution that a plugin was installed with."""
    return next(
        (point.dist.version for point in entry_points(group=GROUP) if point.name == plugin and point.dist), None
    )


def _package(component: Component) -> str:
    return type(component).__module__.partition(".")[0]


def _described(subject: object) -> str:
    """The input of a call as it follows the name of an exception, e.g. ` on document 'op-0003'`."""
    if isinstance(subject, Document | TokenizedDocument):
        return f" on document '{subject.id}'"
    if isinstance(subject, Shard):
        return f" on shard {subject.index + 1} of {subject.count}"
    if isinstance(subject, TokenBatch):
        return f" on a row of {len(subject.token_ids):,} tokens"
    if isinstance(subject, float):
        return f" at progress {subject:g}"
    if isinstance(subject, Sequence) and subject and isinstance(subject[0], Document):
        return f" on {len(subject):,} documents, '{subject[0].id}' to '{subject[-1].id}'"
    return f" {subject}" if subject else ""


def _own_lines(component: Component, trace: TracebackType | None) -> list[str]:
    """The lines of a traceback that are in the plugin's own package or module."""
    lines = []
    for frame, number in traceback.walk_tb(trace):
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == _package(component):
            (summary,) = traceback.StackSummary.extract([(frame, number)])
            lines.append(f"  {summary.filename}:{summary.lineno}, in {summary.name}: {summary.line}")
    if len(lines) <= _MOST_LINES:
        return lines
    half = _MOST_LINES // 2
    return [*lines[:half], f"  ... {len(lines) - 2 * half:,} more lines ...", *lines[-half:]]


def unexpected(component: Component, method: str, returned: object, expected: str, what: str = "") -> PluginError:
    """The error for a method that returned a value that breaks its contract.

    Args:
        component: the component.
        method: the name of the method.
        returned: what it returned.
        expected: what would be right, as the object of 'expected'.
        what: what the method was called on, with its preposition.
    """
    return _returned(component, method, brief(returned), expected, what)


def _returned(component: Component, method: str, shown: str, expected: str, what: str) -> PluginError:
    of = f" {what}" if what else ""
    return PluginError(f"{owner(component)}{component.name}.{method}() returned {shown}{of}; expected {expected}")


def as_list(
    component: Component, method: str, returned: object, expected: str, *, subject: object = "", what: str = ""
) -> list[Any]:
    """The values that a method returned, in any sequence or generator.

    Raises:
        PluginError: it returned no collection of values, or its generator raised.
    """
    if isinstance(returned, str | bytes | Mapping) or not isinstance(returned, Iterable):
        raise unexpected(component, method, returned, expected, what)
    if isinstance(returned, list):
        return list(returned)
    with PluginCall(component, method, subject):  # a generator runs the plugin's code here
        return list(returned)


def list_of(
    component: Component,
    method: str,
    returned: object,
    kind: type[T],
    expected: str,
    *,
    subject: object = "",
    what: str = "",
) -> list[T]:
    """The values that a method returned, in any sequence or generator, all of them instances of `kind`.

    Raises:
        PluginError: it returned something else, or its generator raised.
    """
    values = as_list(component, method, returned, expected, subject=subject, what=what)
    if not all(isinstance(value, kind) for value in values):
        raise unexpected(component, method, values, expected, what)
    return values


def whole_number(component: Component, method: str, returned: Any, *, at_least: int) -> int:
    """The whole number that a method returned, Python's or numpy's.

    Raises:
        PluginError: it is something else, or below `at_least`.
    """
    try:
        number = operator.index(returned)
    except TypeError:
        number = at_least - 1
    if number < at_least:
        raise unexpected(component, method, returned, f"a whole number of at least {at_least}")
    return number


def require_array(
    component: Component, method: str, values: Any, dtype: str, shape: tuple[int, ...], what: str = ""
) -> None:
    """Check the type and shape of an array that a method returned.

    Raises:
        PluginError: it has another one.
    """
    if getattr(values, "dtype", None) == dtype and values.shape == shape:
        return
    is_array = hasattr(values, "dtype") and hasattr(values, "shape")
    shown = f"{values.dtype} {list(values.shape)}" if is_array else brief(values)
    raise _returned(component, method, shown, f"{dtype} {list(shape)}", what)


def is_bool(value: object) -> bool:
    """Whether a value is a bool, Python's or numpy's."""
    return isinstance(value, bool) or (getattr(value, "dtype", None) == "bool" and getattr(value, "shape", None) == ())


def is_finite(value: object) -> bool:
    """Whether a value is a finite number; a whole number that no float can hold is not."""
    try:
        return isinstance(value, Real) and math.isfinite(value)
    except OverflowError:
        return False


def text_property(component: Component, name: str) -> str:
    """The text of a property that is not empty."""
    with PluginCall(component, name):
        value: Any = getattr(component, name)
    if not isinstance(value, str) or not value:
        raise wrong_property(component, name, value, "a text")
    return value


def bool_property(component: Component, name: str) -> bool:
    """The value of a property that is true or false."""
    with PluginCall(component, name):
        value: Any = getattr(component, name)
    if not is_bool(value):
        raise wrong_property(component, name, value, "True or False")
    return bool(value)


def wrong_property(component: Component, name: str, value: object, expected: str) -> PluginError:
    """The error for a property with a value that breaks its contract."""
    return PluginError(f"{owner(component)}{component.name}.{name} is {brief(value)}; expected {expected}")
