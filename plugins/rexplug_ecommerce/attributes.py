"""Finds product attributes in text and marks their tokens for guided masking."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rexplug import DataError, SalienceScorer, TokenizedDocument
from rexplug_ecommerce.lexicons import BUILT_IN

Attribute = Literal["brand", "colour", "size", "material", "measure", "model_number", "category"]

_WORD = re.compile(r"[^\W_]+(?:['’.&-][^\W_]+)*")
_NUMBER = r"\d+(?:[.,]\d+)*(?:\s?[-–/x×]\s?\d+(?:[.,]\d+)*)*"
_UNIT = (
    r"(?:millimet(?:er|re)s?|centimet(?:er|re)s?|met(?:er|re)s?|inch(?:es)?|feet|foot|ounces?|fl\.? ?oz|pounds?|grams?|"
    r"kilograms?|lit(?:er|re)s?|gallons?|watts?|volts?|hours?|minutes?|years|pieces|count|pack|degrees|"
    r"mm|cm|km|m|in|ft|kg|mg|g|lbs?|oz|ml|cl|l|kWh|Wh|kW|W|mAh|Ah|V|kHz|MHz|GHz|Hz|GB|TB|MB|dB|lm|lumens|K|Nm|rpm|bar|Pa|"
    r"ohm|nits|pcs|SPF|TC|mp|megapixels?)(?![\w])|[\"″%]"
)
_MEASURE = re.compile(rf"(?<![\w.]){_NUMBER}[\s-]?(?:{_UNIT})", re.IGNORECASE)
_MODEL = re.compile(
    r"(?<![\w-])(?=[A-Za-z0-9./-]*\d)(?=[A-Za-z0-9./-]*[A-Z])"
    r"(?:[A-Z0-9]{1,8}(?:[-/][A-Za-z0-9]{1,8}){1,3}|[A-Z]{1,6}\d{2,8}[A-Za-z0-9]{0,4}|\d{2,6}[A-Z]{1,4}\d{0,5})(?![\w-])"
)
_LABELLED: tuple[tuple[Attribute, re.Pattern[str]], ...] = (
    ("brand", re.compile(r"\b(?:Brand|Manufacturer)(?:\s*[:|]\s*|\s+)([A-Z][^\n;|,]{1,40}?)(?=\s*(?:[\n;|,.]|$))")),
    ("size", re.compile(r"\b[Ss]ize(?:s\b)?(?:\s*[:|]\s*|\s+)(\d{1,3}(?:\.5)?|[XSML/]{1,4})(?![\w.])")),
    (
        "model_number",
        re.compile(r"\b(?:[Mm]odel(?: [Nn]umber)?|MPN|SKU|[Ii]tem)(?:\s*[:|#]\s*| no\.? )([A-Za-z0-9/-]{3,24})"),
    ),
)


class Span(NamedTuple):
    """Characters `[start, end)` of a text and the attribute whose value they are."""

    start: int
    end: int
    attribute: str


class AttributeSalience(SalienceScorer):
    """Marks the values of brand, colour, size, material, measure, model number and category; each value is one span.

    Words are looked up in word lists (longest first), the rest are patterns. A value's tokens all score 255 or all
    254, in turn, so that two values side by side stay two spans. Which attributes count is our choice; the published
    method names none.
    """

    name: ClassVar[str] = "ecommerce.attributes"

    attributes: tuple[Attribute, ...] = (
        "brand",
        "colour",
        "size",
        "material",
        "measure",
        "model_number",
        "category",
    )
    """Which attributes are marked."""
    terms: Mapping[Attribute, tuple[str, ...]] = {}
    """Further values per attribute, e.g. `{brand: [Acme, Foo & Bar]}`; brands match with a capital letter only."""
    taxonomies: tuple[Path, ...] = ()
    """Files (plain text or .gz) with one category per line, as in the Google and Shopify taxonomies: the part after
    the last `>` names the category."""

    @cached_property
    def _phrases(self) -> dict[str, list[tuple[tuple[str, ...], str]]]:
        """First word -> phrases that start with it as (all words, attribute), the longest first."""
        found: dict[str, dict[tuple[str, ...], str]] = {}
        # Categories come first: where a term is in two lists, the later list decides.
        for attribute in ("category", "size", "colour", "material", "brand", "model_number", "measure"):
            if attribute not in self.attributes:
                continue
            terms = [*BUILT_IN.get(attribute, ()), *self.terms.get(attribute, ())]
            if attribute == "category":
                terms += [term for path in self.taxonomies for term in read_taxonomy(path)]
            for term in terms:
                words = tuple(_WORD.findall(term.lower()))
                if words:
                    found.setdefault(words[0], {})[words] = attribute
                    if attribute == "category":
                        plural = (*words[:-1], words[-1] + "s")
                        found.setdefault(plural[0], {}).setdefault(plural, attribute)
        return {first: sorted(entries.items(), key=lambda e: -len(e[0])) for first, entries in found.items()}

    def spans(self, text: str) -> list[Span]:
        """The attribute values in `text`, in order, none overlapping another."""
        candidates = [*self._by_pattern(text), *self._by_word(text)]
        # At one place the longer value wins; between equals, the pattern.
        candidates.sort(key=lambda span: (span.start, -span.end))
        chosen: list[Span] = []
        for span in candidates:
            if not chosen or span.start >= chosen[-1].end:
                chosen.append(span)
        return chosen

    def _by_pattern(self, text: str) -> Iterator[Span]:
        if "measure" in self.attributes:
            for match in _MEASURE.finditer(text):
                yield Span(match.start(), match.end(), "measure")
        if "model_number" in self.attributes:
            for match in _MODEL.finditer(text):
                yield Span(match.start(), match.end(), "model_number")
        for attribute, pattern in _LABELLED:
            if attribute in self.attributes:
                for match in pattern.finditer(text):
                    yield Span(match.start(1), match.end(1), attribute)

    def _by_word(self, text: str) -> Iterator[Span]:
        phrases = self._phrases
        matches = list(_WORD.finditer(text))
        words = [match.group().lower() for match in matches]
        for position, word in enumerate(words):
            for phrase, attribute in phrases.get(word, ()):
                end = position + len(phrase)
                if tuple(words[position:end]) != phrase:
                    continue
                start = matches[position].start()
                if attribute == "brand" and not text[start].isupper():
                    continue
                yield Span(start, matches[end - 1].end(), attribute)
                break

    def score(self, document: TokenizedDocument) -> NDArray[np.uint8]:
        """255 or 254 on the tokens of attribute values, 0 elsewhere."""
        characters = np.zeros(len(document.text) + 1, dtype=np.uint8)
        for number, span in enumerate(self.spans(document.text)):
            characters[span.start : span.end] = 255 - number % 2
        if not len(document.offsets):
            return np.zeros(0, dtype=np.uint8)
        starts, ends = document.offsets[:, 0].astype(np.int64), document.offsets[:, 1].astype(np.int64)
        # A token may begin with the blank before a word, so its last character speaks for it.
        scores: NDArray[np.uint8] = np.where(ends > starts, characters[np.maximum(ends - 1, 0)], 0).astype(np.uint8)
        return scores


def read_taxonomy(path: Path) -> list[str]:
    """Category names of a taxonomy file: per line what follows the last `>`, split at `,` and `&`, in lower case.

    Raises:
        DataError: the file is missing, unreadable or names no category.
    """
    try:
        content = path.read_bytes()
        lines = (gzip.decompress(content) if path.suffix == ".gz" else content).decode().splitlines()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"ecommerce.attributes: cannot read the taxonomy {path}: {error}") from None
    names = set()
    for line in map(str.strip, lines):
        if not line or line.startswith("#"):
            continue
        leaf = line.rsplit(" : ", 1)[-1].rsplit(">", 1)[-1]
        for part in re.split(r",|&|\band\b", leaf):
            name = part.strip().lower()
            if len(name) > 2 and len(name.split()) <= 4 and not name.isdigit():
                names.add(name)
    if not names:
        raise DataError(f"ecommerce.attributes: the taxonomy {path} names no category")
    return sorted(names)
