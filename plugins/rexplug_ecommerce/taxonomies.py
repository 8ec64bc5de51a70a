"""Reads categories and attribute values from public taxonomy files."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from rexplug import DataError, read_lines
from rexplug_ecommerce.pages.word_lists import words

_GENERAL = frozenset(
    words(
        """
        accessories accessory parts other others products supplies equipment kits kit sets features services
        media hardware specialty bundles gift gifts home office sports art arts care health beauty food nature
        business science industry government agriculture music film television travel events books software
        electronics games general standard none
        """
    )
)
"""Names of categories that are everyday words, left out."""
_ATTRIBUTE_OF = (
    (re.compile(r"(?i)\b(?:colou?r|lens tint)\b"), "colour"),
    (re.compile(r"(?i)\b(?:material|fabric|upholstery)\b"), "material"),
    (re.compile(r"(?i)^(?:[\w ]*\bsize)$"), "size"),
    (re.compile(r"(?i)^brand(?: name)?$"), "brand"),
)
_SHOPIFY = re.compile(r"(?:gid://\S+\s+:\s+)?(?P<value>.+?)\s+\[(?P<name>[^\]]+)\]$")
_ATTRIBUTES = ("brand", "colour", "size", "material", "measure", "model_number", "category")


def read_taxonomy(path: Path) -> list[str]:
    """Category names of a taxonomy file: per line what follows the last `>`, split at `,` and `&`, in lower case.

    Files may be Google's (`id,full_name` or `id - A > B`), Shopify's (`gid : A > B`) or plain lists.

    Raises:
        DataError: the file is missing, unreadable or names no category.
    """
    names = set()
    lines = _lines(path, "taxonomy")
    table = bool(lines) and lines[0].replace(" ", "").lower() in ("id,full_name", "id,name")
    if table:
        lines = [row[-1] for row in csv.reader(lines[1:]) if row]
    for line in lines:
        leaf = re.sub(r"^(?:gid://\S+\s+:|\S+ : |\d+ - )\s*", "", line).rsplit(">", 1)[-1]
        for part in re.split(r",|&|\band\b|\(|\)", leaf):
            name = part.strip().lower()
            if len(name) > 2 and len(name.split()) <= 4 and not name.isdigit() and name not in _GENERAL:
                names.add(name)
    if not names:
        raise DataError(f"ecommerce.attributes: the taxonomy {path} names no category")
    return sorted(names)


def read_values(path: Path) -> list[tuple[str, str]]:
    """(attribute, value) pairs of a file of attribute values: Shopify's `value [Attribute name]`, or `attribute,value`.

    Raises:
        DataError: the file is missing, unreadable, or has no value of a known attribute.
    """
    pairs = set()
    for line in _lines(path, "values"):
        shopify = _SHOPIFY.match(line)
        if shopify:
            for pattern, attribute in _ATTRIBUTE_OF:
                if pattern.search(shopify["name"]):
                    for value in shopify["value"].split("/"):
                        pairs.add((attribute, value.strip().lower()))
                    break
        else:
            name, comma, value = line.partition(",")
            name = {"color": "colour"}.get(name.strip().lower(), name.strip().lower())
            if comma and name in _ATTRIBUTES:
                pairs.add((name, value.strip().strip('"')))
    kept = sorted(
        (attribute, value) for attribute, value in pairs
        if len(value) > 2 and not value.isdigit() and value.lower() not in _GENERAL and len(value.split()) <= 4
    )  # fmt: skip
    if not kept:
        raise DataError(
            f"ecommerce.attributes: {path} holds no attribute values; write lines like 'Teal [Color]', or "
            f"'colour,teal' with one of {', '.join(_ATTRIBUTES)}"
        )
    return kept


def _lines(path: Path, what: str) -> list[str]:
    try:
        return [line.strip() for _, line in read_lines(path) if line.strip() and not line.startswith("#")]
    except DataError as error:
        raise DataError(f"ecommerce.attributes: the {what}: {error}") from None
