"""Reads what a page shows its readers as prices and as pairs of label and value, which extraction of the main text often drops."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from rexplug.corpus.structured_data.markup import element_text

_MOST_PAIRS, _LONGEST_LABEL, _LONGEST_PAIR_VALUE = 150, 80, 500
_MOST_PRICES = 5
_CODES = (
    "USD|EUR|GBP|JPY|CNY|RMB|INR|CHF|SEK|NOK|DKK|PLN|CZK|HUF|RON|BGN|TRY|RUB|UAH|ILS|AED|SAR|EGP|QAR|KWD|BRL|MXN|ARS|CLP|COP|"
    "CAD|AUD|NZD|SGD|HKD|TWD|KRW|THB|IDR|MYR|PHP|VND|ZAR|NGN|KES|PKR|BDT|LKR|ISK|CAD"
)
_SYMBOLS = r"[$€£¥₹₽₩₺₴₫฿₪₱₦₡₲﷼￥]|円|元|원|руб\.?|zł|Kč|Ft|lei|лв\.?|kr\.?|Rs\.?|Fr\.|R\$|RM|Rp|درهم|ر\.?\s?س|ج\.?\s?م"
_AMOUNT = r"\d{1,9}(?:[.,，'’٬٫ \u00a0\u202f]\d{2,3})*(?:[.,．٫]\d{1,2})?(?:\s?[.,]?[-–—]{1,2})?"
PRICE = re.compile(
    rf"(?<![\w])(?:(?:[A-Z]{{1,3}}\s?)?(?:{_SYMBOLS}|{_CODES})\s?:?\s?{_AMOUNT}|{_AMOUNT}\s?:?-?\s?(?:{_SYMBOLS}|\b(?:{_CODES})\b))"
    r"(?![\w%])"
)
"""An amount of money with its currency, as shops write it."""
_PRICE_CLASS = re.compile(r"price|preis|prix|preco|precio|prezzo|prijs|\bpris\b|\bcena\b|fiyat|amount", re.I)
_OLD_PRICE = re.compile(
    r"old|was\b|strike|list[-_]?price|rrp|uvp|msrp|regular|compare|original|before|crossed|savings?|discount|shipping|"
    r"delivery|instal|unit|per[-_]?(?:unit|month)|base|grund", re.I
)  # fmt: skip
_ELSEWHERE = re.compile(
    r"relat|recommend|similar|carousel|slider|upsell|cross[-_]?sell|also[-_]|recently|basket|minicart|\bcart\b|footer|"
    r"\bnav|menu|breadcrumb|cookie|newsletter|review|comment|sponsor|bundle", re.I
)  # fmt: skip
_SPECIFICATION = re.compile(
    r"spec|attribut|feature|detail|propert|charakter|charact|merkmal|eigenschaft|datasheet|technical|techn|data[-_]table|"
    r"param|facts|product[-_]?info|additional|caract|scheda|kenmerk", re.I
)  # fmt: skip
_SKIPPED = frozenset(["nav", "footer", "script", "style", "noscript", "template", "select"])


def visible_data(root: Any) -> tuple[list[list[str]], list[str]]:
    """(pairs, prices): labels with their values from tables, definition lists and lists; the subject's prices as written.

    What stands in navigation, carts, reviews and lists of related products is left out, as are crossed-out prices and postage. A
    page that marks its price in no way gives the prices of its shortest texts that are nothing but a price.
    """
    pairs: dict[tuple[str, str], None] = {}
    marked: dict[str, None] = {}
    bare: dict[str, None] = {}
    for element, marks, old in _visible(root):
        if len(pairs) < _MOST_PAIRS:
            for label, value in _pairs(element, marks):
                label = label.rstrip(" :：=").strip()
                if 1 <= len(label) <= _LONGEST_LABEL and 1 <= len(value) <= _LONGEST_PAIR_VALUE and label != value:
                    pairs.setdefault((label, value))
        if not old:
            _add_prices(element, marks, marked, bare)
    prices = list(marked) or list(bare)
    return [list(pair) for pair in list(pairs)[:_MOST_PAIRS]], prices[:_MOST_PRICES]


def _marks(element: Any) -> str:
    return " ".join(
        element.get(name) or "" for name in ("class", "id", "itemprop", "property", "data-testid", "data-test")
    )


def _visible(root: Any) -> Iterator[tuple[Any, str, bool]]:
    """Yield (element, its class and the like, whether it shows an old price), without parts that are about other things."""
    body = root.find("body")
    stack: list[tuple[Any, bool]] = [(body if body is not None else root, False)]
    while stack:
        element, old = stack.pop()
        if not isinstance(element.tag, str) or element.tag in _SKIPPED:
            continue
        marks = _marks(element)
        if element.tag not in ("body", "main", "html", "article", "form") and marks and _ELSEWHERE.search(marks):
            continue
        style = (element.get("style") or "").replace(" ", "")
        if element.get("hidden") is not None or "display:none" in style:
            continue
        old = old or element.tag in ("del", "s", "strike") or "line-through" in style
        old = old or bool(marks and _PRICE_CLASS.search(marks) and _OLD_PRICE.search(marks))
        yield element, marks, old
        stack.extend((child, old) for child in reversed(element))


def _pairs(element: Any, marks: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs for which this element is the row (or the list of definitions)."""
    tag = element.tag
    if tag == "tr":
        cells = [cell for cell in element if cell.tag in ("td", "th")]
        headings = [cell for cell in cells if cell.tag == "th"]
        # Four cells are two pairs if they say so by their kind.
        twice = len(cells) == 4 and len(headings) == 2 and cells[0].tag == cells[2].tag == "th"
        if (len(cells) == 2 and len(headings) < 2) or twice:
            for label, value in zip(cells[::2], cells[1::2], strict=True):
                yield element_text(label, 200), element_text(value, 1000)
    elif tag == "dl":
        label = ""
        for child in islice(element.iterdescendants("dt", "dd"), 2 * _MOST_PAIRS):
            if child.tag == "dt":
                label = element_text(child, 200)
            elif label:
                yield label, element_text(child, 1000)
    elif tag in ("li", "p", "div", "span") and len(element) <= 4:
        yield from _labelled(element, marks)


def _labelled(element: Any, marks: str) -> Iterator[tuple[str, str]]:
    """Yield the pair of a row without a table: `<b>Label:</b> value`, two elements in a part for specifications, `Label: value`."""
    children = [
        child for child in element if isinstance(child.tag, str) and child.tag not in ("br", "wbr", "svg", "i", "img")
    ]
    bare = (element.text or "").strip()
    if len(children) == 1 and not bare and children[0].tag in ("b", "strong", "span", "em", "label", "dt"):
        label, rest = element_text(children[0], 200), (children[0].tail or "").strip()
        if label.endswith((":", "：")) or rest.startswith((":", "：")):
            yield label, rest.lstrip(":： ").strip()
        return
    if not _in_specification(element, marks):
        return
    if (
        len(children) == 2
        and not bare
        and not (children[0].tail or "").strip(" :\n\t\r")
        and not any(len(c) > 2 for c in children)
    ):
        yield element_text(children[0], 200), element_text(children[1], 1000)
    elif not children and element.tag == "li" and ":" in bare:
        label, value = bare.split(":", 1)
        yield label.strip(), " ".join(value.split())


def _in_specification(element: Any, marks: str) -> bool:
    if marks and _SPECIFICATION.search(marks):
        return True
    for _, ancestor in zip(range(4), element.iterancestors(), strict=False):
        above = _marks(ancestor)
        if above and _SPECIFICATION.search(above):
            return ancestor.tag not in ("body", "html", "main")
    return False


def _add_prices(element: Any, marks: str, marked: dict[str, None], bare: dict[str, None]) -> None:
    if len(marked) >= _MOST_PRICES:
        return
    by_name = bool(marks and _PRICE_CLASS.search(marks))
    if not by_name and (len(element) or len(bare) >= _MOST_PRICES):
        return
    text = _price_text(element) if by_name else " ".join((element.text or "").split())
    if not text or len(text) > (160 if by_name else 40):
        return
    found = [match.group().strip() for match in PRICE.finditer(text)]
    if by_name:
        marked.update(dict.fromkeys(found[:2]))
    elif found and len(found[0]) >= len(text) - 12:
        bare[found[0]] = None


def _price_text(element: Any) -> str:
    """The text of an element that shows a price, without crossed-out parts; cents in `<sup>` or `.cents` get a decimal point."""
    parts: list[str] = []
    stack: list[Any] = [element]
    while stack and len(parts) < 100:
        node = stack.pop()
        if isinstance(node, str):
            parts.append(node)
            continue
        if not isinstance(node.tag, str) or node.tag in ("del", "s", "strike", "script", "style"):
            continue
        marks = _marks(node)
        if node is not element and _OLD_PRICE.search(marks):
            continue
        if node is not element and node.tag in ("div", "p", "li", "br", "td"):
            parts.append(" ")
        whole = element_text(node, 20)
        before = "".join(parts[-2:]).rstrip()
        if (
            re.fullmatch(r"\d\d", whole)
            and before[-1:].isdigit()
            and (node.tag == "sup" or re.search("cent|frac|decim", marks))
        ):
            parts.append("." + whole)
            continue
        for child in reversed(node):
            if child.tail:
                stack.append(child.tail)
            stack.append(child)
        if node.text:
            stack.append(node.text)
    return " ".join("".join(parts).split())
