"""Shapes of pages whose product is in the state of a JavaScript framework."""

from __future__ import annotations

import json

from shop_pages.parts import ALL, CHAIR, DRILL, KETTLE, Shape, adds_to, page, script

SHAPES: dict[str, Shape] = {}
shape = adds_to(SHAPES)


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
