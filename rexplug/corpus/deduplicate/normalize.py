"""The normalised text that near-duplicates are compared by: datatrove's, or one that keeps what tells products apart."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Literal

from rexplug.text.characters import UNSPACED_CHARACTER
from rexplug.text.fold import ACCENTS, ascii_digits, has_other_script, plain_forms
from rexplug.text.words import has_unspaced

Numbers = Literal["zero", "keep"]

_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)?")
_BEGINS = rf"(?:(?<!\w)|(?<={UNSPACED_CHARACTER.pattern}))"
"""Before a number: not inside a word; letters of scripts without spaces do not continue into a number."""
_CURRENCY = r"[$€£¥₹₩₺₽₫₪₴₸₱฿]|\b(?:usd|eur|gbp|chf|cad|aud|sek|nok|dkk|pln|inr|cny|jpy)\b"
_CURRENCY_AFTER = (
    rf"{_CURRENCY}|[万億千]?(?:円|元|원)|บาท|ر\.س\.?|د\.إ\.?|(?:ريال|درهم|جنيه|تومان|रुपये|руб|грн|zł|kč|kr|tl)\b"
)
# An amount is short: after a sign the next digit begins another, and in "1.1.1.1..." each would be read to the end of the text.
_PRICE = re.compile(rf"(?:{_CURRENCY})\s?[0-9][0-9.,]*|{_BEGINS}[0-9][0-9.,]{{0,30}}+\s?(?:{_CURRENCY_AFTER})")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_NUMBER_BEFORE_UNIT = re.compile(
    rf"(?:(?<![\w.\-])|(?<={UNSPACED_CHARACTER.pattern}))([0-9]+(?:\.[0-9]+)?)(?=[^\W\d_])"
)
_POINT_OF_NUMBER = re.compile(r"(?<=\d)[.,](?=\d)")
_PLUS_OF_WORD = re.compile(r"(?<=\w)\+")
_KEPT = {"\ue000": ".", "\ue001": "+"}
"""Characters that stand for a decimal point and a plus sign while punctuation is removed (of Unicode's private use area)."""
_JOINERS = re.compile("(?<=[\u0590-\u0dff])[\u200c\u200d]+")
"""Invisible characters in Arabic and Indic words, which writers leave out or set as a blank."""
_MARKS = re.compile("[،؛؟٪।॥・]")
"""Punctuation that datatrove's list lacks."""
_SIGNS_IN_NUMBERS = str.maketrans("٫٬", ".,")
_RESTORE = str.maketrans(_KEPT)


def simplified(text: str, numbers: Numbers = "zero") -> str:
    """The text in lower case, without punctuation and accents, with single blanks.

    With `zero` every number becomes 0: datatrove's `simplify_text`, character for character on text in Latin, Greek and Cyrillic
    letters. In other scripts the marks that tell words apart stay (vowel signs, voiced Kana), which datatrove removes with the
    accents, and full-width and half-width characters become plain ones.

    With `keep` only prices become 0; other numbers stay, with their decimal point, apart from a unit that follows ("64GB" and
    "64 GB" are equal) and without separators of thousands, and so does a plus sign after a word ("S10+", "DVD+RW").
    """
    lower = text.lower()
    other = has_other_script(lower)
    if other:
        lower = _MARKS.sub(" ", _JOINERS.sub("", ascii_digits(plain_forms(lower)).translate(_SIGNS_IN_NUMBERS).lower()))
    if numbers == "keep":
        lower = _protected(lower)
    else:
        lower = _NUMBER.sub("0", lower) if lower.isascii() else _datatroves_numbers().sub("0", lower)
    if lower.isascii():
        return " ".join(lower.translate(_ascii()).split())
    plain = _punctuation().sub(" ", lower).strip()
    if not plain.isascii():
        plain = ACCENTS.sub("", unicodedata.normalize("NFD", plain))
        if other:
            plain = unicodedata.normalize("NFC", plain)
    plain = plain.strip()
    return plain.translate(_RESTORE) if numbers == "keep" else plain


def numbers_in(simplified_text: str) -> set[str]:
    """The words with a digit: capacities, sizes, model codes."""
    if has_unspaced(simplified_text):  # "第3世代" holds the number 3
        simplified_text = UNSPACED_CHARACTER.sub(" ", simplified_text)
    return {word for word in simplified_text.split() if any(character.isdecimal() for character in word)}


def _protected(lower: str) -> str:
    """The lower-cased text with prices as 0, numbers apart from units, and the marks that stay in place of punctuation."""
    plain = _PRICE.sub(" 0 ", lower)
    plain = _THOUSANDS.sub("", plain)
    plain = _POINT_OF_NUMBER.sub("\ue000", _NUMBER_BEFORE_UNIT.sub(r"\1 ", plain))
    return _PLUS_OF_WORD.sub("\ue001", plain)


@cache
def _datatroves_numbers() -> re.Pattern[str]:
    from datatrove.utils.text import NUMBERS_PATTERN

    pattern: re.Pattern[str] = NUMBERS_PATTERN
    return pattern


@cache
def _ascii() -> dict[int, str]:
    from datatrove.utils.text import PUNCTUATION

    return {ord(sign): " " for sign in PUNCTUATION if sign.isascii()}


@cache
def _punctuation() -> re.Pattern[str]:
    from datatrove.utils.text import PUNCTUATION

    return re.compile(f"[{re.escape(PUNCTUATION)}\\s]+")
