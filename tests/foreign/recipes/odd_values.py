"""Values, texts, keys and pieces of YAML that do not belong in a recipe."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

NUMBERS: Sequence[Any] = (
    0, -1, 1, 2, -0.0, 0.5, 1e-320, 5e-324, 1e-300, 1e308, 1.7976931348623157e308, float("inf"), float("-inf"), float("nan"),
    2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**25, 10**400, -(10**400), 10**5000, True, False,
)  # fmt: skip
"""Numbers and truth values."""
TEXTS: Sequence[str] = (
    "", " ", "\x00", "a\x00b", "a\x1b[31mb", "\x07", "\x85", "\u2028", "\ufeff", "\ufffe", "\ud800", "a\udfffb", "²", "٣", "١٢", "Ⅷ",
    "1e400", "-1e400", "1e-400", ".inf", "nan", "Infinity", "1_000", "0x" + "f" * 5000, "9" * 5000, "1e99999", "9.9T", "99999999T", "-5k",
    "5e-1k", "random", "train", "wsd", "annealing.constant", "guided_mlm.guided", "ecommerce.attributes", "core", ".", "..", "/", "../..",
    "~", "null", "{}", "{x}", "%s", "{message}", "[bold]x[/bold]", "[/]", "x" * 100_000, "x" * 4000, "a/" * 3000, "ä" * 300, "../../../../etc/passwd", "con",
    "a/b", "a\nb", "s3://x/y", "https://", "file:///", "*", "[", "**", "x=bm25", "random:", "=", "label=", "-", "name", "use", "from",
)  # fmt: skip
"""Texts, also of control characters, lone surrogates, and great length."""
KEYS: Sequence[str] = (
    "", "use", "name", "from", "from_", "size", "extends", "defaults", "tokens", "²", "\x00", "\ud800", "0", "-1", "__class__", "model_config",
    "x" * 100_000, "a.b", "[key]", "filters", "rate", "paths", "masking", "limit", "sample", "self", "~", "null", "true", "3", "1.5", ".inf",
)  # fmt: skip
"""Keys of mappings."""
SNIPPETS: Sequence[str] = (
    "\x00", "\x01", "\x07", "\x1b", "\x7f", "\x80", "\x85", "\ufeff", "\u2028", "\u200b", "\ufffe", "\t", "\r", "\n", "\n---\n", "\n...\n", "%YAML 9.9\n", "%TAG ! x\n",
    "!!int ", "!!int x", "!!float x", "!!bool x", "!!null x", "!!timestamp x", "!!timestamp 2024-99-99", "!!binary x", "!!binary =",
    "!!set ", "!!omap ", "!!pairs ", "!!str ", "!!seq ", "!!map ", "!!python/name:os.system ", "!!python/object/apply:os.getcwd []", "! ", "!x ", "!<> ",
    "!<tag:yaml.org,2002:int> ", "!<x> ", "!!x ", "!e!x ", "&a ", "*a ", "&a [*a]", "<<: ", "<<: *a", "? ", ": ", "- ", "|", ">", "|9", ">-", '"', "'", '"\\ud800"', '"\\x00"',
    '"\\uD83D"', '"\\U99999999"', '"\\U0010FFFF"', '"\\q"', "{", "}", "[", "]", "[" * 40, "{a: " * 40, "[" * 900, "{a: " * 900, "[" * 6000, "- " * 3000, "? " * 1500, ".inf", "-.inf", ".nan",
    "1e400", "9" * 5000, "0x" + "f" * 6000, "0o17", "1_0", "+1", "-0", ".", "~", "12:30:45", "2024-01-01", "#", "@", "`", "%", "\\", "²", "٣",
    "extends: \"a\\0b\"\n", "extends: ecommerce.yaml\n", "extends: .\n", "extends: [x]\n", f"extends: {'x' * 5000}\n", "extends: \"\\ud800\"\n", "extends: /dev/null\n",
    "defaults: {tokens: .inf}\n", "defaults: []\n", "defaults: {²: 1}\n",
)  # fmt: skip
"""Pieces of YAML source."""


def _nested(draw: random.Random) -> Any:
    """Lists and mappings inside each other, 5 to 150 levels deep."""
    depth = draw.choice((5, 60, 150))
    value: Any = draw.choice((1, "x", None))
    for _ in range(depth):
        value = [value] if draw.random() < 0.5 else {draw.choice(("a", "use", "name")): value}
    return value


def odd(draw: random.Random) -> Any:
    """A value that is wrong, or at least unusual, at most places of a recipe."""
    kind = draw.randrange(10)
    if kind < 4:
        return draw.choice(NUMBERS)
    if kind < 7:
        return draw.choice(TEXTS)
    return draw.choice((None, [], {}, [[]], [None], {"": None}, {"use": None}, {"use": ["x"]}, [1, "x"], list(range(2000)), _nested(draw)))  # fmt: skip
