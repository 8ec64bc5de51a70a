"""Reads data that pages hold in attributes of their markup: microdata, RDFa (Lite, and `rel`), Open Graph and other `<meta>`.

Sources: https://html.spec.whatwg.org/multipage/microdata.html, https://www.w3.org/TR/rdfa-lite/, https://ogp.me/.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rexplug.corpus.structured_data.values import LONGEST_VALUE, collapsed, local_name

_MOST_PROPERTIES = 3000
_MOST_REFERENCES = 100
_MOST_META = 200
_ADDRESSES = frozenset(
    ["url", "image", "sameAs", "availability", "itemCondition", "logo", "contentUrl", "thumbnailUrl", "mainEntityOfPage",
     "additionalType"]
)  # fmt: skip
_HIDDEN = frozenset(["script", "style", "noscript", "template"])
_INLINE = frozenset(
    ["a", "abbr", "b", "bdi", "bdo", "code", "data", "del", "em", "font", "i", "ins", "mark", "s", "small", "span", "strong",
     "sub", "sup", "time", "u", "wbr"]
)  # fmt: skip


def element_text(element: Any, longest: int = LONGEST_VALUE) -> str:
    """The text below an element on one line, without scripts; as in a browser, only block elements separate words."""
    parts: list[str] = []
    size = 0
    stack: list[Any] = [element]
    while stack and size < 2 * longest:
        node = stack.pop()
        if isinstance(node, str):
            parts.append(node)
            size += len(node)
            continue
        if not isinstance(node.tag, str) or node.tag in _HIDDEN:
            continue
        block = node.tag not in _INLINE
        if block:
            parts.append(" ")
            stack.append(" ")
        for child in reversed(node):
            if child.tail:
                stack.append(child.tail)
            stack.append(child)
        if node.text:
            stack.append(node.text)
    return collapsed("".join(parts))[:longest]


def microdata(root: Any) -> list[dict[str, Any]]:
    """The items of microdata; nested items are values, and `itemref` adds properties from elsewhere in the page."""
    return _items(root, scope="itemscope", types="itemtype", names=("itemprop",))


def rdfa(root: Any) -> list[dict[str, Any]]:
    """The items of RDFa that have a `typeof`; nested items are values, and prefixes are taken off, not resolved."""
    return _items(root, scope="typeof", types="typeof", names=("property", "rel"))


def _items(root: Any, scope: str, types: str, names: tuple[str, ...]) -> list[dict[str, Any]]:
    elements = {id(e): e for e in root.xpath("//*[" + " or ".join(f"@{name}" for name in (scope, *names)) + "]")}
    top: list[dict[str, Any]] = []
    items: dict[int, dict[str, Any]] = {}
    left = _MOST_PROPERTIES
    for element in elements.values():
        # Only elements that matter are visited; their item is that of the nearest one around them.
        around = next((items[id(a)] for a in element.iterancestors() if id(a) in items), None)
        properties = [local_name(p) for name in names for p in (element.get(name) or "").split()]
        if element.get(scope) is not None:
            item: dict[str, Any] = {"type": [local_name(t) for t in (element.get(types) or "").split()]}
            items[id(element)] = item
            if around is None or not properties:
                top.append(item)
            value: Any = item
        elif around is None or not properties:
            continue
        else:
            value = _value(element, properties[0])
        left -= 1
        if left < 0:
            break
        if around is not None:
            _add(around, properties, value)
    if scope == "itemscope":
        _add_references(root, elements, items)
    return [item for item in top if len(item) > 1]


def _add(item: dict[str, Any], properties: list[str], value: Any) -> None:
    for name in properties:
        if name == "type" or value in ("", None):
            continue
        if name in item:
            item[name] = [*(item[name] if isinstance(item[name], list) else [item[name]]), value][:_MOST_PROPERTIES]
        else:
            item[name] = value


def _add_references(root: Any, elements: dict[int, Any], items: dict[int, dict[str, Any]]) -> None:
    """Add the properties that items name by `itemref` and that lie outside of any item."""
    left = _MOST_REFERENCES
    for key, item in items.items():
        for name in (elements[key].get("itemref") or "").split():
            left -= 1
            if left < 0:
                return
            for target in root.xpath("//*[@id=$name][1]", name=name):
                for element in target.iter():
                    properties = (
                        [local_name(p) for p in (element.get("itemprop") or "").split()]
                        if id(element) in elements
                        else []
                    )
                    if not properties:
                        continue
                    own = items.get(id(element))
                    if own is not item and not any(id(a) in items for a in element.iterancestors()):
                        _add(item, properties, own if own is not None else _value(element, properties[0]))


def _value(element: Any, name: str) -> str:
    """The value of a property, by the rules of microdata; of a link to something that has a name, the name."""
    tag = element.tag
    if element.get("content") is not None:
        return collapsed(element.get("content"))
    if tag in ("data", "meter", "input", "option") and element.get("value"):
        return collapsed(element.get("value"))
    if tag == "time" and element.get("datetime"):
        return collapsed(element.get("datetime"))
    if tag in ("a", "area", "link"):
        text = "" if name in _ADDRESSES or tag == "link" else element_text(element)
        return text or collapsed(element.get("href") or element.get("resource") or "")
    if tag in ("img", "audio", "video", "source", "iframe", "embed"):
        return collapsed(element.get("src") or "") if name in _ADDRESSES else collapsed(element.get("alt") or "")
    return element_text(element) or collapsed(element.get("resource") or element.get("title") or "")


def meta_properties(root: Any) -> dict[str, str]:
    """`og:`, `product:` and `twitter:` properties, `description` and `keywords`; of several values the first."""
    found: dict[str, str] = {}
    for name, content in _meta(root):
        key = name.strip().lower()
        if key in ("description", "keywords") or key.startswith(("og:", "product:", "twitter:")):
            value = collapsed(content)
            if value and len(found) < _MOST_META:
                found.setdefault(key[:LONGEST_VALUE], value)
    return found


def _meta(root: Any) -> Iterator[tuple[str, str]]:
    for element in root.iter("meta"):
        name = element.get("property") or element.get("name")
        if name and element.get("content"):
            yield name, element.get("content")
