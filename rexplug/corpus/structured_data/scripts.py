"""Reads data that pages hold in `<script>` elements: JSON-LD, and the state of JavaScript frameworks."""

from __future__ import annotations

import html
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rexplug.corpus.structured_data.framework_state import parsed_literal, revived, stream_rows
from rexplug.corpus.structured_data.lenient_json import LARGEST_SCRIPT, first_value, loads_leniently
from rexplug.corpus.structured_data.values import local_name

_MOST_ITEMS = 50
_MOST_NODES = 200_000
_MOST_REFERENCES = 2000
_STATE = re.compile(
    r"(?:window|self|globalThis)\s*(?:\.\s*|\[\s*[\"'])(__\w{2,40}__|INITIAL_STATE)(?:[\"']\s*\])?\s*=\s*(?:JSON\.parse\(\s*(?P<quote>[\"'])|(?=[{\[]))"
)
_STREAM = re.compile(r"__next_f\s*(?:=[^;]{0,60}\))?\.push\(\s*(?=\[)")
_MOST_REPAIRS = 3
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
    """Objects that look like products in the state that JavaScript frameworks write into a page.

    That is `__NEXT_DATA__` and other `application/json` scripts, `__NUXT_DATA__`, assignments to `window.__STATE__` (also of
    `JSON.parse("...")`) and the stream of Next.js (`self.__next_f.push`). An object looks like a product if it has a name and a
    price, or a name and two of brand, article number and similar fields. `scripts` has (type, id, text). The least deep come
    first.
    """
    found: list[dict[str, Any]] = []
    stream: list[str] = []
    for kind, name, text in scripts:
        if len(text) > LARGEST_SCRIPT:
            continue
        if kind == "application/json" or name in ("__NEXT_DATA__", "__NUXT_DATA__"):
            roots = loads_leniently(text)
            if name == "__NUXT_DATA__":
                roots = [revived(root) for root in roots]
        elif not kind or "javascript" in kind or kind == "module":
            stream += _stream_parts(text)
            roots = list(_assigned(text))
        else:
            continue
        _add_products(found, roots)
    _add_products(found, stream_rows("".join(stream)[:LARGEST_SCRIPT]))
    return found


def _add_products(found: list[dict[str, Any]], roots: Iterable[Any]) -> None:
    for root in roots:
        for item in _products(root):
            if len(found) < _MOST_ITEMS:
                found.append(item)


def _assigned(text: str) -> Iterator[Any]:
    """The values that a script assigns to variables of state."""
    for number, match in enumerate(_STATE.finditer(text)):
        if match["quote"]:
            yield from parsed_literal(text, match.start("quote"))
        else:
            # A repair copies the rest of the script.
            yield from first_value(text, match.end(), repair=number < _MOST_REPAIRS)


def _stream_parts(text: str) -> Iterator[str]:
    """The parts of Next.js's stream that a script adds."""
    for match in _STREAM.finditer(text):
        for value in first_value(text, match.end(), repair=False):
            if isinstance(value, list) and len(value) > 1 and isinstance(value[1], str):
                yield value[1]


def _products(root: Any) -> Iterator[dict[str, Any]]:
    queue: deque[Any] = deque([root])
    entities: dict[str, Any] = {}
    for _ in range(_MOST_NODES):
        if not queue:
            return
        value = queue.popleft()
        if isinstance(value, dict):
            if "ROOT_QUERY" in value:  # the cache of Apollo, whose entities refer to each other by key
                entities = value
            if _looks_like_a_product(value):
                yield _without_assets(value, entities)
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


def _without_assets(value: Any, entities: Mapping[str, Any], depth: int = 0) -> Any:
    """The object without images, related products and other parts that do not describe it; references to entities resolved."""
    if depth > 6:
        return None
    if isinstance(value, dict):
        if isinstance(reference := value.get("__ref"), str) and reference in entities:
            return _without_assets(entities[reference], entities, depth + 1)
        return {k: _without_assets(v, entities, depth + 1) for k, v in value.items() if not _LEFT_OUT.search(k)}
    if isinstance(value, list):
        return [_without_assets(v, entities, depth + 1) for v in value[:100]]
    return html.unescape(value) if isinstance(value, str) and "&" in value else value
