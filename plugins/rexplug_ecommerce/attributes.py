"""Finds product attributes in text and marks their tokens for guided masking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from rexplug import Reason, SalienceScorer, TokenizedDocument
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
        import ahocorasick

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
        automaton = ahocorasick.Automaton()
        for label, (attribute_of_label, _) in LABELS.items():
            if attribute_of_label in self.attributes:
                payloads.setdefault(label, (len(label), _LABEL))
        for key, payload in payloads.items():
            automaton.add_word(f" {key} ", payload)
        automaton.make_automaton()
        return automaton

    def spans(self, text: str) -> list[Span]:
        """The attribute values in `text`, in order; they do not overlap."""
        return [Span(*value) for value in self._find(text)]

    def _find(self, text: str) -> list[AttributeValue]:
        candidates = [value for value in find_numbers(text) if value[2] in self.attributes]
        candidates += self._by_term(text)
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
            elif attribute != "brand" or text[start].isupper():
                yield start, end, attribute

    def score(self, document: TokenizedDocument) -> NDArray[np.uint8]:
        """`[num_tokens]` 255 or 254 on the tokens of attribute values, 0 elsewhere."""
        spans = self._find(document.text)
        scores = [255 - number % 2 for number in range(len(spans))]
        return document.spans_to_tokens([span[0] for span in spans], [span[1] for span in spans], scores)

    def explain(self, document: TokenizedDocument) -> Sequence[Reason]:
        """The attribute of each marked value."""
        return [Reason(*span) for span in self.spans(document.text)]
