"""Reads the fields of one product from an item of schema.org, or from an object of a shop's JavaScript state."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from rexplug_ecommerce.money import amount, currency, written

_TYPES = frozenset(
    ["Product", "ProductModel", "ProductGroup", "IndividualProduct", "SomeProducts", "ProductOrService", "Vehicle", "Car", "Book",
     "ProductCollection", "ActualProductOrServiceInstance"]
)  # fmt: skip
_OTHER_PRODUCTS = frozenset(
    ["isRelatedTo", "isSimilarTo", "isAccessoryOrSparePartFor", "isConsumableFor", "isVariantOf", "review", "reviews", "hasVariant",
     "itemReviewed", "itemOffered", "addOn"]
)  # fmt: skip
_ATTRIBUTES = (
    "color", "size", "material", "pattern", "model", "weight", "width", "height", "depth", "length", "countryOfOrigin", "audience",
    "energyConsumptionDetails", "numberOfItems",
)  # fmt: skip
_FOLDED_TYPES = frozenset(name.casefold() for name in _TYPES)
_PRICES = ("price", "lowPrice", "minPrice", "hasCurrencyValue", "hasMinCurrencyValue", "highPrice")
_GTINS = ("gtin", "gtin13", "gtin14", "gtin12", "gtin8", "ean", "ean13", "upc", "isbn", "barcode", "hasEAN_UCC-13")
_TAG = re.compile(r"<(?:[a-zA-Z/!][^<>]{0,2000})>")


@dataclass
class Product:
    """What a page says about a product; None or empty where it does not say it. `price` is a decimal number without currency."""

    name: str | None = None
    brand: str | None = None
    price: str | None = None
    currency: str | None = None
    availability: str | None = None
    category: str | None = None
    sku: str | None = None
    gtin: str | None = None
    mpn: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    description: str | None = None

    def complete(self, other: Product) -> None:
        """Take the fields that are missing here from a less trusted description of the same product; a price with its currency."""
        if self.price is None:
            self.price, self.currency = other.price, self.currency or other.currency
        elif self.currency is None and other.price == self.price:
            self.currency = other.currency
        for name in ("name", "brand", "availability", "category", "sku", "gtin", "mpn", "description"):
            if getattr(self, name) is None:
                setattr(self, name, getattr(other, name))
        known = {key.casefold() for key in self.attributes}
        self.attributes.update({key: value for key, value in other.attributes.items() if key.casefold() not in known})

    def to_metadata(self) -> dict[str, Any]:
        """The fields that the page gives."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value not in (None, {})}


def products_in(value: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the items of schema.org that are products, however deep in lists and other items; not those related to another."""
    if depth > 8:
        return
    if isinstance(value, list):
        for item in value:
            yield from products_in(item, depth + 1)
    elif isinstance(value, dict):
        if any(isinstance(kind, str) and kind.casefold() in _FOLDED_TYPES for kind in _list(value.get("type"))):
            yield value
            return
        offered = value.get("itemOffered")
        if isinstance(offered, dict) and not offered.get("offers"):
            # An offer at the top that holds its product.
            for item in products_in(offered, depth + 1):
                yield {**item, "offers": {key: v for key, v in value.items() if key != "itemOffered"}}
            return
        for key, item in value.items():
            if key not in _OTHER_PRODUCTS and isinstance(item, dict | list):
                yield from products_in(item, depth + 1)


def from_schema(item: Mapping[str, Any], language: str = "") -> Product:
    """The product that an item of schema.org describes (JSON-LD, microdata or RDFa); variants complete what the item lacks."""
    product = Product(
        name=_text(item.get("name")),
        brand=_name(item.get("brand")) or _name(item.get("manufacturer")) or _name(item.get("hasBrandName")),
        category=_category(item.get("category")),
        sku=_text(item.get("sku")) or _text(item.get("productID")),
        gtin=next((code for key in _GTINS for value in _list(item.get(key)) if (code := gtin(value))), None),
        mpn=_text(item.get("mpn")),
        description=_prose(item.get("description")),
    )
    if (
        product.sku
        and (code := gtin(re.sub(r"^(?:ean|gtin|upc|isbn)\d*:", "", product.sku)))
        and not _text(item.get("sku"))
    ):
        product.sku, product.gtin = None, product.gtin or code
    for key in _ATTRIBUTES:
        if value := _quantity(item.get(key)):
            product.attributes[_words(key)] = value
    for pair in _list(item.get("additionalProperty")):
        if isinstance(pair, dict) and (label := _text(pair.get("name"))) and (value := _quantity(pair)):
            product.attributes.setdefault(label, value)
    for key in ("offers", "offerDetails", "hasOffer"):
        for offer in _list(item.get(key)):
            if isinstance(offer, dict) and product.price is None:
                _read_offer(product, offer, language)
    if product.price is None:
        _read_offer(product, item, language)  # some shops write the price beside the name
    for variant in _list(item.get("hasVariant"))[:1]:
        if isinstance(variant, dict):
            product.complete(from_schema({key: v for key, v in variant.items() if key != "hasVariant"}, language))
    return product


def _read_offer(product: Product, offer: Mapping[str, Any], language: str) -> None:
    specifications = [
        s
        for key in ("priceSpecification", "hasPriceSpecification")
        for s in _list(offer.get(key))
        if isinstance(s, dict)
    ]
    specifications.sort(key=_is_another_price)
    for place in (offer, *specifications, *(o for o in _list(offer.get("offers")) if isinstance(o, dict))):
        codes = [
            code
            for value in (place.get("priceCurrency"), place.get("hasCurrency"), offer.get("priceCurrency"))
            for code in [*_list(value), place.get("currency")]
        ]
        for value in (value for key in _PRICES for value in _list(place.get(key))):
            if isinstance(value, dict):  # a `MonetaryAmount`
                codes = [value.get("currency"), value.get("priceCurrency"), *codes]
                value = value.get("value") if value.get("value") is not None else value.get("price")
            code = next((c for one in [*codes, value] if (c := currency(one, language))), None)
            if product.price is None and (found := amount(value, code)) is not None:
                product.price, product.currency = written(found), code
    availability = _text(offer.get("availability"))
    if availability is None and _list(offer.get("offers")):
        availability = next(
            (_text(o.get("availability")) for o in _list(offer.get("offers")) if isinstance(o, dict)), None
        )
    if product.availability is None and availability:
        product.availability = _words(re.split(r"[/#:]", availability)[-1])
    for name in ("sku", "mpn"):
        if getattr(product, name) is None:
            setattr(product, name, _text(offer.get(name)))
    if product.gtin is None:
        product.gtin = next((code for key in _GTINS for value in _list(offer.get(key)) if (code := gtin(value))), None)


def _is_another_price(specification: Mapping[str, Any]) -> bool:
    """Whether a price specification is not the current price: a price per 100 ml, or one before a reduction."""
    kinds = " ".join(str(specification.get(key) or "") for key in ("priceType", "name")).casefold()
    return specification.get("referenceQuantity") is not None or any(
        word in kinds for word in ("list", "strike", "retail", "msrp", "srp", "regular", "invoice")
    )


def from_state(item: Mapping[str, Any], language: str = "") -> Product:
    """The product that an object of a shop's state describes; shops name their fields freely, so common names are tried in turn."""
    product = Product(
        name=_first(item, "name", "title", "productName", "displayName"),
        brand=next(
            (n for key in ("brand", "brandName", "vendor", "manufacturer") if (n := _name(item.get(key)))), None
        ),
        category=_category(item.get("category") or item.get("productType") or item.get("product_type")),
        sku=_first(item, "sku", "articleNumber", "itemNumber", "productCode"),
        gtin=next((code for key in _GTINS if (code := gtin(item.get(key)))), None),
        mpn=_first(item, "mpn", "modelNumber", "manufacturerPartNumber", "partNumber"),
        description=_prose(
            next(
                (
                    d
                    for key in ("description", "longDescription", "body_html", "shortDescription")
                    if (d := item.get(key))
                ),
                None,
            )
        ),
    )
    # Shopify counts prices in cents where it writes them as numbers.
    cents = "vendor" in item and "variants" in item
    for key in (
        "salePrice",
        "currentPrice",
        "finalPrice",
        "sellingPrice",
        "price",
        "priceInfo",
        "pricing",
        "prices",
        "offers",
        "priceRange",
    ):
        if product.price is None:
            _read_price(product, item.get(key), language, cents)
    product.currency = product.currency or currency(
        item.get("currency") or item.get("priceCurrency") or item.get("currencyCode"), language
    )
    for key in ("attributes", "specifications", "specs", "features", "properties", "details", "technicalData"):
        product.attributes.update(_attributes(item.get(key)))
    for key in ("color", "colour", "size", "material", "weight"):
        if value := _quantity(item.get(key)):
            product.attributes.setdefault(key, value)
    for variant in _list(item.get("variants"))[:1]:
        if isinstance(variant, dict):
            other = from_state(
                {key: v for key, v in variant.items() if key not in ("title", "name", "variants")}, language
            )
            product.complete(other)
    return product


def _read_price(product: Product, value: Any, language: str, cents: bool, depth: int = 0) -> None:
    if isinstance(value, list):
        value = next((v for v in value if isinstance(v, dict)), None)
    if isinstance(value, dict) and depth < 4:
        code = currency(value.get("currency") or value.get("currencyCode") or value.get("priceCurrency"), language)
        if isinstance(minor := value.get("centAmount"), int):  # commercetools
            value = {
                "value": minor
                / 10 ** int(value.get("fractionDigits", 2) if value.get("fractionDigits") in range(5) else 2)
            }
        for key in (
            "current",
            "sale",
            "now",
            "final",
            "selling",
            "value",
            "amount",
            "price",
            "min",
            "minVariantPrice",
            "regular",
            "formatted",
        ):
            if product.price is None:
                _read_price(product, value.get(key), language, cents, depth + 1)
        product.currency = product.currency or code
    elif (found := amount(value)) is not None:
        product.price = f"{found / 100:.2f}" if cents and isinstance(value, int) else written(found)
        product.currency = product.currency or currency(value, language)


def _attributes(value: Any) -> dict[str, str]:
    """Pairs from a list of {name, value} under any common names, a list of groups of them, or a mapping."""
    found: dict[str, str] = {}
    if isinstance(value, dict):
        for key, v in value.items():
            if text := _quantity(v):
                found[key] = text
    for pair in _list(value):
        if not isinstance(pair, dict) or pair is value:
            continue
        label = _first(pair, "name", "label", "key", "title", "displayName")
        text = next((t for key in ("value", "values", "displayValue", "text") if (t := _quantity(pair.get(key)))), None)
        if label and text:
            found.setdefault(label, text)
        else:
            for key in ("attributes", "specifications", "items", "features", "values"):
                if isinstance(pair.get(key), list):
                    found.update(_attributes(pair[key]))
    return found


def gtin(value: Any) -> str | None:
    """A Global Trade Item Number (GTIN-8, -12, -13 or -14, ISBN-13) whose check digit is right; None otherwise.

    The check digit is that of GS1: weights 3 and 1 from the right. A number may lack zeros at its beginning.
    """
    if isinstance(value, int) and 10**8 <= value < 10**11:
        value = f"{value:012}"
    digits = (
        re.sub(r"[\s\u2010-\u2015-]", "", str(value))
        if isinstance(value, str | int) and not isinstance(value, bool)
        else ""
    )
    if not digits.isascii() or not digits.isdigit() or len(digits) not in (8, 12, 13, 14) or not digits.strip("0"):
        return None
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits[:-1])))
    return digits if (10 - total % 10) % 10 == int(digits[-1]) else None


def plain(text: str) -> str:
    """A text on one line without tags and entities."""
    for _ in range(2):
        text = html.unescape(text) if "&" in text else text
    return " ".join(_TAG.sub(" ", text).split())


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _text(value: Any) -> str | None:
    """The first text or number of a value, on one line."""
    for one in _list(value):
        if isinstance(one, dict):
            one = one.get("name") or one.get("value")
        if isinstance(one, str | int | float) and not isinstance(one, bool) and (text := plain(str(one))):
            return text[:500]
    return None


def _prose(value: Any) -> str | None:
    texts = [text for one in _list(value) if isinstance(one, str) and (text := plain(one))]
    return max(texts, key=len) if texts else None


def _name(value: Any) -> str | None:
    """The name of a brand or an organisation, which may be an item or a text; not an address."""
    name = _text(
        [
            v
            for one in _list(value)
            for v in ([one.get("name"), one.get("title"), one.get("legalName")] if isinstance(one, dict) else [one])
        ]
    )
    return name if name and not name.startswith(("http:", "https:", "/", "#")) else None


def _category(value: Any) -> str | None:
    names = [text for one in _list(value) if (text := _text(one)) and not text.startswith(("http", "/"))]
    return " > ".join(dict.fromkeys(names))[:300] or None


def _quantity(value: Any) -> str | None:
    """A value of an attribute with its unit; several as a list."""
    found = []
    for one in _list(value)[:20]:
        unit = ""
        if isinstance(one, dict):
            unit = _text(one.get("unitText")) or _text(one.get("unitCode")) or _text(one.get("unit")) or ""
            if one.get("minValue") is not None and one.get("maxValue") is not None and one.get("value") is None:
                one = f"{one['minValue']} - {one['maxValue']}"
            else:
                one = one.get("value") if one.get("value") is not None else one.get("name")
            one = _quantity(one) if isinstance(one, dict | list) else one
        if isinstance(one, bool):
            one = "yes" if one else "no"
        if text := _text(one):
            found.append(f"{text} {_UNITS.get(unit, unit)}".strip())
    return ", ".join(dict.fromkeys(found))[:500] or None


_UNITS = {
    "CMT": "cm", "MMT": "mm", "MTR": "m", "INH": "in", "FOT": "ft", "KGM": "kg", "GRM": "g", "LBR": "lb", "ONZ": "oz", "LTR": "l",
    "MLT": "ml", "WTT": "W", "VLT": "V", "C62": "", "P1": "%",
}  # fmt: skip
"""UN/CEFACT codes of units that schema.org uses, as people write them."""


def _words(name: str) -> str:
    """`countryOfOrigin` as `country of origin`, `InStock` as `in stock`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").lower()


def _first(item: Mapping[str, Any], *keys: str) -> str | None:
    return next((text for key in keys if (text := _text(item.get(key)))), None)
