"""The filter that writes what a page says about its product into the text."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator

from rexplug import CorpusFilter, Document, Verdict, fold
from rexplug_ecommerce.product_data import page_products
from rexplug_ecommerce.product_fields import Product

_DATA = "structured_data"
_FIELDS = (
    "name",
    "brand",
    "price",
    "availability",
    "category",
    "sku",
    "gtin",
    "mpn",
    "attributes",
    "description",
    "text",
)
_CODES = ("sku", "gtin", "mpn")
_TEMPLATE = """\
{name}
Brand: {brand}
Price: {price}
Availability: {availability}
Category: {category}
SKU: {sku}
GTIN: {gtin}
MPN: {mpn}
{attributes}
{description}
{text}
"""


def _checked(template: str) -> str:
    names = []
    try:
        for _, name, _, _ in string.Formatter().parse(template):
            names += [] if name is None else [name]
    except ValueError as error:
        raise ValueError(f"the template cannot be read: {error}; write a brace that is text twice") from None
    for name in names:
        if name not in _FIELDS:
            raise ValueError(f"the template has the field {{{name}}}; fields are {', '.join(_FIELDS)}")
    if [line.strip() for line in template.splitlines()].count("{text}") != 1 or names.count("text") != 1:
        raise ValueError("the template needs one line {text}, where the page's main text goes")
    return template


class ProductText(CorpusFilter):
    """Writes name, brand, price, article numbers, attributes and description of a page's product into its text.

    They come from `structured_data: true` of the sources `html` and `warc`; other documents pass unchanged. What the text already
    states is not repeated: a line is left out if its field is missing, or if a line of the text has its label and value. Of a page
    that lists products, each becomes a line of name and price. The fields go to `metadata.product` (or `metadata.products`). The
    template and which format is trusted most are our choice.
    """

    name: ClassVar[str] = "ecommerce.product_text"

    template: Annotated[str, AfterValidator(_checked)] = _TEMPLATE
    """The text of a page, line by line; `{price}` is the amount and its currency, `{attributes}` a line for each, `{text}` the
    page's main text. Labels of other languages go here."""
    require_product: bool = False
    """Drop pages that describe no product."""
    keep_data: bool = False
    """Keep `metadata.structured_data`, all that the page's formats say; it can be larger than the text."""

    def judge(self, document: Document) -> Verdict:
        """Reason: `no product data`; otherwise the text with the product's fields."""
        if "product" in document.metadata or "products" in document.metadata:
            return Verdict(True)  # it was here before
        data = document.metadata.get(_DATA)
        main, listed = page_products(data) if isinstance(data, Mapping) else (None, [])
        if main is None and not listed:
            if self.require_product:
                return Verdict(False, "no product data")
            return Verdict(True, metadata={_DATA: None} if data is not None and not self.keep_data else None)
        metadata: dict[str, Any] = {} if self.keep_data else {_DATA: None}
        if main is not None:
            metadata["product"] = main.to_metadata()
            text = self._text(main, document.text)
        else:
            metadata["products"] = [product.to_metadata() for product in listed]
            text = _list_text(listed, document.text)
        return Verdict(True, text=text if text != document.text else None, metadata=metadata)

    def _text(self, product: Product, text: str) -> str:
        stated = _Stated(text)
        values = {**product.to_metadata(), "price": _price(product)}
        lines: list[str] = []
        for line in self.template.splitlines():
            names = [name for _, name, _, _ in string.Formatter().parse(line) if name]
            if names == ["text"]:
                lines += [text] if text else []
            elif names == ["attributes"]:
                pairs = product.attributes.items()
                lines += [f"{label}: {value}" for label, value in pairs if not stated.pair(label, value)]
            elif not names or any(not values.get(name) for name in names):
                lines += [] if names else [line]
            else:
                label = line.split("{")[0].strip(" :")
                value = " ".join(str(values[name]) for name in names)
                known = stated.code(value) if names[0] in _CODES else stated.pair(label, value)
                lines += [] if known else [line.format_map(values)]
        return "\n".join(lines).strip()


class _Stated:
    """Statements that a text contains already; white space, case, accents, width and invisible characters are ignored."""

    def __init__(self, text: str) -> None:
        self._lines = [_plain(line) for line in text.splitlines() if line.strip()]
        self._whole = " ".join(self._lines)

    def pair(self, label: str, value: str) -> bool:
        """Whether a line has both, or one the label and the next the value; without a label whether the text has its beginning."""
        label, value = _plain(label), _plain(value)
        if not label:
            return value[:150] in self._whole
        if value not in self._whole:
            return False
        lines = zip(["", *self._lines], self._lines, strict=False)
        return any(value in line and (label in line or label == before.strip(" :")) for before, line in lines)

    def code(self, value: str) -> bool:
        """Whether the text has an article number, whatever its label."""
        return _plain(value) in self._whole


def _plain(text: str) -> str:
    return " ".join(fold(text).split())


def _price(product: Product) -> str:
    return " ".join(part for part in (product.price, product.currency) if part and product.price)


def _list_text(products: list[Product], text: str) -> str:
    """The text, after a line of name and price for each product that it does not state."""
    stated = _Stated(text)
    lines = []
    for product in products:
        price = _price(product)
        if not stated.pair("", product.name or "") or (price and not stated.pair(product.name or "", price)):
            lines.append(f"{product.name}: {price}" if price else product.name or "")
    return "\n".join([*dict.fromkeys(lines), *([text] if text else [])])
