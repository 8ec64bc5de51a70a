"""Writes general pages: news, how-to, encyclopaedic, forum, essay."""

from __future__ import annotations

from functools import cache

from rexplug_ecommerce.pages import general_templates as t
from rexplug_ecommerce.pages import general_vocabulary as v
from rexplug_ecommerce.pages.chance import Chance
from rexplug_ecommerce.pages.grammar import Words, capital, fill, ing, past, plural
from rexplug_ecommerce.pages.topics import TOPICS

_NUMBERS = tuple(
    str(n) for n in (*range(2, 13), 15, 20, 24, 30, 40, 48, 60, 75, 90, 120, 150, 200, 365, 500, 800, 1200)
)


@cache
def _topic(name: str) -> dict[str, tuple[str, ...]]:
    nouns, verbs, adjectives = TOPICS[name]
    return {
        "N": nouns,
        "Ns": tuple(map(plural, nouns)),
        "V": verbs,
        "Vd": tuple(map(past, verbs)),
        "Vg": tuple(map(ing, verbs)),
        "A": adjectives,
        "n": v.NOUNS,
        "ns": tuple(map(plural, v.NOUNS)),
        "v": v.VERBS,
        "vd": tuple(map(past, v.VERBS)),
        "vg": tuple(map(ing, v.VERBS)),
        "a": v.ADJECTIVES,
        "r": v.ADVERBS,
        "D": _NUMBERS,
        "M": v.MONTHS,
        "T": (name,),
    }


def page_words(chance: Chance) -> dict[str, tuple[str, ...]]:
    """The words of one page: those of its topic, and the persons, places and years that it mentions."""
    words = dict(_topic(chance.pick(tuple(TOPICS))))
    surnames = chance.some(v.LAST_NAMES, 3)
    places = chance.some(v.PLACES, 3)
    first = chance.between(1780, 2010)
    words["S"] = tuple(surnames)
    words["P"] = tuple(f"{chance.pick(v.FIRST_NAMES)} {name}" for name in surnames)
    words["L"] = tuple(places)
    words["O"] = tuple(f"{place} {chance.pick(v.ORGANISATIONS)}" for place in places[:2])
    words["Y"] = tuple(str(first + chance.below(16)) for _ in range(3))
    return words


def sentence(words: Words, chance: Chance) -> str:
    """A sentence of a clause, with or without an opener and a tail."""
    text = fill(chance.pick(t.CLAUSES), words, chance)
    shape = chance.below(10)
    if shape < 5:
        text = f"{fill(chance.pick(t.OPENERS), words, chance)} {text}"
    if 3 <= shape < 9:
        tail = fill(chance.pick(t.TAILS), words, chance)
        text = f"{text}{tail}" if tail[0] == "," else f"{text} {tail}"
    return capital(text) + "."


def paragraph(words: Words, chance: Chance, low: int = 3, high: int = 6) -> str:
    """A few sentences on one line."""
    return " ".join([sentence(words, chance) for _ in range(chance.between(low, high))])


def _quote(words: Words, chance: Chance) -> str:
    said = {
        **words,
        "c1": (capital(fill(chance.pick(t.CLAUSES), words, chance)),),
        "c2": (fill(chance.pick(t.CLAUSES), words, chance),),
    }
    return fill(chance.pick(t.QUOTES), said, chance)


def news(chance: Chance) -> str:
    """A report with date line and quotes."""
    words = page_words(chance)
    lines = [capital(fill(chance.pick(t.HEADLINES), words, chance))]
    lines.append(
        f"{words['L'][0]}, {chance.between(1, 28)} {chance.pick(v.MONTHS)} {words['Y'][0]}. {sentence(words, chance)}"
    )
    for _ in range(chance.between(3, 7)):
        lines.append(paragraph(words, chance))
        if chance.happens(45):
            lines.append(_quote(words, chance))
    lines.append(f"{words['P'][0]} reported from {words['L'][0]} for the {words['O'][0]}.")
    return "\n\n".join(lines)


def how_to(chance: Chance) -> str:
    """Numbered steps between two paragraphs."""
    words = page_words(chance)
    lines = [capital(fill(chance.pick(t.HOWTO_TITLES), words, chance)), paragraph(words, chance, 2, 4)]
    for number in range(1, chance.between(6, 14)):
        step = capital(fill(chance.pick(t.STEPS), words, chance))
        lines.append(f"{number}. {step} {paragraph(words, chance, 1, 2)}")
    lines.append(paragraph(words, chance))
    return "\n".join(lines)


def forum(chance: Chance) -> str:
    """A question and replies."""
    words = page_words(chance)
    lines = [capital(fill(chance.pick(t.HOWTO_TITLES), words, chance))]
    for _ in range(chance.between(5, 16)):
        name = f"{chance.pick(v.ADJECTIVES)}_{chance.pick(words['N'])}{chance.below(90) + 10}"
        lines.append(f"{name} wrote in {chance.pick(v.MONTHS)}:")
        post = fill(chance.pick(t.POSTS), words, chance)
        end = "" if post[-1] in ".?!" else "."
        lines.append(f"{post}{end} {paragraph(words, chance, 1, 3)}" if chance.happens(80) else post)
    return "\n".join(lines)


def encyclopaedic(chance: Chance, characters: int = 0) -> str:
    """An article in sections, at least `characters` long; the last section repeats the first line."""
    words = page_words(chance)
    start = fill(chance.pick(t.DEFINITIONS), words, chance)
    lines = [start, paragraph(words, chance)]
    length = sum(map(len, lines))
    target = max(characters, chance.between(1200, 4000))
    sections = chance.some(t.SECTIONS, len(t.SECTIONS))
    number = 0
    while length < target:
        if number % 4 == 0:
            lines.append(f"\n{sections[number // 4 % len(sections)]}")
        lines.append(paragraph(words, chance, 4, 8))
        length += len(lines[-1])
        number += 1
    # The beginning of the article again, far from it: whoever reads the page from its start can predict these words.
    lines.append(
        f"\nSummary\n{start} {words['P'][0]}, {words['P'][1]} and the {words['O'][0]} remained in {words['L'][0]} "
        f"until {words['Y'][0]}, as told above. {paragraph(words, chance, 1, 2)}"
    )
    return "\n".join(lines)


def essay(chance: Chance, characters: int = 0) -> str:
    """Paragraphs without sections, at least `characters` long, that mention the same people to the end."""
    words = page_words(chance)
    lines = [capital(fill(chance.pick(t.HEADLINES), words, chance)), f"By {words['P'][0]}"]
    length = 0
    target = max(characters, chance.between(1000, 3500))
    while length < target:
        lines.append(paragraph(words, chance, 4, 9))
        length += len(lines[-1])
    lines.append(f"{words['P'][0]} teaches {words['T'][0]} at the {words['O'][0]} in {words['L'][0]}.")
    return "\n\n".join(lines)
