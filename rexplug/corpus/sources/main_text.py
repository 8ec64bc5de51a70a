"""The main text of a page by trafilatura, without some of its faults: lost joiners, short pages given twice."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Any

import trafilatura
from lxml.html import HtmlElement

_JOINERS = re.compile("\u200c|\u200d|&(?:zwn?j|#8204|#8205|#[xX]200[cCdD]);")
# Visible letters that no page has (of Linear A), in place of the invisible joiners.
_STAND_INS = {"\u200c": "\U00010600", "\u200d": "\U00010601"}
_SHORT = 3000
"""Characters of a text above which the second copy of 250 is not looked for, since the page is parsed once more for it."""
_LEFT_OUT = re.compile(r"[\s|]+")


def main_text(page: str, options: dict[str, Any]) -> str:
    """The main text of a page; `options` are those of `trafilatura.extract`.

    trafilatura removes characters that are not printable, among them the joiners inside Persian and Indic words and emoji, so
    other characters replace these during the extraction. Of a page whose text has fewer than 250 characters, which is a good deal
    in Chinese or Japanese, it collects the paragraphs a second time; lines that the page does not repeat are kept once. Its choice
    of the main text depends on lengths, so the page is read in NFC.
    """
    page = unicodedata.normalize("NFC", page)
    stand_in = _JOINERS.search(page) is not None and not any(letter in page for letter in _STAND_INS.values())
    text = trafilatura.extract(_JOINERS.sub(_stand_in, page) if stand_in else page, **options) or ""
    if stand_in:
        for joiner, letter in _STAND_INS.items():
            text = text.replace(letter, joiner)
    return _not_repeated(text.strip(), page)


def _stand_in(match: re.Match[str]) -> str:
    joiner = match[0].lower()
    return _STAND_INS["\u200c" if joiner in ("\u200c", "&zwnj;", "&#8204;", "&#x200c;") else "\u200d"]


def _not_repeated(text: str, page: str) -> str:
    """The text without lines that it has more often than the page."""
    if len(text) > _SHORT:
        return text
    lines = text.split("\n")
    keys = [_key(line.removeprefix("- ")) for line in lines]
    repeated = {key for key, count in Counter(keys).items() if key and count > 1}
    if not repeated:
        return text
    shown = _shown(page)
    left = {key: max(1, shown.count(key)) for key in repeated}
    kept = []
    for line, key in zip(lines, keys, strict=True):
        if key in left:
            left[key] -= 1
            if left[key] < 0:
                continue
        kept.append(line)
    return "\n".join(kept).strip()


def _shown(page: str) -> str:
    """The visible text of a page, without white space."""
    tree: HtmlElement | None = trafilatura.load_html(page)
    if tree is None:
        return ""
    return _key("".join(tree.xpath("//text()[not(ancestor::script or ancestor::style or ancestor::head)]")))


def _key(text: str) -> str:
    """The text in NFC without white space, bars of tables and characters that are not printable."""
    return "".join(filter(str.isprintable, _LEFT_OUT.sub("", unicodedata.normalize("NFC", text))))
