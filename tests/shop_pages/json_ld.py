"""Shapes of pages whose product is in JSON-LD."""

from __future__ import annotations

import html
import json
from dataclasses import replace

from shop_pages.parts import (
    ALL,
    CHAIR,
    DRILL,
    KETTLE,
    LAMP,
    RICE,
    SHIRT,
    Shape,
    adds_to,
    buy,
    item,
    page,
    prose,
    script,
    with_data,
)

SHAPES: dict[str, Shape] = {}
shape = adds_to(SHAPES)


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
