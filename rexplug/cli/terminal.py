"""What goes to the terminal: text of documents and files cannot steer it.

A document may hold escape sequences that clear the screen, change its title or hide what follows. Whatever is printed
passes through here, and such characters are shown by a sign instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

# C0 but tab and line feed, DEL, C1, line separators, embeddings and overrides of direction, halves of surrogate pairs.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with a sign in place of each character that steers a terminal: `␛` for the escape character.

    >>> visible("red\\x1b[2Joak")
    'red␛[2Joak'
    """
    return _STEERING.sub(_sign, text)


def _sign(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\u2424" if code in (0x2028, 0x2029) else "\ufffd"


def one_line(text: str) -> str:
    """The same for a name, an address or a cell, which has no line of its own to begin."""
    return visible(text).replace("\n", "\u240a").replace("\t", "\u2409")


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text of any origin."""
    click.echo(visible(text), err=err, nl=nl)


def safe_json(text: str) -> str:
    """JSON that says the same, without characters that steer a terminal."""
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def echo_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    click.echo(safe_json(json.dumps(value, ensure_ascii=False)))


def console(file: IO[str] | None = None) -> Console:
    """A rich console for text of any origin: nothing in it is read as markup, and nothing steers the terminal."""
    from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
    from rich.segment import Segment

    class Shown:
        """Renders what it holds, with signs for characters that steer."""

        def __init__(self, inner: ConsoleRenderable) -> None:
            self.inner = inner

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for segment in console.render(self.inner, options):
                yield segment if segment.control else Segment(visible(segment.text), segment.style)

    class Shower(RenderHook):
        def process_renderables(self, renderables: Iterable[ConsoleRenderable]) -> list[ConsoleRenderable]:
            return [Shown(each) for each in renderables]

    made = Console(file=file, highlight=False, markup=False, emoji=False)
    made.push_render_hook(Shower())
    return made
