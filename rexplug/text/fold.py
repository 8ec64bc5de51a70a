"""The folded form by which texts are compared: texts that differ only in case, accents, width or encoding are equal.

Search for benchmark texts and for exact duplicates compares folded texts, so that a copy in capitals, without accents, with
decomposed accents (NFD), in full-width letters or with a soft hyphen is found. Only comparisons use it: the original text is
written.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from rexplug.text.words import lower_words, split_words

_ASCII = bytes(range(128))
# Characters that fold independently of their neighbours: no mark that stays is among them, and no character that composes with one
# before it (the voiced marks of Kana, the nukta, parts of Hangul syllables).
_ALONE = (
    "\u0080-\u0344\u0346-\u0482\u048a-\u058f\u05be\u05d0-\u05ea\u0600-\u06ff\u0900-\u093b\u093d-\u0950\u0958-\u097f"
    "\u1e00-\u1eff\u2000-\u2070\u2074-\u208e\u20a0-\u20bf\u2100-\u214f\u2190-\u23ff\u2460-\u27bf\u2b00-\u2bff\u3000-\u3029"
    "\u3041-\u3096\u309b-\u30ff\u3220-\u33ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\ufb00-\ufb06\ufe0f\uff01-\uff9d"
    "\uffe0-\uffe6\U0001f300-\U0001faff"
)
_TOGETHER = re.compile(f"[^{_ALONE}]")
# Signs that are their own folded form, most of those in Western texts, are passed over: calling a function for each takes time.
_SIGNS = (
    "\u00a1-\u00a7\u00a9\u00ab\u00ac\u00ae\u00b0\u00b1\u00b6\u00b7\u00bb\u00bf\u00d7\u00f7\u2012-\u2016\u2018-\u2022"
    "\u20ac\u2212"
)
_CHANGED = re.compile(f"[^\x00-\x7f{_SIGNS}]+")
# A negated set of the characters that are not searched for: a set of many ranges beyond the first 65,536 characters is slower.
_OTHER_SCRIPT = re.compile(
    "[^\\x00-\u058f\u1d00-\u2c7f\u2e00-\u3004\ufe00-\ufe6f\ufefd-\uff00\ufff0-\uffff\U0001f000-\U0001ffff\U00040000-\U0010ffff]"
)
_DIGIT = re.compile(r"[^\D0-9]")
# Marks that writers leave out or that keyboards compose: accents of Latin, Greek and Cyrillic letters, vowel points of Hebrew and
# Arabic, and the stroke that stretches Arabic words. Vowel signs of Indic and Thai letters and the voiced marks of Kana distinguish
# words and stay.
_ACCENTS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20dc\u20e1\u20e5-\u20f0"
    "\u2de0-\u2dff\ua66f\ua674-\ua67d\ua69e\ua69f\ufe00-\ufe0f\ufe20-\ufe2f"
)
_ENCLOSING = "\u20dd-\u20e0\u20e2-\u20e4"
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
)
_INVISIBLE_BEYOND = "\U000e0000-\U000e0fff"
"""Invisible characters (Unicode's Default_Ignorable_Code_Point), among them the selectors of variants of Han characters."""
# The stroke of letters does not decompose, as accents do; dotless i has the capital of i; Egypt writes yeh at the end of words
# without its dots; Arabic keyboards lack Persian yeh and kaf.
_PLAIN_LETTERS = dict(
    zip("\u0142\u00f8\u0111\u0127\u0167\u0131\u0649\u06cc\u06a9", "lodhti\u064a\u064a\u0643", strict=True)
)
_OTHER_LETTER = re.compile(f"[{''.join(_PLAIN_LETTERS)}]")
_LEFT_OUT = re.compile(f"[{_ACCENTS}{_ENCLOSING}{_INVISIBLE}]+")
_LEFT_OUT_BEYOND = re.compile(f"[{_INVISIBLE_BEYOND}]+")  # a pattern of its own: one pattern with both sets is slower
ACCENTS = re.compile(f"[{_ACCENTS}]+")
"""Accents of a decomposed text."""
_FORMS = re.compile("[\u3300-\u33ff\ufb50-\ufdff\ufe70-\ufefe\uff01-\uffef]+")
_JOINED = f"{_ACCENTS}{_ENCLOSING}{_INVISIBLE}{_INVISIBLE_BEYOND}\u1100-\u11ff\u3099\u309a\uff9e\uff9f"
_CLUSTER = re.compile(rf"[^\x00-\x7f](?:[{_JOINED}]*)")
"""A character beyond ASCII with the marks that it may be composed with."""


def fold(text: str) -> str:
    """The text in the form for comparisons: case folded, compatibility forms replaced, without accents and invisible characters.

    Decimal digits of any script become ASCII digits. A text and its NFC, NFD, NFKC and NFKD forms have the same folded form.
    """
    if text.isascii():
        return text.lower()
    encoded = text.encode("utf-8", "surrogatepass").lower()  # of bytes: the ASCII letters alone, many at a time
    if 4 * len(encoded) > 5 * len(text):
        folded = text.lower()
        encoded = folded.encode("utf-8", "surrogatepass")
    else:
        folded = encoded.decode("utf-8", "surrogatepass")
    beyond = encoded.translate(None, _ASCII).decode("utf-8", "surrogatepass")
    if _TOGETHER.search(beyond):
        return _CHANGED.sub(_fold_match, folded)
    for character in set(beyond):
        if (other := _fold_short(character)) != character:
            folded = folded.replace(character, other)
    return folded


def has_other_script(text: str) -> bool:
    """Whether a text has letters, marks or digits of other scripts than Latin, Greek and Cyrillic, or full-width characters."""
    return not text.isascii() and _OTHER_SCRIPT.search(text) is not None


def plain_forms(text: str) -> str:
    """The text with plain characters for full-width and half-width ones, squared units (㎏) and shapes of Arabic letters."""
    return text if text.isascii() else _FORMS.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text)


def ascii_digits(text: str) -> str:
    """The text with ASCII digits for the decimal digits of other scripts."""
    return text if text.isascii() else _DIGIT.sub(_ascii_digit, text)


def folded_words(text: str) -> list[str]:
    """The words of the folded text, in order."""
    if text.isascii():
        return lower_words(text)
    folded = fold(text)
    return lower_words(folded) if folded.isascii() else split_words(folded)


def fold_with_places(text: str) -> tuple[str, list[int]]:
    """The folded text, and for each of its characters where in the text it comes from; at last `len(text)`."""
    if text.isascii():
        return text.lower(), list(range(len(text) + 1))
    folded: list[str] = []
    places: list[int] = []
    at = 0
    for match in _CLUSTER.finditer(text):
        start = match.start()
        folded += (text[at:start].lower(), part := fold(match[0]))
        places += range(at, start)
        places += [start] * len(part)
        at = match.end()
    folded.append(text[at:].lower())
    places += range(at, len(text))
    whole = fold(text)
    if "".join(folded) != whole:  # rare compositions of several letters: proportions are near enough for an excerpt
        places = [place * len(text) // len(whole) for place in range(len(whole))]
    return whole, [*places, len(text)]


def _fold_match(match: re.Match[str]) -> str:
    characters = match.group()
    return _fold_short(characters) if len(characters) < 16 else _fold(characters)


@lru_cache(maxsize=50_000)
def _fold_short(characters: str) -> str:
    return _fold(characters)


def _fold(text: str) -> str:
    # Folding the case can bring characters that decompose, and decomposition capitals that fold.
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    plain = _LEFT_OUT_BEYOND.sub("", _LEFT_OUT.sub("", decomposed))
    if plain.isascii():
        return plain
    plain = _OTHER_LETTER.sub(_plain_letter, plain)
    return unicodedata.normalize("NFC", _DIGIT.sub(_ascii_digit, plain))


def _plain_letter(match: re.Match[str]) -> str:
    return _PLAIN_LETTERS[match[0]]


def _ascii_digit(match: re.Match[str]) -> str:
    return str(unicodedata.decimal(match.group()))
