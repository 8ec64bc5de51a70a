"""Reads amounts of money as shops and machines write them: `1.299,00 €`, `1,299.00`, `CHF 1'299.–`, 1299."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, InvalidOperation
from typing import Any

# As machines write amounts. Three digits after a point may be a group of thousands, unless the first group would begin with 0 or
# have more than three digits.
_PLAIN = re.compile(r"\d+(?:\.(?:\d{1,2}|\d{4,20}))?|(?:0|\d{4,})\.\d{3}")
_THREE_DECIMALS = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
"""Currencies with a thousand subunits, whose prices have three decimal places."""
_SYMBOLS = {
    "€": "EUR", "£": "GBP", "US$": "USD", "CA$": "CAD", "C$": "CAD", "A$": "AUD", "AU$": "AUD", "NZ$": "NZD", "HK$": "HKD",
    "S$": "SGD", "R$": "BRL", "₹": "INR", "RS": "INR", "₽": "RUB", "РУБ": "RUB", "₩": "KRW", "원": "KRW", "円": "JPY",
    "元": "CNY", "RMB": "CNY", "₺": "TRY", "TL": "TRY", "₴": "UAH", "₫": "VND", "฿": "THB", "₪": "ILS", "₱": "PHP",
    "₦": "NGN", "ZŁ": "PLN", "KČ": "CZK", "FT": "HUF", "LEI": "RON", "ЛВ": "BGN", "FR": "CHF", "RP": "IDR", "RM": "MYR",
    "ر.س": "SAR", "ريال": "SAR", "ج.م": "EGP", "درهم": "AED",
}  # fmt: skip
_BY_LANGUAGE = {
    "$": {"": "USD", "es-mx": "MXN", "en-ca": "CAD", "fr-ca": "CAD", "en-au": "AUD", "en-nz": "NZD"},
    "¥": {"": "JPY", "zh": "CNY"},
    "KR": {"sv": "SEK", "nb": "NOK", "nn": "NOK", "no": "NOK", "da": "DKK", "is": "ISK"},
}
"""What a symbol of several currencies means on a page in a language; the empty language is any other."""
_CODES = frozenset(
    ["AED", "ARS", "AUD", "BDT", "BGN", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK", "DKK", "EGP", "EUR", "GBP", "HKD", "HUF",
     "IDR", "ILS", "INR", "ISK", "JPY", "KES", "KRW", "KWD", "LKR", "MXN", "MYR", "NGN", "NOK", "NZD", "PEN", "PHP", "PKR", "PLN",
     "QAR", "RON", "RSD", "RUB", "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "UAH", "USD", "VND", "ZAR"]
)  # fmt: skip
_RARE_CODES = frozenset(
    ["AFN", "ALL", "AMD", "ANG", "AOA", "AWG", "AZN", "BAM", "BBD", "BHD", "BIF", "BMD", "BND", "BOB", "BSD", "BTN", "BWP",
     "BYN", "BZD", "CDF", "CRC", "CUP", "CVE", "DJF", "DOP", "DZD", "ERN", "ETB", "FJD", "FKP", "GEL", "GHS", "GIP", "GMD",
     "GNF", "GTQ", "GYD", "HNL", "HRK", "HTG", "IQD", "IRR", "JMD", "JOD", "KGS", "KHR", "KMF", "KPW", "KYD", "KZT", "LAK",
     "LBP", "LRD", "LSL", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MZN", "NAD",
     "NIO", "NPR", "OMR", "PAB", "PGK", "PYG", "RWF", "SBD", "SCR", "SDG", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SYP",
     "SZL", "TJS", "TMT", "TND", "TOP", "TTD", "TZS", "UGX", "UYU", "UZS", "VED", "VES", "VUV", "WST", "XAF", "XCD", "XOF",
     "XPF", "YER", "ZMW"]
)  # fmt: skip
"""The other currencies of ISO 4217; some are words (`ALL`, `TOP`), so they count only where nothing else is written."""


def amount(value: Any, code: str | None = None) -> Decimal | None:
    """The amount that a number or a text means; None if it has none, or if it is not a positive price.

    A text of digits with a point is read as machines write it unless three digits follow the point, which may be a group of
    thousands (not in a currency of three decimal places, whose `code` says so). Any other text is read by price-parser, which
    decides from the groups of digits which separator is the decimal one.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        # Rounded, for the noise of floating point: 49.989999999999995.
        return Decimal(str(round(value, 6))) if 0 < value < 1e12 else None
    if not isinstance(value, str) or len(value) > 200:
        return None
    text = _with_plain_digits(value).strip()
    if _PLAIN.fullmatch(text) or (code in _THREE_DECIMALS and re.fullmatch(r"\d+\.\d{3}", text)):
        result = Decimal(text)
    else:
        from price_parser import Price

        try:
            found = Price.fromstring(text).amount
        except (InvalidOperation, ValueError):
            return None
        if found is None:
            return None
        result = found
    return result if 0 < result < Decimal(10) ** 12 else None


def written(value: Decimal) -> str:
    """An amount as decimal digits: two decimal places or none, more only where they are not zeros."""
    whole, point, decimals = f"{value:f}".partition(".")
    return f"{whole}.{decimals[:2].ljust(2, '0')}{decimals[2:].rstrip('0')}" if point else whole


def currency(text: Any, language: str = "") -> str | None:
    """The ISO 4217 code of a code, a symbol or a price; what `$`, `¥` and `kr` mean depends on the page's language."""
    if not isinstance(text, str) or len(text) > 200:
        return None
    letters = unicodedata.normalize("NFKC", text).upper()
    # What remains of a price without its amount.
    letters = re.sub(r"[\d\s\u200e\u200f,'’٬٫:–—-]+|(?<=\d)\.|\.(?=\d)", " ", letters)
    for part in [letters.replace(" ", ""), *letters.split()]:
        for symbol in (part, part.strip(".")):
            if symbol in _SYMBOLS:
                return _SYMBOLS[symbol]
            if symbol in _BY_LANGUAGE:
                meanings = _BY_LANGUAGE[symbol]
                folded = language.lower().replace("_", "-")
                return meanings.get(folded) or meanings.get(folded.split("-")[0]) or meanings.get("")
            if symbol in _CODES or (symbol in _RARE_CODES and symbol in text and symbol == letters.strip()):
                return symbol
    return None


def _with_plain_digits(text: str) -> str:
    """The text with ASCII digits and separators, whatever script it is written in."""
    text = unicodedata.normalize("NFKC", text).translate(
        {ord("٫"): ".", ord("٬"): ",", ord("’"): "'", ord("\u202f"): " "}
    )
    return "".join(str(unicodedata.digit(c)) if c.isdigit() and not c.isascii() else c for c in text)
