"""Products with the truth about them, and the parts of pages that several shapes use. The text is our own."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from dataclasses import dataclass, field

ALL = frozenset(["name", "brand", "price", "currency", "gtin", "sku", "attributes", "description"])
SHOWN = frozenset(["name", "price", "currency", "attributes"])


@dataclass(frozen=True)
class Truth:
    name: str
    brand: str
    price: str
    currency: str
    shown: str
    """The price as the page writes it."""
    gtin: str
    sku: str
    attributes: dict[str, str]
    description: str
    language: str = "en"
    heading: str | None = None
    labels: dict[str, str] = field(default_factory=dict)


CHAIR = Truth(
    "Arvika 3 swivel chair",
    "Holmgren",
    "249.90",
    "EUR",
    "€249.90",
    "4006381333931",
    "HG-7741-B",
    {"Seat height": "42 - 53 cm", "Upholstery": "wool felt", "Load capacity": "120 kg"},
    "A swivel chair for long days at a desk. The back follows the spine, and the seat can be lowered until both feet rest on the "
    "floor. Castors roll on carpet and on wood.",
)
DRILL = Truth(
    "Tornado 18 cordless drill",
    "Kestrel",
    "1299.00",
    "USD",
    "$1,299.00",
    "036000291452",
    "KS-18-2B",
    {"Battery voltage": "18 V", "Chuck": "13 mm keyless", "Torque": "65 Nm"},
    "Two speeds and a metal gearbox make this drill a tool for whole days on site. The case holds both batteries and the charger, "
    "and a belt clip comes with it.",
)
KETTLE = Truth(
    "Lindau Wasserkocher 1,7 l",
    "Bergtal",
    "1299.50",
    "EUR",
    "1.299,50 €",
    "4006381333931",
    "BT-170",
    {"Leistung": "2400 W", "Gehäuse": "Edelstahl", "Fassungsvermögen": "1,7 l"},
    "Der Wasserkocher hält die eingestellte Temperatur eine halbe Stunde. Das Gehäuse aus Edelstahl bleibt außen kühl, der Filter lässt "
    "sich herausnehmen.",
    "de",
)
RICE = Truth(
    "やわらか炊飯器 5.5合",
    "山川電機",
    "12800",
    "JPY",
    "12,800円",
    "4901234567894",
    "YD-550",
    {"炊飯容量": "5.5合", "消費電力": "1200W"},
    "毎日のごはんをふっくら炊き上げる炊飯器です。内釜は厚くて丈夫なので、長くお使いいただけます。",
    "ja",
)
LAMP = Truth(
    "مصباح مكتب قابل للطي",
    "نور",
    "149.00",
    "SAR",
    "149.00 ر.س",
    "6281234567895",
    "NR-88",
    {"القدرة": "9 واط", "اللون": "أبيض"},
    "مصباح مكتب بإضاءة هادئة يمكن طيه ووضعه في الحقيبة. يعمل ثماني ساعات بعد شحن واحد.",
    "ar",
)
SHIRT = Truth(
    "सूती कुर्ता नीला",
    "धागा",
    "129999.00",
    "INR",
    "₹1,29,999.00",
    "8901234567890",
    "DH-21",
    {"कपड़ा": "सूती", "आकार": "मध्यम"},
    "यह कुर्ता हाथ से बुने सूती कपड़े से बना है और गर्मियों में आराम देता है। इसे घर पर धोया जा सकता है।",
    "hi",
)

Shape = Callable[[], tuple[str, Truth, frozenset[str]]]


def adds_to(shapes: dict[str, Shape]) -> Callable[[Shape], Shape]:
    """A decorator that adds a shape to a dictionary, by the function's name."""

    def add(make: Shape) -> Shape:
        shapes[make.__name__] = make
        return make

    return add


def page(truth: Truth, main: str = "", head: str = "", after: str = "", heading: bool = True) -> str:
    """A page with the frame of a shop around its main part, and a list of related products with prices of their own."""
    related = "".join(
        f'<li><a href="/p/{n}">Other thing {n}</a> <span class="price">$ {n}.50</span></li>' for n in range(3, 9)
    )
    title = html.escape(truth.heading or truth.name)
    return (
        f'<!doctype html><html lang="{truth.language}"><head><meta charset="utf-8"><title>{title} | Corner Shop</title>{head}</head>'
        '<body><header><a href="/">Corner Shop</a><nav><ul><li><a href="/new">New</a></li><li><a href="/sale">Sale</a></li></ul></nav>'
        '</header><div class="breadcrumb"><a href="/">Home</a> / <a href="/all">All</a></div><main>'
        f"{f'<h1>{title}</h1>' if heading else ''}{main}</main>"
        f'<section class="related-products"><h2>You may also like</h2><ul>{related}</ul></section>{after}'
        '<footer><a href="/imprint">Imprint</a><p>All prices include tax. Free delivery above $75.</p></footer></body></html>'
    )


def prose(truth: Truth) -> str:
    return f"<div class='intro'><p>{html.escape(truth.description)}</p></div>"


def buy(truth: Truth) -> str:
    return f'<div class="buybox"><span class="product-price">{truth.shown}</span><button>Add to cart</button></div>'


def item(truth: Truth, **changes: object) -> dict[str, object]:
    return {
        "@context": "https://schema.org", "@type": "Product", "name": truth.name, "sku": truth.sku, "gtin13": truth.gtin,
        "brand": {"@type": "Brand", "name": truth.brand}, "description": truth.description, "image": ["https://shop.example/1.jpg"],
        "additionalProperty": [{"@type": "PropertyValue", "name": k, "value": v} for k, v in truth.attributes.items()],
        "offers": {"@type": "Offer", "price": truth.price, "priceCurrency": truth.currency, "availability": "https://schema.org/InStock"},
        **changes,
    }  # fmt: skip


def script(value: object, kind: str = "application/ld+json", more: str = "") -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f'<script type="{kind}"{more}>{text}</script>'


def with_data(truth: Truth, value: object, fields: frozenset[str] = ALL) -> tuple[str, Truth, frozenset[str]]:
    """A page whose main part has only a heading and a button; the product is in JSON-LD."""
    return page(truth, "<button>Add to cart</button>", script(value)), truth, fields
