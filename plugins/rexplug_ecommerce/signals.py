"""Counts the signals of product pages in a text of any language, for the product-page filter and the weak labels."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rexplug import split_words
from rexplug_ecommerce.phrases import Kind, finder_for

# A pattern that begins with a set of characters is tried only where one of them is; one that begins with \b or an alternation is
# tried at every character, which takes most of the time. So the patterns of prices, article numbers and measures match the first
# character of a word, then check that no word character is before it, and then match the rest.
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
# Letters that are written beside numbers and Latin letters without a blank: Thai, Kana, Han, Hangul.
_BESIDE = "\u0e00-\u0e7f\u3005\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
_UNSPACED = re.compile(f"[{_BESIDE}]")
_EDGE = re.compile(f"(?<=[{_BESIDE}])(?=[A-Za-z0-9Ａ-Ｚａ-ｚ０-９])|(?<=[A-Za-z0-9Ａ-Ｚａ-ｚ０-９])(?=[{_BESIDE}])")

KINDS: tuple[Kind, ...] = ("buy", "label", "price", "measure")
"""Kinds of phrases that are signals."""


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


def signals(text: str, languages: tuple[str, ...] = (), phrases: tuple[Path, ...] = ()) -> Signals:
    """Count the signals in `text`.

    Args:
        text: the text.
        languages: codes of the languages whose phrases count; all if empty.
        phrases: the user's files of phrases.

    Raises:
        DataError: one of the files cannot be read.
    """
    found = Counter(phrase.kind for phrase in finder_for(text, languages, phrases, KINDS).find(text))
    words = len(split_words(text))
    if _UNSPACED.search(text):
        text = _EDGE.sub(" ", unicodedata.normalize("NFKC", text))
    return Signals(
        words=words,
        prices=len(_PRICE.findall(text)) + found["price"],
        buy=found["buy"],
        attributes=found["label"],
        skus=len(_SKU.findall(text)),
        measures=len(_MEASURE.findall(text)) + found["measure"],
    )
