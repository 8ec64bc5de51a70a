"""Counts the signals of product pages in a text, for the product-page filter and the weak labels."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Codes that are words, or parts of words, in some language (TRY, RON) count only in capitals.
_CAPITALS = (
    "AED", "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "HUF", "ILS", "INR", "JPY", "KRW", "MXN", "NOK", "NZD", "PLN", "RON",
    "SAR", "SEK", "THB", "TRY", "UAH", "VND", "ZAR",
)  # fmt: skip
_CODES = f"(?-i:{'|'.join(_CAPITALS)})"
_PRICE = re.compile(
    rf"(?:[$€£¥￥₹₽₩₺₴₫฿₪₱₦]|\b(?:USD|EUR|GBP|{_CODES}))\s?\d[\d.,]*|"
    rf"\b\d+(?:[.,٫]\d{{2}})?\s?(?:円|元|원|(?:[€£₽₺₴₫₪]|USD|EUR|GBP|{_CODES}|zł|kr|Kč|ر\.س|dollars|euros)(?!\w))",
    re.IGNORECASE,
)
_BUY = re.compile(
    r"\b(?:add to (?:cart|basket|bag|wishlist)|buy now|in stock|out of stock|left in stock|free (?:delivery|shipping|"
    r"returns?)|ships (?:within|from|in)|on sale|checkout|order (?:now|today)|pay later|money.back|including vat|"
    r"(?:day|free) returns|warranty|verified purchase|out of 5 stars|customer reviews?|best ?seller|discount|"
    r"special offer|shop now|compare price|filter by|sort by price|would buy|returned it|fast delivery)\b",
    re.IGNORECASE,
)
_ATTRIBUTE = re.compile(
    r"(?:^|[;|,]\s*|\n)\s*(?:brand|manufacturer|series|model(?: number| no\.?)?|colou?r|size|material|"
    r"weight|dimensions|capacity|volume|category|"
    r"sku|ean|upc|asin|mpn|part number|item number|features?|price|condition|quantity|"
    r"product type|care instructions|country of origin|warranty|height|width|length|depth|diameter|power|voltage)"
    r"\s*(?:[:|=]|\b)",
    re.IGNORECASE,
)
_SKU = re.compile(
    r"\b(?=[A-Z0-9/-]*\d)(?=[A-Z0-9/-]*[A-Z])[A-Z0-9]{1,6}(?:[-/][A-Z0-9]{1,8}){1,3}\b|"
    r"\b[A-Z]{2,5}\d{2,6}[A-Z]{0,3}\b"
)
_MEASURE = re.compile(
    r"\b\d+(?:[.,]\d+)?\s?(?:mm|cm|m|km|inch(?:es)?|in|ft|g|kg|mg|lbs?|oz|ml|cl|l|litres?|liters?|W|kW|kWh|V|Ah|mAh|Wh|"
    r"Hz|kHz|GHz|GB|TB|MB|dB|lm|K|Nm|rpm|bar|Pa|ohm|nits|pcs|pack)\b|\b\d+(?:[.,]\d+)?[\"″%]"
)
_WORD = re.compile(r"\w+")

# Every phrase and price contains one of these, ignoring case; searching for them first is ten times as fast as matching everywhere.
_BUY_PARTS = (
    "add to", "buy", "stock", "free ", "return", "ships ", "sale", "checkout", "order ", "pay later", "money", "vat",
    "warranty", "verified", "5 stars", "review", "best", "discount", "offer", "shop now", "price", "filter", "delivery",
)  # fmt: skip
_PRICE_PARTS = (
    "$", "€", "£", "¥", "￥", "₹", "₽", "₩", "₺", "₴", "₫", "฿", "₪", "₱", "₦", "円", "元", "원", "zł", "kr", "kč", "ر.س",
    "usd", "eur", "gbp", "dollars",
)  # fmt: skip


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
    folded = text.casefold()
    buys = any(part in folded for part in _BUY_PARTS)
    priced = any(part in folded for part in _PRICE_PARTS) or any(code in text for code in _CAPITALS)
    return Signals(
        words=len(_WORD.findall(text)),
        prices=len(_PRICE.findall(text)) if priced else 0,
        buy=len(_BUY.findall(text)) if buys else 0,
        attributes=len(_ATTRIBUTE.findall(text)),
        skus=len(_SKU.findall(text)),
        measures=len(_MEASURE.findall(text)),
    )
