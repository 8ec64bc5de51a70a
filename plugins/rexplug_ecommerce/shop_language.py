"""Counts phrases that are typical of shop text and of other text; weak labels are based on them and on the product signals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rexplug_ecommerce.lexicons import BUILT_IN
from rexplug_ecommerce.phrases import Kind, finder_for
from rexplug_ecommerce.signals import signals

# First words of phrases, and the pattern of what follows them (empty: the word is enough). Texts are read word by word; a pattern
# is tried only where a phrase can begin, which takes a tenth of the time of one pattern for all phrases.
_QUESTION = r"(?= [^.!\n]{2,80}\?)"
_PITCH = (
    ("perfect ideal great suitable designed made", r" (?:for|to|with)"),
    ("feature features", r"(?= (?:an?|the|\d))"),
    ("made", r" (?:of|from|out of)"),
    (
        "featuring crafted durable durability lightweight stylish sleek elegant versatile premium comfort comfortable "
        "comfortably cozy adjustable waterproof portable include includes included fits gift gifts upgrade elevate enjoy "
        "ensures ensuring provides providing perfectly",
        "",
    ),
    ("high", r"[- ]quality"),
    ("easy", r" to (?:use|clean|install|assemble|carry|wear|store)"),
    ("water scratch heat stain slip", r"[- ](?:resistant|proof)"),
    ("machine", r" wash(?:able)?"),
    ("compatible", r" with"),
    ("one", r" size"),
    ("set pack pair box", r" of"),
    ("addition", r" to (?:any|your)"),
    ("bpa", r"[- ]free"),
    ("long", r"[- ]lasting"),
    ("in to for with of on keep add give make", r" your"),
)
_CUSTOMER = (
    ("work works", r" (?:great|well|fine|perfectly)"),
    ("i", r" (?:bought|purchased|ordered|returned|own|love (?:this|these|it|them))"),
    ("this the", r" (?:product|item)"),
    ("highly would", r" recommend"),
    ("well", r" made"),
    ("good great", r" (?:quality|product|value)"),
    ("worth", r" (?:the|every|it)"),
    ("for", r" the price"),
    ("does do is are will can would has", rf" (?:it|this|these|they|the \w+){_QUESTION}"),
    ("what", r" (?:size|colou?r|material|are the dimensions)"),
    ("how", rf" (?:tall|wide|big|heavy|long (?:is|are)|many){_QUESTION}"),
    ("come comes", r" (?:with|in|assembled)"),
    ("battery batteries review reviews", ""),
)
_OTHER = (
    (
        "he she his her hers him himself herself was were had been said says became born died century government war "
        "president according university party army church law theory chapter published released founded film films "
        "movie movies novel album plot actor actors director audience story character characters comedy drama performance "
        "performances equation function server servers error code config file user users protocol specification proposal "
        "import return python docker population species district country nation world people political economic social "
        "consumer consumers marketer marketers example company companies however therefore thus who whom whose",
        "",
    ),
    ("developed", r" by"),
)
_YEAR = re.compile(r"\b1[5-9]\d\d\b")
_WORD = re.compile(r"\w+")
_KINDS: tuple[Kind, ...] = ("pitch", "customer", "merchandise", "other")


@dataclass(frozen=True, slots=True)
class ShopLanguage:
    """The number of words of a text, and counts of phrases per 100 words by kind."""

    words: int
    pitch: float
    customer: float
    merchandise: float
    offer: float
    other: float

    @property
    def balance(self) -> float:
        """Signs of retail less signs of other text, per 100 words; the weights are set by hand."""
        retail = self.pitch + 1.5 * self.customer + 0.8 * self.merchandise + 0.6 * self.offer
        return retail - 0.9 * self.other


def shop_language(text: str, languages: tuple[str, ...] = (), phrases: tuple[Path, ...] = ()) -> ShopLanguage:
    """Count the phrases in `text`.

    Args:
        text: the text.
        languages: codes of the languages whose phrases count; all if empty.
        phrases: the user's files of phrases.

    Raises:
        DataError: one of the files cannot be read.
    """
    counts = dict.fromkeys(_KINDS, 0)
    if not languages or "en" in languages:
        _count_english(text, counts)
    for found in finder_for(text, languages, phrases, _KINDS).find(text):
        counts[found.kind] += 1
    page = signals(text, languages, phrases)
    per = 100 / max(1, page.words)
    return ShopLanguage(
        words=page.words,
        pitch=per * counts["pitch"],
        customer=per * counts["customer"],
        merchandise=per * counts["merchandise"],
        # Tables and code contain text that looks like measures and model numbers; a very high density is not a sign of offers.
        offer=min(page.density, 12.0),
        other=per * (counts["other"] + len(_YEAR.findall(text))),
    )


def _count_english(text: str, counts: dict[Kind, int]) -> None:
    begins = _begins()
    ends = [0] * 4
    for match in _WORD.finditer(text):
        for kind, rest in begins.get(match[0].lower(), ()):
            if match.start() < ends[kind]:
                continue  # within a phrase of this kind that was counted
            end = match.end()
            if rest is not None:
                phrase = rest.match(text, end)
                if phrase is None:
                    continue
                end = phrase.end()
            ends[kind] = end
            counts[_KINDS[kind]] += 1


@cache
def _begins() -> dict[str, tuple[tuple[int, re.Pattern[str] | None], ...]]:
    """First word -> the kinds of the phrases that begin with it, and the patterns of what must follow."""
    begins: dict[str, list[tuple[int, re.Pattern[str] | None]]] = {}
    for kind, phrases in enumerate((_PITCH, _CUSTOMER, _merchandise(), _OTHER)):
        for firsts, rest in phrases:
            pattern = re.compile(rf"(?:{rest})\b", re.IGNORECASE) if rest else None
            for first in firsts.split():
                begins.setdefault(first, []).append((kind, pattern))
    return {first: tuple(phrases) for first, phrases in begins.items()}


def _merchandise() -> Sequence[tuple[str, str]]:
    """The terms of the built-in word lists, with and without an s; longer terms come before shorter ones."""
    terms = {term.lower() for field in ("category", "material", "colour", "size") for term in BUILT_IN[field]}
    rests: dict[str, list[str]] = {}
    for term in sorted(terms, key=lambda term: (-len(term), term)):
        first = _WORD.match(term)
        assert first is not None, term
        rest = term[first.end() :]
        if rest:
            rests.setdefault(first[0], []).append(f"{re.escape(rest)}s?")
        else:
            rests.setdefault(first[0], []).append("")
            rests.setdefault(f"{first[0]}s", []).append("")
    return [(first, rest) for first, patterns in rests.items() for rest in patterns]
