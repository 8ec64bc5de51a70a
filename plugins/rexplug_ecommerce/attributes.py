"""Finds product attributes in text and marks their tokens for guided masking."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from rexplug import Reason, SalienceScorer, TokenizedDocument, split_words
from rexplug_ecommerce.lexicons import BUILT_IN
from rexplug_ecommerce.patterns import LABELS, AttributeValue, find_brand, find_numbers, normalised
from rexplug_ecommerce.taxonomies import read_taxonomy, read_values

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Attribute = Literal["brand", "colour", "size", "material", "measure", "model_number", "category"]

_ORDER: tuple[Attribute, ...] = ("category", "size", "colour", "material", "brand", "model_number", "measure")
"""The order in which lists are read: a term in two lists has the later attribute."""
_COMPOUND = ("colour", "material")
_SEPARATORS = frozenset(["/", " / ", "&", " & ", " and ", "-", ", "])
"""Separators between two colours, or two materials, that form one value: black/white."""
_LABEL = "label"


_THAI = "\u0e00"
"""The first character of the first script without spaces in the order of Unicode; some later scripts have spaces."""
_GLUED = re.compile("[^\x00-\u02ff\\W](?=[0-9])|[0-9A-Za-z](?=[^\x00-\u02ff\\W])")
"""A letter of another script right before or after a number or a Latin letter: 容量64GB."""


class Span(NamedTuple):
    """Characters `[start, end)` of a text, and the attribute of which they are a value."""

    start: int
    end: int
    attribute: str


class AttributeSalience(SalienceScorer):
    """Marks the values of brand, colour, size, material, measure, model number and category; each value is one span.

    Words are looked up in word lists (longest first, whole words), the rest are patterns. A value's tokens all score
    255 or all 254, in turn, so that two values side by side stay two spans. Which attributes count is our choice; the
    published method names none.
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
    """Files of categories (plain text or .gz), one a line, as in the Google and Shopify taxonomies: the part after the
    last `>` names the category."""
    values: tuple[Path, ...] = ()
    """Files of attribute values (plain text or .gz): `value [Attribute name]` as Shopify's, where names like Color,
    Fabric or Frame material say which attribute it is, and values of other attributes are left out; or two columns,
    `attribute,value`, with the names above."""
    title_brands: bool = True
    """Take the first words of a title as the brand if it looks like a product title: two more attribute values occur in it."""

    @cached_property
    def _terms(self) -> Any:
        """An Aho-Corasick automaton: normalised term with a blank on both sides -> (length of the term, attribute)."""
        payloads: dict[str, tuple[int, str]] = {}
        values = [pair for path in self.values for pair in read_values(path)]
        for attribute in _ORDER:
            if attribute not in self.attributes:
                continue
            terms = [*BUILT_IN.get(attribute, ()), *(value for name, value in values if name == attribute)]
            if attribute == "category":
                terms += [term for path in self.taxonomies for term in read_taxonomy(path)]
            for term in [*terms, *self.terms.get(attribute, ())]:
                plain = normalised(term).strip()
                # `Foo & Bar` as it is written, and with one blank.
                for key in filter(None, {plain, " ".join(plain.split())}):
                    payloads[key] = (len(key), attribute)
                    if attribute == "category" and not key.endswith("s"):
                        payloads.setdefault(key + "s", (len(key) + 1, attribute))
        for label, (attribute_of_label, _) in LABELS.items():
            if attribute_of_label in self.attributes:
                payloads.setdefault(label, (len(label), _LABEL))
        return _automaton({f" {key} ": payload for key, payload in payloads.items()})

    @cached_property
    def _terms_without_spaces(self) -> Any:
        """The same for terms with letters of scripts without spaces, as they are written; None if there are none."""
        terms = {
            key.strip(): payload for key, payload in self._terms.items() if payload[1] != _LABEL and max(key) >= _THAI
        }
        return _automaton(terms) if terms else None

    def spans(self, text: str) -> list[Span]:
        """The attribute values in `text`, in order; they do not overlap."""
        return [Span(*value) for value in self._find(text)]

    def _find(self, text: str) -> list[AttributeValue]:
        candidates = [value for value in find_numbers(text) if value[2] in self.attributes]
        if _GLUED.search(text):
            candidates += [value for value in find_numbers(_apart(text)) if value[2] in self.attributes]
        candidates += self._by_term(text)
        if not text.isascii() and self._terms_without_spaces is not None:
            candidates += self._between_words(text)
        # Of values that begin at one place the longest is taken; of equally long ones, that of the pattern.
        candidates.sort(key=lambda value: (value[0], -value[1]))
        chosen: list[AttributeValue] = []
        end = 0
        for start, stop, attribute in candidates:
            if start < end:
                continue
            if chosen and attribute in _COMPOUND and attribute == chosen[-1][2] and text[end:start] in _SEPARATORS:
                chosen[-1] = (chosen[-1][0], stop, attribute)
            else:
                chosen.append((start, stop, attribute))
            end = stop
        if self.title_brands and "brand" in self.attributes and (brand := find_brand(text, chosen)) is not None:
            chosen = [(*brand, "brand"), *(value for value in chosen if value[0] >= brand[1])]
        return chosen

    def _by_term(self, text: str) -> Iterator[AttributeValue]:
        """Yield the terms of the lists, and the values after a label."""
        plain = f" {normalised(text)} "
        for last, (length, attribute) in self._terms.iter(plain):
            # `last` is the index of the blank after the term; indexes in `plain` are one more than those in `text`.
            end = last - 1
            start = end - length
            if attribute == _LABEL:
                attribute, value = LABELS[plain[start + 1 : last]]
                match = value.match(text, end)
                if match is not None:
                    yield *match.span(match.lastindex or 0), attribute
            elif attribute != "brand" or _may_begin_brand(text[start]):
                yield start, end, attribute

    def _between_words(self, text: str) -> Iterator[AttributeValue]:
        """Yield the terms in scripts without spaces that begin and end where words do."""
        found = [
            (last + 1 - length, last + 1, attribute)
            for last, (length, attribute) in self._terms_without_spaces.iter(normalised(text))
        ]
        if found:
            places = list(_word_places(text))
            starts, ends = ({place[side] for place in places} for side in (0, 1))
            yield from (value for value in found if value[0] in starts and value[1] in ends)

    def score(self, document: TokenizedDocument) -> NDArray[np.uint8]:
        """`[num_tokens]` 255 or 254 on the tokens of attribute values, 0 elsewhere."""
        spans = self._find(document.text)
        scores = [255 - number % 2 for number in range(len(spans))]
        return document.spans_to_tokens([span[0] for span in spans], [span[1] for span in spans], scores)

    def explain(self, document: TokenizedDocument) -> Sequence[Reason]:
        """The attribute of each marked value."""
        return [Reason(*span) for span in self.spans(document.text)]


def _automaton(payloads: Mapping[str, tuple[int, str]]) -> Any:
    import ahocorasick

    automaton = ahocorasick.Automaton()
    for key, payload in payloads.items():
        automaton.add_word(key, payload)
    automaton.make_automaton()
    return automaton


def _may_begin_brand(letter: str) -> bool:
    """Whether a letter is a capital, or of a script without capitals."""
    return letter.isupper() or (letter.isalpha() and letter.lower() == letter.upper())


def _word_places(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each word."""
    at = 0
    for word in split_words(text):
        at = text.index(word, at)
        yield at, at + len(word)
        at += len(word)


def _apart(text: str) -> str:
    """The text with blanks for words without ASCII letters and digits, so that they do not touch a number."""
    parts, at = [], 0
    for start, end in _word_places(text):
        parts.append(text[at:start])
        word = text[start:end]
        parts.append(word if any(letter.isascii() for letter in word) else " " * len(word))
        at = end
    return "".join([*parts, text[at:]])
