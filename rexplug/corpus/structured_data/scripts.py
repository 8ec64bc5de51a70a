"""Reads data that pages hold in `<script>` elements: JSON-LD, and the state of JavaScript frameworks."""

from __future__ import annotations

import html
import json
import re
from collections import deque
from collections.abc import Iterator
from typing import Any

from rexplug.corpus.structured_data.values import local_name

LARGEST_SCRIPT = 5_000_000
"""Characters of a script; a longer one is not read."""
_MOST_ITEMS = 50
_MOST_NODES = 200_000
_MOST_REFERENCES = 2000
_AROUND = "\ufeff \t\r\n;"
_OPENING = re.compile(r"<!--[^{\[]{0,1000}?-->\s*|<!--|//\s*<!\[CDATA\[|/\*\s*<!\[CDATA\[\s*\*/|<!\[CDATA\[")
_CLOSING = re.compile(r"(?:-->|//\s*\]\]>|/\*\s*\]\]>\s*\*/|\]\]>)\Z")
# A string, or what is between strings: a comment; then a comma before a closing bracket. What is not closed goes to the end, so
# that no place is read twice.
_STRING = r'("(?:[^"\\]|\\.)*+(?:"|\\?\Z))'
_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_COMMA = re.compile(rf"{_STRING}|,(?=\s*[}}\]])", re.DOTALL)
_STATE = re.compile(
    r"(?:window|self|globalThis)\s*(?:\.\s*|\[\s*[\"'])(__\w{2,40}__|INITIAL_STATE)(?:[\"']\s*\])?\s*=\s*(?=[{\[])"
)
_NAMES = ("name", "title", "productName", "displayName")
_PRICES = (
    "price",
    "prices",
    "offers",
    "currentPrice",
    "salePrice",
    "sellingPrice",
    "priceInfo",
    "pricing",
    "priceRange",
    "finalPrice",
)
_OTHERS = ("sku", "gtin", "gtin13", "ean", "barcode", "mpn", "brand", "vendor", "manufacturer")
_LEFT_OUT = re.compile(
    r"image|media|video|thumbnail|href|slug|html|related|recommend|similar|upsell|crosssell|review(?!count)|seo|tracking|analytics",
    re.I,
)


def loads_leniently(script: str) -> list[Any]:
    """The JSON values in a script; without those that cannot be read.

    Comments, CDATA marks, commas before closing brackets, HTML entities, line breaks inside strings and several values in a row are
    accepted, since pages have them and search engines accept most of them.
    """
    if len(script) > LARGEST_SCRIPT:
        return []
    text = script.strip(_AROUND)
    if opening := _OPENING.match(text):
        text = text[opening.end() :]
    if closing := _CLOSING.search(text[-30:]):
        text = text[: len(text) - len(closing.group())]
    decoder = json.JSONDecoder(strict=False)
    values, complete = _values(decoder, text)
    for repair in (_repaired, lambda text: _repaired(html.unescape(text))):
        if not complete or not values:
            values, complete = _values(decoder, repair(text))
    return values


def _values(decoder: json.JSONDecoder, text: str) -> tuple[list[Any], bool]:
    """The JSON values in a row at the start of a text, and whether the whole text was read."""
    values: list[Any] = []
    place = 0
    while True:
        while place < len(text) and (text[place].isspace() or text[place] in ",;"):
            place += 1
        if place == len(text):
            return values, True
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return values, False
        values.append(value)


def _repaired(text: str) -> str:
    for pattern in (_COMMENT, _COMMA):
        text = pattern.sub(lambda match: match.group(1) or "", text)
    return text


def linked_data(scripts: list[str]) -> list[dict[str, Any]]:
    """The items of JSON-LD scripts: arrays and `@graph` taken apart, references by `@id` within the page resolved.

    Names are those of schema.org without prefix; `@type` becomes `type`.
    """
    nodes: list[dict[str, Any]] = []
    for script in scripts:
        values = deque(loads_leniently(script))
        while values and len(nodes) < _MOST_ITEMS:
            value = values.popleft()
            if isinstance(value, list):
                values.extendleft(reversed(value[:_MOST_ITEMS]))
            elif isinstance(value, dict):
                graph = value.get("@graph")
                if isinstance(graph, dict | list):
                    values.extendleft(reversed(graph[:_MOST_ITEMS] if isinstance(graph, list) else [graph]))
                if {key for key in value if key not in ("@context", "@graph", "@id")}:
                    nodes.append(value)
    by_id = {node["@id"]: node for node in nodes if isinstance(node.get("@id"), str)}
    left = [_MOST_REFERENCES]
    return [_plain(node, by_id, (), left) for node in nodes]


def _plain(value: Any, by_id: dict[str, dict[str, Any]], path: tuple[str, ...], left: list[int], depth: int = 0) -> Any:
    """A value of JSON-LD as plain JSON; `path` holds the ids of the items around it, `left` how many values may follow."""
    left[0] -= 1
    if left[0] < 0 or depth > 12:
        return None
    if isinstance(value, list):
        return [_plain(v, by_id, path, left, depth + 1) for v in value]
    if not isinstance(value, dict):
        return html.unescape(value) if isinstance(value, str) and "&" in value else value
    if "@value" in value:
        return _plain(value["@value"], by_id, path, left, depth + 1)
    name = value.get("@id")
    if isinstance(name, str):
        if set(value) <= {"@id", "@type"}:
            if name not in by_id or name in path:
                return name
            value = by_id[name]
        path = (*path, name)
    result: dict[str, Any] = {}
    for key, v in value.items():
        if key in ("@type", "type"):
            types = v if isinstance(v, list) else [v]
            result["type"] = [local_name(t) for t in types if isinstance(t, str)]
        elif not key.startswith("@"):
            result[local_name(key)] = _plain(v, by_id, path, left, depth + 1)
    return result


def state_items(scripts: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """Objects that look like products in `__NEXT_DATA__`, other `application/json` scripts and assignments to `window.__STATE__`.

    An object looks like a product if it has a name and a price, or a name and two of brand, article number and the like. `scripts`
    holds (type, id, text). The least deep come first.
    """
    found: list[dict[str, Any]] = []
    for kind, name, text in scripts:
        if len(text) > LARGEST_SCRIPT:
            continue
        if kind == "application/json" or name == "__NEXT_DATA__":
            roots = loads_leniently(text)
        elif not kind or "javascript" in kind:
            roots = [value for match in _STATE.finditer(text) for value in _first_value(text, match.end())]
        else:
            continue
        for root in roots:
            for item in _products(root):
                if len(found) < _MOST_ITEMS:
                    found.append(item)
    return found


def _first_value(text: str, place: int) -> Iterator[Any]:
    try:
        yield json.JSONDecoder(strict=False).raw_decode(text, place)[0]
    except (ValueError, RecursionError):
        return


def _products(root: Any) -> Iterator[dict[str, Any]]:
    queue: deque[Any] = deque([root])
    for _ in range(_MOST_NODES):
        if not queue:
            return
        value = queue.popleft()
        if isinstance(value, dict):
            if _looks_like_a_product(value):
                yield _without_assets(value)
            else:
                queue.extend(v for k, v in value.items() if isinstance(v, dict | list) and not _LEFT_OUT.search(k))
        elif isinstance(value, list):
            queue.extend(v for v in value if isinstance(v, dict | list))


def _looks_like_a_product(value: dict[str, Any]) -> bool:
    if not any(isinstance(value.get(key), str) and value[key] for key in _NAMES):
        return False
    if any(value.get(key) not in (None, "", [], {}) for key in _PRICES):
        return True
    return sum(value.get(key) not in (None, "", [], {}) for key in _OTHERS) >= 2


def _without_assets(value: Any, depth: int = 0) -> Any:
    """The object without images, related products and the like."""
    if depth > 6:
        return None
    if isinstance(value, dict):
        return {k: _without_assets(v, depth + 1) for k, v in value.items() if not _LEFT_OUT.search(k)}
    if isinstance(value, list):
        return [_without_assets(v, depth + 1) for v in value[:100]]
    return html.unescape(value) if isinstance(value, str) and "&" in value else value
