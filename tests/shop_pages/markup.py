"""Shapes of pages whose product is in attributes of the markup: microdata, RDFa, Open Graph and other meta elements."""

from __future__ import annotations

import html

from shop_pages.parts import ALL, CHAIR, DRILL, KETTLE, Shape, Truth, adds_to, page, prose

SHAPES: dict[str, Shape] = {}
shape = adds_to(SHAPES)


# --- microdata ---
def microdata_page(
    t: Truth,
    inside: str,
    after: str = "",
    *,
    more: str = "",
    fields: frozenset[str] = ALL,
    site: str = "https://schema.org",
) -> tuple[str, Truth, frozenset[str]]:
    """A page with the product's element and the markup after it; `more` are further attributes of that element."""
    return page(t, f'<div itemscope itemtype="{site}/Product"{more}>{inside}</div>{after}'), t, fields


def microdata_offer(inside: str, kind: str = "Offer", *, more: str = "", site: str = "https://schema.org") -> str:
    return f'<div{more} itemprop="offers" itemscope itemtype="{site}/{kind}">{inside}</div>'


def microdata_properties(t: Truth) -> str:
    rows = "".join(
        '<tr itemprop="additionalProperty" itemscope itemtype="https://schema.org/PropertyValue">'
        f'<td itemprop="name">{k}</td><td itemprop="value">{v}</td></tr>'
        for k, v in t.attributes.items()
    )
    return f"<table>{rows}</table>"


@shape
def microdata():
    t = CHAIR
    inside = (
        f'<span itemprop="name">{t.name}</span>'
        f'<a itemprop="brand" href="/b/1">{t.brand}</a><div itemprop="description"><p>{t.description}</p></div>'
        f'<p>No. <span itemprop="sku">{t.sku}</span> EAN <span itemprop="gtin13">{t.gtin}</span></p>{microdata_properties(t)}'
    )
    offer = microdata_offer(
        '<span itemprop="priceCurrency" content="EUR">€</span>'
        '<span itemprop="price" content="249.90">249,90</span><link itemprop="availability" href="https://schema.org/InStock">'
    )
    return microdata_page(t, inside + offer)


@shape
def microdata_meta():
    """The address of schema.org begins with `http:`."""
    t, site = DRILL, "http://schema.org"
    pairs = [("name", t.name), ("sku", t.sku), ("gtin12", t.gtin), ("description", t.description)]
    metas = "".join(f'<meta itemprop="{k}" content="{html.escape(v)}">' for k, v in pairs)
    brand = f'<div itemprop="brand" itemscope itemtype="{site}/Brand"><meta itemprop="name" content="{t.brand}"></div>'
    offer = microdata_offer(
        '<meta itemprop="price" content="1299.00"><meta itemprop="priceCurrency" content="USD">', site=site
    )
    button = "<button>Add to cart</button>"
    return microdata_page(t, metas + brand + microdata_properties(t) + offer, button, site=site)


@shape
def microdata_itemref():
    t = KETTLE
    inside = f'<h2 itemprop="name">{t.name}</h2><span itemprop="brand">{t.brand}</span>{microdata_properties(t)}'
    elsewhere = (
        f'<div id="text"><p itemprop="description">{t.description}</p></div>'
        f'<ul id="codes"><li itemprop="sku">{t.sku}</li><li itemprop="gtin">{t.gtin}</li></ul>'
    )
    offer = microdata_offer(
        '<data itemprop="price" value="1299.50">x</data><meta itemprop="priceCurrency" content="EUR">',
        more=' id="offer"',
    )
    return microdata_page(t, inside, elsewhere + offer, more=' itemref="text codes offer"')


@shape
def microdata_locale_price():
    t = KETTLE
    offer = microdata_offer('<span itemprop="lowPrice">1.299,50 €</span>', "AggregateOffer")
    fields = frozenset(["name", "price", "currency", "description"])
    return microdata_page(t, f'<span itemprop="name">{t.name}</span>{prose(t)}{offer}', fields=fields)


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
