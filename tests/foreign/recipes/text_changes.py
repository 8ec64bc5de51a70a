"""Random changes of a recipe's bytes, most of which leave it invalid YAML."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from foreign.recipes.odd_values import SNIPPETS


def _insert(draw: random.Random, content: bytes) -> tuple[bytes, str]:
    """Insert a snippet, mostly where a value begins."""
    snippet = draw.choice(SNIPPETS)
    place = draw.randrange(len(content) + 1)
    if draw.random() < 0.6:  # where a value begins
        places = [match.end() for match in re.finditer(rb": |- |\n|\[|, ", content)]
        place = draw.choice(places) if places else place
    return content[:place] + snippet.encode() + content[place:], f"{snippet!r:.40} at byte {place}"


def _instead(draw: random.Random, content: bytes) -> tuple[bytes, str]:
    """Replace a scalar by a snippet, so that the YAML before and after it still parses."""
    scalars = list(re.finditer(rb"(?<=: )[^\s{}\[\],#]+", content))
    if not scalars:
        return content, "nothing"
    match, snippet = draw.choice(scalars), draw.choice(SNIPPETS)
    return content[: match.start()] + snippet.encode() + content[match.end() :], f"{snippet!r:.40} for {match[0]!r}"


def _tagged(draw: random.Random, content: bytes) -> tuple[bytes, str]:
    """Write a tag or an anchor before a value."""
    starts = list(re.finditer(rb"(?<=: )(?=[^\s#])", content))
    if not starts:
        return content, "nothing"
    place = draw.choice(starts).start()
    tag = draw.choice([snippet for snippet in SNIPPETS if snippet.startswith(("!", "&"))])
    return content[:place] + tag.strip().encode() + b" " + content[place:], f"{tag!r:.40} before a value"


def _cut(draw: random.Random, content: bytes) -> tuple[bytes, str]:
    """Cut bytes out, or everything from a byte on."""
    first = draw.randrange(len(content) + 1)
    last = len(content) if draw.random() < 0.3 else min(len(content), first + draw.choice((1, 3, 20, 200)))
    return content[:first] + content[last:], f"bytes {first} to {last} cut"


def _flip(draw: random.Random, content: bytes) -> tuple[bytes, str]:
    """Replace a byte."""
    if not content:
        return content, "nothing"
    place = draw.randrange(len(content))
    return content[:place] + bytes([draw.randrange(256)]) + content[place + 1 :], f"another byte at {place}"


def _lines(draw: random.Random, content: bytes) -> tuple[bytes, str]:
    """Repeat, remove, move, indent or dedent a line."""
    lines = content.splitlines(keepends=True) or [b"\n"]
    place = draw.randrange(len(lines))
    how = draw.choice(("doubled", "removed", "moved", "indented", "dedented"))
    line = lines.pop(place)
    if how == "doubled":
        lines[place:place] = [line, line]
    elif how == "moved":
        lines.insert(draw.randrange(len(lines) + 1), line)
    elif how == "indented":
        lines.insert(place, b"  " + line)
    elif how == "dedented":
        lines.insert(place, line.lstrip())
    return b"".join(lines), f"line {place + 1} {how}"


TEXT_CHANGES: Sequence[Callable[[random.Random, bytes], tuple[bytes, str]]] = (
    _insert, _insert, _instead, _instead, _tagged, _cut, _flip, _lines,
)  # fmt: skip
"""Each returns the changed bytes and what was done; a change that occurs twice is twice as likely."""
