"""Shapes of pages whose product is only in visible content: tables, lists and prices, in several languages."""

from __future__ import annotations

from dataclasses import replace

from shop_pages.parts import ALL, CHAIR, DRILL, KETTLE, LAMP, RICE, SHIRT, Shape, Truth, adds_to, buy, page, prose

SHAPES: dict[str, Shape] = {}
shape = adds_to(SHAPES)


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
