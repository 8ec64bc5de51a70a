"""Decides which product a page is about, and joins what its formats say about that product."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Any

from rexplug import fold
from rexplug_ecommerce.language_files import ProductField, chosen
from rexplug_ecommerce.money import amount, currency, written
from rexplug_ecommerce.product_fields import Product, from_schema, from_state, gtin, plain, products_in

_FORMATS = ("json_ld", "microdata", "rdfa")
_SURE = 0.75
"""Share of the words of a product's name that must be in the page's heading or title if several products are on the page."""
_MOST_LISTED = 50
_OTHER_SUBJECTS = (
    "Article", "BlogPosting", "Course", "CreativeWork", "DiscussionForumPosting", "Event", "Festival", "HowTo", "JobPosting",
    "Movie", "MusicRecording", "QAPage", "Recipe", "Report", "TVSeries",
)  # fmt: skip
_LABELS: Mapping[ProductField, str] = {
    "brand": "brand|manufacturer|make|merke",
    "sku": "sku|article number|article no|item number|item no|item code|product code|ref|réf",
    "gtin": "gtin|gtin-13|gtin13|ean|ean code|ean13|ean-13|upc|upc code|barcode|isbn|isbn-13|jan",
    "mpn": "mpn|part number|manufacturer part number|model number",
    "category": "category",
    "availability": "availability|stock",
    "price": "price",
}
"""Field -> how shops label it, beyond `fields` in the language files."""


def page_products(data: Mapping[str, Any]) -> tuple[Product | None, list[Product]]:
    """(the product that the page is about, or None; the products of a page that lists several).

    A format that describes one product means that one, unless its name and the page's heading have no word in common; of several,
    the one whose name the heading or title contains, or the only one with a price. JSON-LD is trusted most, then microdata, RDFa,
    the shop's state, Open Graph, and what the page shows; a less trusted format only adds what is missing.
    """
    language = str(data.get("language") or "")
    meta = data["meta"] if isinstance(data.get("meta"), Mapping) else {}
    titles = [str(data.get("heading") or ""), str(meta.get("og:title") or ""), str(data.get("title") or "")]
    main: Product | None = None
    listed: list[Product] = []
    for name in (*_FORMATS, "state"):
        items = _entries(data, name)
        found = (
            [from_state(item, language) for item in items if isinstance(item, dict)]
            if name == "state"
            else [from_schema(item, language) for item in products_in(items)]
        )
        found = _distinct([product for product in found if product.name])
        chosen = _of_page(found, titles)
        if chosen is None:
            if len(found) > 1 and len(found) > len(listed):
                listed = found
        elif main is None:
            main = chosen
        elif _same(main.name or "", chosen.name or ""):
            main.complete(chosen)
    if main is None and len(listed) > 1:
        return None, listed[:_MOST_LISTED]
    shown = _shown(data, language)
    if main is None:
        opened = _from_meta(meta, language)
        said = (
            str(meta.get("og:type", "")).lower() in ("product", "og:product", "product.item")
            or opened.price is not None
        )
        seen = shown.price is not None and (len(shown.attributes) >= 2 or len(set(_entries(data, "prices"))) <= 2)
        if not said and (not seen or _is_about_something_else(data)):
            return None, []
        main = Product(name=next((plain(title) for title in titles if title), None))
        main.complete(opened)
    else:
        main.complete(_from_meta(meta, language))
    main.complete(shown)
    return main, []


def _is_about_something_else(data: Mapping[str, Any]) -> bool:
    """Whether the page says that it is an article, an event or the like, so that a price on it is not that of a product."""
    items = [item for name in _FORMATS for item in _entries(data, name) if isinstance(item, dict)]
    types = {kind for item in items for kind in (item.get("type") or ()) if isinstance(kind, str)}
    return any(kind.endswith(_OTHER_SUBJECTS) for kind in types)


def _of_page(products: list[Product], titles: list[str]) -> Product | None:
    """The product that the page is about, among those of one format."""
    present = [_word_set(title) for title in titles if title]
    if not products:
        return None
    if len(products) == 1:
        words = _word_set(products[0].name or "")
        headings = [_word_set(title) for title in titles[:2] if title]
        return products[0] if not headings or not words or any(words & heading for heading in headings) else None
    shares = [
        max((len(words & title) / len(words) for title in present), default=0.0)
        if (words := _word_set(p.name or ""))
        else 0.0
        for p in products
    ]
    best = max(shares)
    if best >= _SURE and sum(share == best for share in shares) == 1:
        return products[shares.index(best)]
    # A heading with words of many products is that of a list; of a product among its accessories only the one has a price.
    priced = [product for product in products if product.price]
    return priced[0] if len(priced) == 1 else None


def _distinct(products: list[Product]) -> list[Product]:
    """The products, descriptions of the same one joined."""
    result: dict[tuple[str, str | None], Product] = {}
    for product in products:
        key = ((product.name or "").casefold(), None)
        if key in result:
            result[key].complete(product)
        else:
            result[key] = product
    return list(result.values())


def _same(one: str, other: str) -> bool:
    first, second = _word_set(one), _word_set(other)
    return not first or not second or len(first & second) >= min(len(first), len(second)) / 2


def _word_set(text: str) -> set[str]:
    """The words of a text; of scripts without spaces the pairs of neighbouring characters."""
    words: set[str] = set()
    for word in re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()):
        if any("\u3040" <= c <= "\u30ff" or "\u3400" <= c <= "\u9fff" or "\u0e00" <= c <= "\u0e7f" for c in word):
            words.update(word[i : i + 2] for i in range(max(1, len(word) - 1)))
        else:
            words.add(word)
    return words


def _from_meta(meta: Mapping[str, str], language: str) -> Product:
    """What Open Graph (`og:`, `product:`) and `twitter:` labels say; the description of a page counts last."""
    product = Product(
        brand=meta.get("product:brand") or meta.get("og:brand"),
        sku=meta.get("product:retailer_item_id") or meta.get("product:sku"),
        mpn=meta.get("product:mfr_part_no"),
        gtin=next(
            (
                code
                for key in ("product:gtin", "product:ean", "product:upc", "product:isbn")
                if (code := gtin(meta.get(key)))
            ),
            None,
        ),
        category=meta.get("product:category"),
        availability=meta.get("product:availability") or meta.get("og:availability"),
        description=meta.get("og:description") or meta.get("description"),
    )
    for name in ("product:sale_price", "product:price", "og:price"):
        if product.price is None and (found := amount(meta.get(f"{name}:amount"))) is not None:
            product.price = written(found)
            product.currency = currency(meta.get(f"{name}:currency"), language) or currency(
                meta.get(f"{name}:amount"), language
            )
    for number in (1, 2):
        label, value = meta.get(f"twitter:label{number}"), meta.get(f"twitter:data{number}")
        if label and value:
            _take(product, label, value, language)
    for key in ("color", "size", "material", "condition"):
        if value := meta.get(f"product:{key}"):
            product.attributes[key] = value
    product.description = plain(product.description) if product.description else None
    return product


def _shown(data: Mapping[str, Any], language: str) -> Product:
    """What the page shows its readers: its first price, and pairs of label and value."""
    product = Product()
    for price in _entries(data, "prices"):
        if product.price is None and (found := amount(price)) is not None:
            product.price, product.currency = written(found), currency(price, language)
    for pair in _entries(data, "pairs"):
        if isinstance(pair, list) and len(pair) == 2:
            _take(product, str(pair[0]), str(pair[1]), language)
    return product


def _entries(data: Mapping[str, Any], name: str) -> list[Any]:
    """A list of the data; none where another source wrote something else there."""
    value = data.get(name)
    return value if isinstance(value, list) else []


def _take(product: Product, label: str, value: str, language: str) -> None:
    """Take a pair of label and value as the field that the label means, else as an attribute."""
    name = _fields().get(_plain_label(label))
    if name == "price":
        if product.price is None and (found := amount(value)) is not None:
            product.price, product.currency = written(found), currency(value, language)
    elif name == "gtin":
        product.gtin = product.gtin or gtin(value)
    elif name is not None and len(value) <= 120:
        if getattr(product, name) is None:
            setattr(product, name, value)
    else:
        product.attributes.setdefault(label, value)


@cache
def _fields() -> dict[str, ProductField]:
    """Label -> the field that it means, in all languages."""
    fields = {_plain_label(label): name for name, labels in _LABELS.items() for label in labels.split("|")}
    for language in chosen((), ()):
        for name, labels in language.fields.items():
            for label in labels:
                fields.setdefault(_plain_label(label), name)
    return fields


def _plain_label(label: str) -> str:
    return fold(label).strip(" .:#")
