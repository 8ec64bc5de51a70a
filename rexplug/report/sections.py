"""Parts of the report that other modules fill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rexplug.report.contents import Contents


@dataclass(frozen=True)
class Part:
    """A part of the page: `html` is put in as it is, so whoever makes it escapes what it shows."""

    title: str
    html: str


PARTS: Sequence[Callable[[Contents], Part | None]] = ()
"""Asked in this order; None leaves the part out. They come between evaluation and corpus."""
