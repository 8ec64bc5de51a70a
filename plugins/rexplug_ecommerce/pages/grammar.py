"""Sentence templates: texts with `{slots}` that are filled from word lists."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rexplug_ecommerce.pages.chance import Chance

Words = Mapping[str, Sequence[str]]
"""Slot -> the words that may fill it; a fact that must not change within a page is a list of one."""

Template = tuple[str, tuple[str, ...]]
"""Text with `%s`, and the slots in order."""

_SLOT = re.compile(r"\{(\w+)\}")


def template(text: str) -> Template:
    """Prepare a template once, so that filling it is one formatting call."""
    return _SLOT.sub("%s", text.replace("%", "%%")), tuple(_SLOT.findall(text))


def templates(text: str) -> tuple[Template, ...]:
    """One template per non-empty line."""
    return tuple(template(line.strip()) for line in text.splitlines() if line.strip())


def fill(template: Template, words: Words, chance: Chance) -> str:
    """Put a word into each slot."""
    text, slots = template
    number = chance.number
    chosen = []
    for slot in slots:
        choices = words[slot]
        chosen.append(choices[number() % len(choices)])
    return text % tuple(chosen)


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def plural(noun: str) -> str:
    """Regular plural; only its last word changes."""
    if noun.endswith(("s", "x", "ch", "sh", "z")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def past(verb: str) -> str:
    """Regular past tense; verbs that double their last letter are not in the vocabulary."""
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ied"
    return verb + "ed"


def ing(verb: str) -> str:
    """Regular present participle of a verb; only a final e changes."""
    return (verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb) + "ing"
