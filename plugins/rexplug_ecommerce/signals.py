"""Counts the signals of product pages in a text, for the product-page filter and the weak labels."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A pattern that begins with a set of characters is tried only where one of them is; one that begins with \b or a choice is tried
# at every character, which is most of the time. So those of prices, article numbers and measures take the first character of a
# word, then check that no word character is before it, and name the rest.
_STARTS_WORD = r"(?<!\w.)"

_SIGNS = "$€£¥￥₹₽₩₺₴₫฿₪₱₦"
# Codes that are words, or parts of words, in some language (TRY, RON) count only in capitals.
_CAPITALS = (
    "AED", "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "HUF", "ILS", "INR", "JPY", "KRW", "MXN", "NOK", "NZD", "PLN", "RON",
    "SAR", "SEK", "THB", "TRY", "UAH", "VND", "ZAR",
)  # fmt: skip
_REST_OF_CODE = "|".join(f"(?<={code[0]}){code[1:]}" for code in _CAPITALS)
_BEFORE_NUMBER = rf"(?<=[{_SIGNS}])|{_STARTS_WORD}(?:{_REST_OF_CODE}|(?i:(?<=U)SD|(?<=E)UR|(?<=G)BP))"
_AFTER_NUMBER = rf"円|元|원|(?:{'|'.join(_CAPITALS)}|(?i:[€£₽₺₴₫₪]|USD|EUR|GBP|zł|kr|Kč|ر\.س|dollars|euros))(?!\w)"
_PRICE = re.compile(
    rf"[{_SIGNS}\dUEGueg{''.join(sorted({code[0] for code in _CAPITALS}))}]"
    rf"(?:(?:{_BEFORE_NUMBER})\s?\d[\d.,]*|(?<=\d){_STARTS_WORD}\d*(?:[.,٫]\d{{2}})?\s?(?:{_AFTER_NUMBER}))"
)
_BUY = re.compile(
    r"\b(?:add to (?:cart|basket|bag|wishlist)|buy now|in stock|out of stock|left in stock|free (?:delivery|shipping|"
    r"returns?)|ships (?:within|from|in)|on sale|checkout|order (?:now|today)|pay later|money.back|including vat|"
    r"(?:day|free) returns|warranty|verified purchase|out of 5 stars|customer reviews?|best ?seller|discount|"
    r"special offer|shop now|compare price|filter by|sort by price|would buy|returned it|fast delivery)\b"
)
_LABEL = (
    r"\s*(?:brand|manufacturer|series|model(?: number| no\.?)?|colou?r|size|material|"
    r"weight|dimensions|capacity|volume|category|"
    r"sku|ean|upc|asin|mpn|part number|item number|features?|price|condition|quantity|"
    r"product type|care instructions|country of origin|warranty|height|width|length|depth|diameter|power|voltage)"
    r"\s*(?:[:|=]|\b)"
)
_FIRST_LABEL, _LABELS = re.compile(_LABEL), re.compile(rf"[;|,\n]{_LABEL}")
_SKU = re.compile(
    rf"[A-Z0-9]{_STARTS_WORD}(?:"
    r"(?:(?<=\d)|(?=[A-Z0-9/-]*\d))(?:(?<=[A-Z])|(?=[A-Z0-9/-]*[A-Z]))[A-Z0-9]{0,5}(?:[-/][A-Z0-9]{1,8}){1,3}\b|"
    r"(?<=[A-Z])[A-Z]{1,4}\d{2,6}[A-Z]{0,3}\b)"
)
_MEASURE = re.compile(
    rf"\d{_STARTS_WORD}\d*(?:[.,]\d+)?"
    r"(?:\s?(?:mm|cm|m|km|inch(?:es)?|in|ft|g|kg|mg|lbs?|oz|ml|cl|l|litres?|liters?|W|kW|kWh|V|Ah|mAh|Wh|"
    r"Hz|kHz|GHz|GB|TB|MB|dB|lm|K|Nm|rpm|bar|Pa|ohm|nits|pcs|pack)\b|[\"″%])"
)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Signals:
    """How many signals of each kind a text has, and its number of words."""

    words: int
    prices: int
    buy: int
    attributes: int
    skus: int
    measures: int

    @property
    def kinds(self) -> int:
        """How many of the five kinds occur."""
        return sum(count > 0 for count in (self.prices, self.buy, self.attributes, self.skus, self.measures))

    @property
    def density(self) -> float:
        """Signals per 100 words, each kind counted at most 20 times per 100 words."""
        if not self.words:
            return 0.0
        most = max(1.0, self.words / 5)
        counts = (2 * self.prices, 2 * self.buy, self.attributes, self.skus, self.measures)
        return 100 * sum(min(count, most) for count in counts) / self.words


def signals(text: str) -> Signals:
    """Count the signals in `text`."""
    lower = text.lower()  # a pattern on it is three times as fast as one that ignores case
    first = _FIRST_LABEL.match(lower)
    return Signals(
        words=len(_WORD.findall(text)),
        prices=len(_PRICE.findall(text)),
        buy=len(_BUY.findall(lower)),
        attributes=bool(first) + len(_LABELS.findall(lower, first.end() if first else 0)),
        skus=len(_SKU.findall(text)),
        measures=len(_MEASURE.findall(text)),
    )
