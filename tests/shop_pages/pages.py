"""Product pages in the shapes of real shops, with the truth about their products. The text is our own."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

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
SHAPES: dict[str, Shape] = {}


def shape(make: Shape) -> Shape:
    SHAPES[make.__name__] = make
    return make


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
    """A page whose main part has no more than a heading and a button; the product is in JSON-LD."""
    return page(truth, "<button>Add to cart</button>", script(value)), truth, fields


# --- JSON-LD ---
@shape
def json_ld():
    return with_data(CHAIR, item(CHAIR))


@shape
def json_ld_graph():
    others = [{"@type": "WebSite", "name": "Corner Shop"}, {"@type": "BreadcrumbList", "itemListElement": []}]
    return with_data(DRILL, {"@context": "https://schema.org", "@graph": [*others, item(DRILL)]})


@shape
def json_ld_array():
    return with_data(KETTLE, [{"@type": "Organization", "name": "Corner Shop"}, item(KETTLE)])


@shape
def json_ld_offer_list():
    offers = [{"@type": "Offer", "price": CHAIR.price, "priceCurrency": "EUR"}, {"@type": "Offer", "price": "259.90"}]
    return with_data(CHAIR, item(CHAIR, offers=offers))


@shape
def json_ld_aggregate_offer():
    offers = {"@type": "AggregateOffer", "lowPrice": 1299.0, "highPrice": 1499, "priceCurrency": "USD", "offerCount": 4}
    return with_data(DRILL, item(DRILL, offers=offers))


@shape
def json_ld_price_specification():
    prices = [{"@type": "UnitPriceSpecification", "price": "1299.50", "priceCurrency": "EUR"}]
    return with_data(KETTLE, item(KETTLE, offers={"@type": "Offer", "priceSpecification": prices}))


@shape
def json_ld_references():
    brand = {"@id": "#brand", "@type": "Brand", "name": "Holmgren"}
    offer = {"@id": "#offer", "@type": "Offer", "price": "249.90", "priceCurrency": "EUR", "itemOffered": {"@id": "#p"}}
    product = item(CHAIR, **{"@id": "#p", "brand": {"@id": "#brand"}, "offers": [{"@id": "#offer"}]})
    return with_data(CHAIR, {"@graph": [product, brand, offer]})


@shape
def json_ld_main_entity():
    return with_data(
        DRILL, {"@type": ["WebPage", "ItemPage"], "name": "Drill | Corner Shop", "mainEntity": item(DRILL)}
    )


@shape
def json_ld_product_group():
    variant = item(KETTLE, name="Lindau Wasserkocher 1,7 l weiß")
    group = {"@type": "ProductGroup", "name": KETTLE.name, "brand": "Bergtal", "description": KETTLE.description}
    return with_data(KETTLE, {**group, "hasVariant": [variant, item(KETTLE, sku="BT-171")]})


@shape
def json_ld_prefixed_types():
    value = {f"schema:{k}" if not k.startswith("@") else k: v for k, v in item(CHAIR).items()}
    return with_data(CHAIR, {**value, "@type": "http://schema.org/Product"})


@shape
def json_ld_html_entities():
    truth = replace(
        CHAIR, name="Arvika 3 & footrest", description="A chair & a footrest for the office of " * 3 + "today"
    )
    return with_data(truth, html.escape(json.dumps(item(truth))))


@shape
def json_ld_escaped_values():
    truth = replace(CHAIR, name="Arvika 3 & footrest")
    return with_data(truth, item(truth, name="Arvika 3 &amp; footrest", description=f"<p>{CHAIR.description}</p>"))


@shape
def json_ld_cdata():
    return with_data(DRILL, f"//<![CDATA[\n{json.dumps(item(DRILL))}\n//]]>")


@shape
def json_ld_html_comment():
    return with_data(DRILL, f"<!-- {json.dumps(item(DRILL))} -->")


@shape
def json_ld_after_an_html_comment():
    return with_data(DRILL, f"<!-- Data of the product. -->\n{json.dumps(item(DRILL))}")


@shape
def json_ld_comment_after_a_comma():
    text = json.dumps(item(CHAIR), indent=1)
    return with_data(CHAIR, text[:-2] + ',\n  // "rating": 5 }\n}')


@shape
def json_ld_trailing_commas_and_comments():
    text = json.dumps(item(CHAIR), indent=1).replace("\n}", ",\n}").replace("{\n", "{ // the product\n", 1)
    return with_data(CHAIR, f"/* generated */ {text};")


@shape
def json_ld_line_breaks_in_strings():
    return with_data(KETTLE, json.dumps(item(KETTLE), ensure_ascii=False).replace("Stunde. ", "Stunde.\n\t"))


@shape
def json_ld_two_values_in_one_script():
    return with_data(CHAIR, json.dumps({"@type": "WebSite", "name": "Corner Shop"}) + json.dumps(item(CHAIR)))


@shape
def json_ld_broken_beside_a_good_one():
    broken = (
        script('{"@type": "Product", "name": "Arvika 3 "swivel" chair", "offers": {"price": ')
        + script("null")
        + script("")
    )
    return page(CHAIR, "<button>Add to cart</button>", broken + script(item(CHAIR))), CHAIR, ALL


@shape
def json_ld_several_products():
    others = [item(CHAIR, name=f"Other thing {n}", offers={"price": n, "priceCurrency": "EUR"}) for n in range(9)]
    return with_data(CHAIR, [*others, item(CHAIR), *others])


@shape
def json_ld_related_inside():
    return with_data(CHAIR, item(CHAIR, isRelatedTo=[item(DRILL)], isSimilarTo=item(KETTLE)))


@shape
def json_ld_locale_price():
    return with_data(KETTLE, item(KETTLE, offers={"@type": "Offer", "price": "1.299,50", "priceCurrency": "€"}))


@shape
def json_ld_units():
    weight = {"@type": "QuantitativeValue", "value": 14.2, "unitCode": "KGM"}
    truth = replace(CHAIR, attributes={"weight": "14.2 kg", "color": "dark green"})
    return with_data(truth, item(truth, weight=weight, color="dark green", additionalProperty=[]))


@shape
def json_ld_beside_prose():
    return page(DRILL, prose(DRILL) + buy(DRILL), script(item(DRILL))), DRILL, ALL


@shape
def json_ld_script_only_page():
    """A page that JavaScript draws: no heading, no text."""
    return page(DRILL, '<div id="root"></div>', script(item(DRILL)), heading=False), DRILL, ALL


@shape
def json_ld_japanese():
    return with_data(RICE, item(RICE))


@shape
def json_ld_arabic():
    return with_data(LAMP, item(LAMP))


@shape
def json_ld_hindi():
    return with_data(SHIRT, item(SHIRT))


# --- microdata ---
def microdata_properties(truth: Truth) -> str:
    rows = "".join(
        '<tr itemprop="additionalProperty" itemscope itemtype="https://schema.org/PropertyValue">'
        f'<td itemprop="name">{k}</td><td itemprop="value">{v}</td></tr>'
        for k, v in truth.attributes.items()
    )
    return f"<table>{rows}</table>"


@shape
def microdata():
    t = CHAIR
    main = (
        f'<div itemscope itemtype="https://schema.org/Product"><span itemprop="name">{t.name}</span>'
        f'<a itemprop="brand" href="/b/1">{t.brand}</a><div itemprop="description"><p>{t.description}</p></div>'
        f'<p>No. <span itemprop="sku">{t.sku}</span> EAN <span itemprop="gtin13">{t.gtin}</span></p>{microdata_properties(t)}'
        '<div itemprop="offers" itemscope itemtype="https://schema.org/Offer"><span itemprop="priceCurrency" content="EUR">€</span>'
        '<span itemprop="price" content="249.90">249,90</span><link itemprop="availability" href="https://schema.org/InStock"></div></div>'
    )
    return page(t, main), t, ALL


@shape
def microdata_meta():
    t = DRILL
    pairs = [("name", t.name), ("sku", t.sku), ("gtin12", t.gtin), ("description", t.description)]
    metas = "".join(f'<meta itemprop="{k}" content="{html.escape(v)}">' for k, v in pairs)
    main = (
        f'<div itemscope itemtype="http://schema.org/Product">{metas}<div itemprop="brand" itemscope itemtype="http://schema.org/Brand">'
        f'<meta itemprop="name" content="{t.brand}"></div>{microdata_properties(t)}<div itemprop="offers" itemscope '
        'itemtype="http://schema.org/Offer"><meta itemprop="price" content="1299.00"><meta itemprop="priceCurrency" content="USD">'
        "</div></div><button>Add to cart</button>"
    )
    return page(t, main), t, ALL


@shape
def microdata_itemref():
    t = KETTLE
    main = (
        f'<div itemscope itemtype="https://schema.org/Product" itemref="text codes offer"><h2 itemprop="name">{t.name}</h2>'
        f'<span itemprop="brand">{t.brand}</span>{microdata_properties(t)}</div>'
        f'<div id="text"><p itemprop="description">{t.description}</p></div>'
        f'<ul id="codes"><li itemprop="sku">{t.sku}</li><li itemprop="gtin">{t.gtin}</li></ul>'
        '<div id="offer" itemprop="offers" itemscope itemtype="https://schema.org/Offer"><data itemprop="price" value="1299.50">x</data>'
        '<meta itemprop="priceCurrency" content="EUR"></div>'
    )
    return page(t, main), t, ALL


@shape
def microdata_locale_price():
    t = KETTLE
    main = (
        f'<div itemscope itemtype="https://schema.org/Product"><span itemprop="name">{t.name}</span>{prose(t)}<div itemprop="offers" '
        'itemscope itemtype="https://schema.org/AggregateOffer"><span itemprop="lowPrice">1.299,50 €</span></div></div>'
    )
    return page(t, main), t, frozenset(["name", "price", "currency", "description"])


# --- RDFa ---
def rdfa_main(t: Truth, prefix: str = "", around: str = 'vocab="https://schema.org/" typeof="Product"') -> str:
    rows = "".join(
        f'<li property="{prefix}additionalProperty" typeof="{prefix}PropertyValue"><span property="{prefix}name">{k}</span> '
        f'<span property="{prefix}value">{v}</span></li>'
        for k, v in t.attributes.items()
    )
    return (
        f'<div {around}><span property="{prefix}name">{t.name}</span><span property="{prefix}brand" typeof="{prefix}Brand">'
        f'<span property="{prefix}name">{t.brand}</span></span><p property="{prefix}description">{t.description}</p>'
        f'<span property="{prefix}sku">{t.sku}</span><span property="{prefix}gtin13">{t.gtin}</span><ul>{rows}</ul>'
        f'<div property="{prefix}offers" typeof="{prefix}Offer"><span property="{prefix}price" content="{t.price}">{t.shown}</span>'
        f'<meta property="{prefix}priceCurrency" content="{t.currency}"></div></div>'
    )


@shape
def rdfa_lite():
    return page(CHAIR, rdfa_main(CHAIR)), CHAIR, ALL


@shape
def rdfa_prefixed():
    return (
        page(DRILL, rdfa_main(DRILL, "schema:", 'prefix="schema: http://schema.org/" typeof="schema:Product"')),
        DRILL,
        ALL,
    )


@shape
def rdfa_good_relations():
    t = CHAIR
    main = (
        f'<div typeof="gr:ProductOrServiceModel schema:Product"><h2 property="gr:name">{t.name}</h2><p property="gr:description">'
        f'{t.description}</p><span property="gr:hasEAN_UCC-13" content="{t.gtin}"></span><div rel="schema:offers"><div typeof="gr:Offering">'
        '</div></div><div rel="gr:hasPriceSpecification"><div typeof="gr:UnitPriceSpecification" property="gr:hasPriceSpecification">'
        '<span property="gr:hasCurrency" content="EUR">€</span><span property="gr:hasCurrencyValue" content="249.90">249,90</span>'
        "</div></div></div>"
    )
    return page(t, main), t, frozenset(["name", "price", "currency", "gtin", "description"])


# --- the state of JavaScript frameworks ---
@shape
def next_data():
    t = DRILL
    product = {
        "id": 7, "title": t.name, "brand": {"name": t.brand}, "sku": t.sku, "upc": t.gtin, "description": f"<p>{t.description}</p>",
        "price": {"current": {"value": 1299.0, "currency": "USD"}, "was": {"value": 1399}},
        "specifications": [{"group": "All", "items": [{"label": k, "value": v} for k, v in t.attributes.items()]}],
        "images": [{"url": "/1.jpg"}] * 20,
    }  # fmt: skip
    cards = [{"name": f"Other thing {n}", "price": n} for n in range(30)]
    state = {"props": {"pageProps": {"product": product, "recommendations": cards}}, "buildId": "x"}
    return page(t, '<div id="__next"></div>', after=script(state, "application/json", ' id="__NEXT_DATA__"')), t, ALL


@shape
def initial_state():
    t = KETTLE
    product = {
        "name": t.name, "manufacturer": t.brand, "articleNumber": t.sku, "ean": t.gtin, "longDescription": t.description,
        "prices": [{"amount": "1.299,50 €"}], "attributes": t.attributes,
    }  # fmt: skip
    state = f"window.__INITIAL_STATE__ = {json.dumps({'catalog': {'current': product}})};\nwindow.render();"
    return page(t, '<div id="app"></div>', after=script(state, "text/javascript")), t, ALL


@shape
def shopify_product_json():
    t = CHAIR
    product = {
        "id": 1, "title": t.name, "vendor": t.brand, "description": t.description, "price": 24990, "available": True,
        "variants": [{"id": 2, "title": "Default", "sku": t.sku, "price": 24990, "barcode": t.gtin}],
    }  # fmt: skip
    main = '<form><span class="money">€249.90</span><button>Add to cart</button></form>'
    return page(t, main, after=script({"product": product}, "application/json")), t, ALL - {"attributes"}


@shape
def minor_units():
    t = DRILL
    product = {
        "name": t.name, "sku": t.sku, "brand": t.brand, "description": t.description, "gtin": t.gtin,
        "price": {"value": {"centAmount": 129900, "currencyCode": "USD", "fractionDigits": 2}},
        "attributes": [{"name": k, "value": v} for k, v in t.attributes.items()],
    }  # fmt: skip
    state = {"props": {"pageProps": {"data": {"masterData": {"current": product}}}}}
    return page(t, "", after=script(state, "application/json", ' id="__NEXT_DATA__"')), t, ALL


# --- Open Graph and other meta elements ---
@shape
def open_graph():
    t = CHAIR
    pairs = {
        "og:type": "product", "og:title": t.name, "og:description": t.description, "product:brand": t.brand, "product:ean": t.gtin,
        "product:price:amount": t.price, "product:price:currency": "EUR", "product:retailer_item_id": t.sku,
    }  # fmt: skip
    head = "".join(f'<meta property="{k}" content="{html.escape(v)}">' for k, v in pairs.items())
    return page(t, "<button>Add to cart</button>", head), t, ALL - {"attributes"}


@shape
def twitter_labels():
    t = DRILL
    pairs = {
        "twitter:label1": "Price", "twitter:data1": t.shown, "twitter:label2": "Brand", "twitter:data2": t.brand, "og:title": t.name,
        "og:type": "og:product", "description": t.description,
    }  # fmt: skip
    head = "".join(f'<meta name="{k}" content="{html.escape(v)}">' for k, v in pairs.items())
    return page(t, "<p>Add to cart</p>", head), t, frozenset(["name", "brand", "price", "currency", "description"])


# --- only what readers see ---
def codes(t: Truth, labels: tuple[str, str, str] = ("Brand", "Item number", "EAN")) -> dict[str, str]:
    return {**dict(zip(labels, (t.brand, t.sku, t.gtin), strict=True)), **t.attributes}


@shape
def table_with_headings():
    rows = "".join(f"<tr><th>{k}</th><td>{v}</td></tr>" for k, v in codes(CHAIR).items())
    return page(CHAIR, prose(CHAIR) + buy(CHAIR) + f'<table class="specs">{rows}</table>'), CHAIR, ALL


@shape
def table_without_headings():
    rows = "".join(f"<tr><td>{k}:</td><td>{v}</td></tr>" for k, v in codes(DRILL).items())
    return page(DRILL, buy(DRILL) + f"<div class='tab'><table>{rows}</table></div>" + prose(DRILL)), DRILL, ALL


@shape
def table_of_four_columns():
    pairs = [*codes(CHAIR).items()]
    rows = "".join(
        "<tr>" + "".join(f"<th>{k}</th><td>{v}</td>" for k, v in pairs[n : n + 2]) + "</tr>"
        for n in range(0, len(pairs), 2)
    )
    return page(CHAIR, prose(CHAIR) + buy(CHAIR) + f"<table>{rows}</table>"), CHAIR, ALL


@shape
def definition_list():
    rows = "".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in codes(DRILL).items())
    return page(DRILL, f"<div class='aside'><dl>{rows}</dl></div>" + buy(DRILL) + prose(DRILL)), DRILL, ALL


@shape
def rows_of_divs():
    rows = "".join(
        f'<div class="row"><div class="col-4">{k}</div><div class="col-8"><span>{v}</span></div></div>'
        for k, v in codes(CHAIR).items()
    )
    return page(CHAIR, buy(CHAIR) + prose(CHAIR) + f'<div class="product-specifications">{rows}</div>'), CHAIR, ALL


@shape
def bold_labels():
    rows = "".join(f"<li><strong>{k}:</strong> {v}</li>" for k, v in codes(DRILL).items())
    return page(DRILL, buy(DRILL) + prose(DRILL) + f"<ul>{rows}</ul>"), DRILL, ALL


@shape
def labels_with_colons():
    rows = "".join(f"<li>{k}: {v}</li>" for k, v in codes(CHAIR).items())
    return page(CHAIR, buy(CHAIR) + prose(CHAIR) + f'<ul class="feature-list">{rows}</ul>'), CHAIR, ALL


@shape
def fragmented_price():
    t = replace(DRILL, price="12.99", shown="$12.99")
    main = '<div class="price-block"><span class="symbol">$</span><span class="whole">12</span><sup>99</sup></div>'
    return page(t, main + prose(t)), t, frozenset(["name", "price", "currency", "description"])


@shape
def crossed_out_price():
    t = CHAIR
    main = '<p class="price"><del>€ 319.00</del> <span class="price-old">€ 299.00</span> <ins>€249.90</ins></p>'
    return page(t, main + prose(t)), t, frozenset(["name", "price", "currency", "description"])


@shape
def price_without_a_class():
    t = DRILL
    return (
        page(t, f"<div><b>{t.shown}</b></div><p>Shipping in two days</p>" + prose(t)),
        t,
        frozenset(["name", "price", "currency", "description"]),
    )


def localised(t: Truth, labels: tuple[str, str, str]) -> tuple[str, Truth, frozenset[str]]:
    rows = "".join(f"<tr><th>{k}</th><td>{v}</td></tr>" for k, v in codes(t, labels).items())
    return page(t, buy(t) + prose(t) + f"<table>{rows}</table>"), t, ALL


@shape
def german():
    return localised(KETTLE, ("Marke", "Artikelnummer", "EAN"))


@shape
def japanese():
    return localised(RICE, ("ブランド", "商品コード", "JANコード"))


@shape
def arabic():
    return localised(LAMP, ("العلامة التجارية", "رمز المنتج", "الباركود"))


@shape
def hindi():
    return localised(SHIRT, ("ब्रांड", "उत्पाद कोड", "बारकोड"))


def in_locale(shown: str, price: str, code: str, language: str) -> Shape:
    def make() -> tuple[str, Truth, frozenset[str]]:
        t = replace(CHAIR, shown=shown, price=price, currency=code, language=language)
        return page(t, buy(t) + prose(t)), t, frozenset(["name", "price", "currency", "description"])

    return make


for _name, _shown, _price, _code, _language in (
    ("french_price", "1\u202f299,00\u00a0€", "1299.00", "EUR", "fr"),
    ("swiss_price", "CHF 1’299.50", "1299.50", "CHF", "de-CH"),
    ("swedish_price", "1 299 kr", "1299", "SEK", "sv-SE"),
    ("polish_price", "1 299,99 zł", "1299.99", "PLN", "pl"),
    ("brazilian_price", "R$ 1.234,56", "1234.56", "BRL", "pt-BR"),
    ("dash_price", "49,– €", "49", "EUR", "de"),
    ("arabic_digits", "١٢٩٫٩٩ ر.س", "129.99", "SAR", "ar"),
    ("full_width_digits", "￥１２，８００", "12800", "JPY", "ja"),
):
    SHAPES[_name] = in_locale(_shown, _price, _code, _language)
