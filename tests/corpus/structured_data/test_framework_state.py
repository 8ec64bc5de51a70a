"""Products in the state that JavaScript frameworks write into pages."""

import json

import pytest

from rexplug.corpus.structured_data import structured_data
from rexplug_ecommerce.product_data import page_products

KETTLE = {"name": "Steel kettle", "price": 49.9, "currency": "EUR", "sku": "K-20"}


def inline(code):
    return f"<script>{code}</script>"


def literal(text, quote):
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


def stream(value):
    """The stream of Next.js: rows of JSON, split at any position, each part a string argument of a call."""
    rows = f'0:"$L1"\n1:I["app",[]]\n5:{json.dumps(["$", "main", None, {"product": value}])}\n'
    parts = [rows[start : start + 60] for start in range(0, len(rows), 60)]
    calls = [f"self.__next_f.push({json.dumps([1, part])})" for part in parts]
    return inline("(self.__next_f=self.__next_f||[]).push([0])") + "".join(map(inline, calls))


def flat(value):
    values: list = []

    def add(one):
        place = len(values)
        values.append(None)
        values[place] = {key: add(inner) for key, inner in one.items()} if isinstance(one, dict) else one
        return place

    values += [["ShallowReactive", 1]]
    add({"data": {"product": value}, "state": {}})
    return f'<script type="application/json" id="__NUXT_DATA__">{json.dumps(values)}</script>'


APOLLO = {
    "ROOT_QUERY": {"product": {"__ref": "Product:1"}},
    "Product:1": {"__typename": "Product", "name": "Steel kettle", "sku": "K-20", "price": {"__ref": "Price:7"}},
    "Price:7": {"amount": 49.9, "currency": "EUR"},
}
STATES = {
    "an object": inline(f"window.__INITIAL_STATE__ = {json.dumps({'p': KETTLE})};"),
    "literals of JavaScript": inline(
        f"window.__STATE__={json.dumps({'user': 'NOBODY', 'p': KETTLE})};run()".replace('"NOBODY"', "undefined")
    ),
    "a string in double quotes": inline(
        f"window.__STATE__ = JSON.parse({literal(json.dumps({'p': KETTLE}), chr(34))})"
    ),
    "a string in single quotes": inline(
        f"window.__STATE__ = JSON.parse({literal(json.dumps({'p': KETTLE}), chr(39))})"
    ),
    "the stream of Next.js": stream(KETTLE),
    "the flat list of Nuxt": flat(KETTLE),
    "the cache of Apollo": inline(f"window.__APOLLO_STATE__ = {json.dumps(APOLLO)}"),
}


@pytest.mark.parametrize("name", STATES)
def test_product_in_the_state_of_a_framework(name):
    data = structured_data(f"<html><body><h1>Steel kettle</h1>{STATES[name]}</body></html>")
    product, listed = page_products(data)
    assert (product.name, product.price, product.currency, product.sku, listed) == (
        "Steel kettle", "49.90", "EUR", "K-20", [],
    )  # fmt: skip


@pytest.mark.parametrize(
    "script",
    [
        "window.__STATE__={" * 20_000,
        "self.__next_f.push([1," * 20_000,
        "window.__STATE__=JSON.parse('" * 20_000,
        "window.__STATE__=JSON.parse('" + "\\x" * 200_000,
        "window.__APOLLO_STATE__="
        + json.dumps({"ROOT_QUERY": {}, "a": {"name": "x", "price": 1, "z": {"__ref": "a"}}}),
    ],
)
def test_hostile_scripts_are_read_in_bounded_time(script):
    assert len(json.dumps(structured_data(f"<html><body>{inline(script)}"))) < 10_000


@pytest.mark.parametrize("values", [[[0]], [{"a": 0}], [[1, 1], [0, 0]], ["x"], [], {"a": 1}, [[7]], [["Ref"]]])
def test_flat_lists_with_invalid_references(values):
    script = f'<script type="application/json" id="__NUXT_DATA__">{json.dumps(values)}</script>'
    assert structured_data(f"<html><body>{script}").get("state") is None
