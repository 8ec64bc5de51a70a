"""Patterns of attribute values that cannot be listed: measures, sizes, model numbers, values after a label, brands.

The search starts at something rare, a digit or a label, and examines what is around it: most of a text is skipped at the speed
of the regular expression engine.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from rexplug_ecommerce.pages.word_lists import words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AttributeValue = tuple[int, int, str]
"""Characters `[start, end)`, and the attribute of which they are a value."""
_DIGIT = re.compile("[0-9]")
_MEASURED = re.compile(
    r"(?P<number>\d+(?:[.,]\d+)*(?:(?:\s?[-–/x×X+]\s?|[\"″]\s?[x×X]\s?)\d+(?:[.,]\d+)*)*)"
    r"(?:[\s-]?(?P<unit>[A-Za-z]+\b\.?)|\s?(?P<sign>[\"″%]|''))?"
)
_UNITS = frozenset(
    words(
        """
        millimeter millimeters millimetre millimetres centimeter centimeters centimetre centimetres meter meters
        metre metres inch inches feet foot ounce ounces pound pounds milligram milligrams microgram micrograms
        gram grams kilogram kilograms liter liters litre litres milliliter milliliters millilitre millilitres
        gallon gallons quart quarts pint pints watt watts volt volts amp amps hour hours minute minutes year
        years month months yard yards degrees mm cm km ft kg mg mcg iu lb lbs oz ml cl qt gal yd
        yds hp kwh wh kw mah ah khz mhz ghz hz gb tb mb db lm lumen lumens nm rpm bar psi btu ohm nits spf mp
        megapixel megapixels denier gsm load loads serving servings sheet sheets roll rolls capsule capsules
        softgel softgels tablet tablets tabs caplet caplets gummies lozenges teabags bag bags bottle bottles can
        cans boxes pod pods kcup kcups packet packets pouches sticks bars wipes pad pads pair pairs piece pieces
        pc pcs count counts ct pack packs pk unit units set sets ply layer layers string strings fret frets
        section sections speed speeds burner burners blade blades
        """
    )
)
_CASED = frozenset(["in", "in.", "m", "mAh", "g", "G", "l", "L", "W", "V", "A", "K", "TC", "Pa"])
"""Units that mean something else in another case."""
_TWO = re.compile(r"(?i)(?:fl\.? ?oz\b\.?|fluid ounces?|tea ?bags?|(?:he|total) loads?|k-cups?)\b")
_BEGIN_TWO = frozenset(["fl", "fl.", "fluid", "tea", "he", "total", "k"])
_LOT = re.compile(r"(?i)/(?:lot|pack|set)\b")
_US = r"(?:\s(?:US|UK|EU))"
_SIZE = re.compile(
    rf"\d{{1,2}}(?:\.5)?(?:-\d{{1,2}}(?:\.5)?)?\s(?:(?:[A-E]{{1,3}}|[MNWX]{{1,2}}|2E|4E){_US}|"
    r"(?:(?:XX?-)?Wide|Narrow|X-Narrow|Medium|Big Kid|Little Kid|Toddler|Infant)\b|[DNEMB](?=\s*$|,))"
    r"|\d{1,2}(?:\.5)?(?:[/-]\d{1,2}(?:\.5)?)?\s?(?:US|UK|EU)\b|\dX{1,2}L\b|\d-\dT\b|[2-6]T\b"
    r"|\d{1,2}-\d{1,2} ?(?i:months?|mos?)\b"
)
_BEGIN_SIZE = frozenset(
    words(
        """
        A B C D E AA BB CC DD EE EEE M N W X WW XX XW MW US UK EU XL XXL T Wide XX-Wide Narrow Medium Big Little
        Toddler Infant months Months month Month mos Mos mo MONTHS
        """
    )
)
_MODEL = re.compile(
    r"(?=[A-Za-z0-9./-]*[A-Za-z])"
    r"(?:[A-Z0-9]{1,8}(?:[-/][A-Za-z0-9]{1,8}){1,3}|[A-Za-z]{1,6}\d{2,8}[A-Za-z0-9]{0,4}(?:-\d+)?|\d{2,6}[A-Z]{1,4}\d{0,5})"
)
_NO_MODEL = re.compile(
    r"(?i)uv-?\d+|tr-?90|x\d+|\dx-large|\d+(?:st|nd|rd|th|s|x|d|p|k)|\d+(?:-\w+)?-(?:in|to|day|piece|tier|way|step|pack|ply|hour)\b.*"
)
_INSIDE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-/")
_RUN = re.compile(r"[A-Za-z0-9/-]*[A-Za-z0-9]")

_TO_END = r"\s*[:|]\s*([A-Z][^\n;|,]{1,40}?)(?=\s*(?:[\n;|,.]|$))"
_SIZE_VALUE = r"(?:s\b)?(?:\s*[:|]\s*|\s+)((?:US |UK |EU )?\d{1,3}(?:\.5)?|[SML](?:/[SML])?|X{1,4}[SL])(?![\w.])"
LABELS: dict[str, tuple[str, re.Pattern[str]]] = {
    "brand": ("brand", re.compile(_TO_END + r"|\s+([A-Z]\w{1,40})(?=\s*[\n;|,])")),
    "manufacturer": ("brand", re.compile(_TO_END)),
    "brand name": ("brand", re.compile(_TO_END)),
    "size": ("size", re.compile(_SIZE_VALUE)),
    "sizes": ("size", re.compile(_SIZE_VALUE)),
    "color": ("colour", re.compile(_TO_END)),
    "colour": ("colour", re.compile(_TO_END)),
    "material": ("material", re.compile(_TO_END)),
    "spf": ("measure", re.compile(r"\s?-?(\d{1,3}\+?)")),
    "upf": ("measure", re.compile(r"\s?-?(\d{1,3}\+?)")),
    "pack of": ("measure", re.compile(r"\s(\d{1,4})\b")),
    "set of": ("measure", re.compile(r"\s(\d{1,4})\b")),
    **{
        label: ("model_number", re.compile(r"\s*[:|#]\s*([A-Za-z0-9/-]{3,24})"))
        for label in ("model", "model number", "model no", "mpn", "sku", "item", "item number", "part number")
    },
}
"""Label in lower case -> the attribute of the value that follows it, and the pattern of the value."""

_WORD = re.compile(r"[^\W_]+(?:['’.&-][^\W_]+)*'?")
_TITLE = 250
_NO_BRAND = frozenset(
    words(
        """
        the a an and or of for with in on to from by new newest hot sale free original genuine official
        professional pro premium quality high super ultra mini big small large best top cheap wholesale fashion
        women womens men mens women's men's boy boys girl girls kid kids child children baby toddler unisex
        adult adults lady ladies woman man outdoor sport sports summer winter spring autumn waterproof electric
        portable adjustable classic vintage modern natural organic pure pack set pair lot pcs pieces piece brand
        size color colour model product products item items this that these it we our you your all any if what
        when how why there here he she they his her in at as is are was were be no not only one two three four
        five about buy shop order review reviews home page free fresh instant compatible replacement universal
        wireless digital personalized custom handmade real full double single multi soft hard long short light
        heavy dry sexy casual road mountain indoor cycling running fishing camping hiking swimming yoga
        basketball bicycle bike ski skiing polarized photochromic anti extra deluxe factory garden amazon
        washable reusable disposable custom arrival
        """
    )
)


@cache
def _plain() -> NDArray[np.uint32]:
    """For each character its lower case, or a blank if it is neither a letter or digit nor a mark of one (a vowel sign)."""
    import numpy as np

    table = np.full(0x110000, ord(" "), np.uint32)
    for code in range(0x110000):
        char = chr(code)
        if char.isalnum():
            # The lower case of a few capitals has several characters; those stay as they are.
            table[code] = ord(small) if len(small := char.lower()) == 1 else code
        elif unicodedata.category(char) in ("Mn", "Mc") and unicodedata.name(char, "").find("VARIATION SELECTOR") < 0:
            table[code] = code
    return table


_ASCII = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}


def normalised(text: str) -> str:
    """The text in lower case with a blank for every character that is not a letter, digit or mark; as long as `text`."""
    import numpy as np

    if text.isascii():
        return text.translate(_ASCII)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    plain: bytes = _plain()[codes].astype("<u4").tobytes()
    return plain.decode("utf-32-le", "surrogatepass")


def find_numbers(text: str) -> list[AttributeValue]:
    """The measures, sizes and model numbers of a text, in order."""
    values: list[AttributeValue] = []
    at = 0
    while (digit := _DIGIT.search(text, at)) is not None:
        start = digit.start()
        before = text[start - 1] if start else " "
        if not before.isalnum() and before not in "._":
            match = _MEASURED.match(text, start)
            assert match is not None
            value = _measured(text, start, match)
            if value is not None:
                values.append(value)
                at = value[1]
                continue
            at = match.end("number")
            if before not in "-/" and text[at : at + 1] not in _INSIDE:
                continue  # a number on its own
        first = start
        while first and text[first - 1] in _INSIDE:
            first -= 1
        while first < start and text[first] in "-/":
            first += 1
        run = _RUN.match(text, first)
        assert run is not None
        end = run.end()
        if end - first > 2 and not run.group().isdigit() and _is_model(text, first, end):
            values.append((first, end, "model_number"))
        at = max(end, start + 1)
    return values


def _measured(text: str, start: int, match: re.Match[str]) -> AttributeValue | None:
    """The size or measure that a number and the word after it form; None if they form none."""
    unit, end = match["unit"], match.end()
    if unit is None:
        return (start, end, "measure") if match["sign"] else None
    if unit in _BEGIN_SIZE and (size := _SIZE.match(text, start)) is not None:
        return start, size.end(), "size"
    lower = unit.lower()
    if lower in _BEGIN_TWO and (two := _TWO.match(text, match.start("unit"))) is not None:
        return start, two.end(), "measure"
    if unit not in _CASED and lower not in _UNITS:
        if lower.rstrip(".") not in _UNITS and unit.rstrip(".") not in _CASED:
            return None
        end -= 1  # the full stop ends the sentence
    lot = _LOT.match(text, end)
    return start, lot.end() if lot else end, "measure"


def _is_model(text: str, first: int, end: int) -> bool:
    around = text[first - 1 : first] + text[end : end + 1]
    return (
        not (first and (text[first - 1].isalnum() or text[first - 1] in "._@"))
        and not around[-1:].isalpha()
        and _MODEL.fullmatch(text, first, end) is not None
        and _NO_MODEL.fullmatch(text, first, end) is None
    )


def find_brand(text: str, spans: Sequence[AttributeValue]) -> tuple[int, int] | None:
    """The brand at the beginning of a product title: (start, end); None if the first line does not look like a title.

    The brand is the capitalised words up to the first word that cannot be part of one (a gender, an adjective, another
    attribute's value). If there are more than three, it is the first word alone, or the first words in capitals.
    """
    end = text.find("\n")
    end = len(text) if end < 0 else end
    if end > _TITLE:
        return None
    inside = [span for span in spans if span[0] < end]
    if len(inside) < 2 or any(span[2] == "brand" for span in inside):
        return None
    taken: list[re.Match[str]] = []
    stop = inside[0][0]
    ended = False
    for match in _WORD.finditer(text, 0, end):
        word = match.group()
        gap = text[taken[-1].end() : match.start()] if taken else ""
        if match.start() >= stop or not word[0].isupper() or word.lower() in _NO_BRAND or gap not in ("", " ", " & "):
            ended = True
            break
        taken.append(match)
        if len(taken) == 4:
            break
    if not taken or text[: taken[0].start()].strip():
        return None
    capitals = taken[0].group().isupper() and len(taken[0].group()) > 1
    after = text[taken[-1].end() : taken[-1].end() + 1]
    if after == ":" or (after == "," and len(taken) > 1 and not capitals):
        return None  # a label, or a product type instead of a brand: Bottle Cleaning Brushes, 8 Inch
    number = len(taken) if ended and len(taken) < 4 and not capitals else 1
    while capitals and number < min(3, len(taken)) and taken[number].group().isupper():
        number += 1
    return taken[0].start(), taken[number - 1].end()
