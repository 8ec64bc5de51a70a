"""Everything that a page says about its subject, by format; bounded, and as JSON can be written."""

from __future__ import annotations

from typing import Any

from rexplug.corpus.structured_data.markup import element_text, meta_properties, microdata, rdfa
from rexplug.corpus.structured_data.scripts import linked_data, state_items
from rexplug.corpus.structured_data.values import Budget, bounded
from rexplug.corpus.structured_data.visible import visible_data

_ABOUT_THE_SITE = frozenset(
    ["AggregateRating", "BreadcrumbList", "ImageObject", "Organization", "Person", "SearchAction", "SiteNavigationElement",
     "WPFooter", "WPHeader", "WebPage", "WebSite"]
)  # fmt: skip


def structured_data(page: str) -> dict[str, Any]:
    """What a page says about its subject; keys whose value is empty are left out.

    - `json_ld`, `microdata`, `rdfa`: items as objects with `type` (a list) and the properties of schema.org;
    - `state`: objects that look like products in the state of a JavaScript framework, as they are there;
    - `meta`: Open Graph and other `<meta>` properties;
    - `pairs`: [label, value] from the page's tables, definition lists and lists;
    - `prices`: the prices that the page shows, as written;
    - `title`, `heading`, `language`.

    Each format is read for itself: one that cannot be read leaves the others. Values beyond 3,000 or 200,000 characters are left
    out.
    """
    from lxml import etree

    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, recover=True)
    root = etree.fromstring(page.encode("utf-8", "replace"), parser)
    if root is None:
        return {}
    scripts = [
        ((s.get("type") or "").split(";")[0].strip().lower(), s.get("id") or "", "".join(s.itertext()))
        for s in root.iter("script")
    ]
    found: dict[str, Any] = {}
    budget = Budget()

    def add(name: str, value: Any) -> None:
        if (kept := bounded(value, budget)) is not None:
            found[name] = kept

    for name, read in (
        ("json_ld", lambda: linked_data([text for kind, _, text in scripts if kind == "application/ld+json"])),
        ("microdata", lambda: microdata(root)),
        ("rdfa", lambda: rdfa(root)),
        ("meta", lambda: meta_properties(root)),
    ):
        add(name, read())
    pairs, prices = visible_data(root)
    add("pairs", pairs)
    add("prices", prices)
    for name, path in (("title", ".//title"), ("heading", ".//h1")):
        element = root.find(path)
        if element is not None:
            add(name, element_text(element, 500))
    add("language", (root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang") or "")[:40])
    add("state", state_items(scripts))
    return found


def named_text(data: dict[str, Any]) -> str:
    """Name and description of the first item that is not about the site as a whole; the text of a page that has no main text."""
    for format in ("json_ld", "microdata", "rdfa", "state"):
        for item in data.get(format, ()):
            name = item.get("name") or item.get("title") or item.get("headline")
            if isinstance(name, str) and not _ABOUT_THE_SITE & set(item.get("type", ())):
                description = item.get("description")
                return f"{name}\n{description}" if isinstance(description, str) else name
    return ""
