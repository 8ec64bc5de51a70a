"""Output to the terminal, which text of documents and files cannot control.

A document may contain escape sequences that clear the screen, change its title or hide what follows. Everything that is
printed passes through here, and such characters are replaced by visible symbols.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

import click

from rexplug.cli.results import results

if TYPE_CHECKING:
    from rich.console import Console

# C0 except tab and line feed, DEL, C1, line separators, embeddings and overrides of direction, lone surrogates.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with a symbol in place of each character that controls a terminal: `␛` for the escape character.

    >>> visible("red\\x1b[2Joak")
    'red␛[2Joak'
    """
    return _CONTROL.sub(_symbol, text)


def _symbol(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\u2424" if code in (0x2028, 0x2029) else "\ufffd"


def one_line(text: str) -> str:
    """`visible` for a name, an address or a cell: line feeds and tabs are replaced too."""
    return visible(text).replace("\n", "\u240a").replace("\t", "\u2409")


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text from any origin."""
    click.echo(visible(text), file=None if err else results(), err=err, nl=nl)


def echo_unchanged(text: str) -> None:
    """Print text that is read by programs and must not be changed; it is our own, or has been escaped."""
    click.echo(text, file=results(), nl=False)


def safe_json(text: str) -> str:
    """Equal JSON in which characters that control a terminal are escaped."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def echo_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    echo_unchanged(safe_json(json.dumps(value, ensure_ascii=False)) + "\n")


def console(file: IO[str] | None = None) -> Console:
    """A rich console for text from any origin: it is not read as markup, and cannot control the terminal.

    Args:
        file: where it prints; to the results of the command by default.
    """
    from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
    from rich.segment import Segment

    class Visible:
        """Renders its content with symbols for control characters."""

        def __init__(self, content: ConsoleRenderable) -> None:
            self.content = content

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for segment in console.render(self.content, options):
                yield segment if segment.control else Segment(visible(segment.text), segment.style)

    class MakeVisible(RenderHook):
        def process_renderables(self, renderables: Iterable[ConsoleRenderable]) -> list[ConsoleRenderable]:
            return [Visible(renderable) for renderable in renderables]

    console = Console(file=file or results(), highlight=False, markup=False, emoji=False)
    console.push_render_hook(MakeVisible())
    return console
