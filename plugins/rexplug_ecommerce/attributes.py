"""Finds product attributes in text and marks their tokens for guided masking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from rexplug import Reason, SalienceScorer, TokenizedDocument
from rexplug_ecommerce.lexicons import BUILT_IN
from rexplug_ecommerce.patterns import LABELS, Found, find_brand, find_numbers, normalised
from rexplug_ecommerce.taxonomies import read_taxonomy, read_values

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Attribute = Literal["brand", "colour", "size", "material", "measure", "model_number", "category"]

_ORDER: tuple[Attribute, ...] = ("category", "size", "colour", "material", "brand", "model_number", "measure")
"""Where a term is in two lists, the later attribute decides."""
_COMPOUND = ("colour", "material")
_BETWEEN = frozenset(["/", " / ", "&", " & ", " and ", "-", ", "])
"""What may stand between two colours, or two materials, that are one value: black/white."""
_LABEL = "label"


class Span(NamedTuple):
    """Characters `[start, end)` of a text and the attribute whose value they are."""

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
    Fabric or Frame material say which attribute is meant and values of others are left out; or two columns,
    `attribute,value`, with the names above."""
    title_brands: bool = True
    """Take the first words of a title for its brand where the line reads like a product's: two more values stand in it."""

    @cached_property
    def _terms(self) -> Any:
        """An Aho-Corasick automaton: normalised term, a blank on both sides -> (length without them, attribute)."""
        import ahocorasick

        found: dict[str, tuple[int, str]] = {}
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
                    found[key] = (len(key), attribute)
                    if attribute == "category" and not key.endswith("s"):
                        found.setdefault(key + "s", (len(key) + 1, attribute))
        automaton = ahocorasick.Automaton()
        for label, (meant, _) in LABELS.items():
            if meant in self.attributes:
                found.setdefault(label, (len(label), _LABEL))
        for key, payload in found.items():
            automaton.add_word(f" {key} ", payload)
        automaton.make_automaton()
        return automaton

    def spans(self, text: str) -> list[Span]:
        """The attribute values in `text`, in order, none overlapping another."""
        return [Span(*found) for found in self._find(text)]

    def _find(self, text: str) -> list[Found]:
        wanted = self.attributes
        candidates = [found for found in find_numbers(text) if found[2] in wanted]
        candidates += self._by_term(text)
        # At one place the longer value wins; between equals, the pattern.
        candidates.sort(key=lambda found: (found[0], -found[1]))
        chosen: list[Found] = []
        end = 0
        for found in candidates:
            if found[0] < end:
                continue
            if chosen and found[2] in _COMPOUND and found[2] == chosen[-1][2] and text[end : found[0]] in _BETWEEN:
                chosen[-1] = (chosen[-1][0], found[1], found[2])
            else:
                chosen.append(found)
            end = found[1]
        if self.title_brands and "brand" in wanted and (brand := find_brand(text, chosen)) is not None:
            chosen = [(*brand, "brand"), *(found for found in chosen if found[0] >= brand[1])]
        return chosen

    def _by_term(self, text: str) -> Iterator[Found]:
        """Terms of the lists, and values after a label."""
        plain = f" {normalised(text)} "
        for last, (length, attribute) in self._terms.iter(plain):
            # `last` is the place of the blank after the term; in `plain`, a character is one place further on.
            end = last - 1
            start = end - length
            if attribute == _LABEL:
                attribute, value = LABELS[plain[start + 1 : last]]
                match = value.match(text, end)
                if match is not None:
                    yield *match.span(match.lastindex or 0), attribute
            elif attribute != "brand" or text[start].isupper():
                yield start, end, attribute

    def score(self, document: TokenizedDocument) -> NDArray[np.uint8]:
        """255 or 254 on the tokens of attribute values, 0 elsewhere."""
        found = self._find(document.text)
        values = [255 - number % 2 for number in range(len(found))]
        return document.spans_to_tokens([each[0] for each in found], [each[1] for each in found], values)

    def explain(self, document: TokenizedDocument) -> Sequence[Reason]:
        """The attribute of each value."""
        return [Reason(*span) for span in self.spans(document.text)]
