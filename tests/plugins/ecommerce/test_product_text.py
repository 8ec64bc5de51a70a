import json

import pytest
from pydantic import ValidationError
from shop_pages.pages import SHAPES
from shop_pages.parts import CHAIR, DRILL, item, page, script
from shop_pages.recall import composed, in_metadata, in_text, read_pages, recall, write_pages

from rexplug import Document, Shard
from rexplug.corpus.shard_jobs import SourceJob, filter_shard
from rexplug.corpus.sources import ERROR, HtmlFiles, Warc
from rexplug.corpus.structured_data import structured_data
from rexplug.document_files import read_documents
from rexplug.recipe.schema import Curation
from rexplug.testing import check_corpus_filter
from rexplug_ecommerce import ProductPage, ProductText
from rexplug_ecommerce.product_data import page_products


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    write_pages(folder)
    return folder


@pytest.fixture(scope="module")
def documents(folder):
    return {name: composed(document) for name, document in read_pages(folder, structured_data=True).items()}


def test_there_are_at_least_sixty_shapes():
    assert len(SHAPES) >= 60


@pytest.mark.parametrize("name", SHAPES)
def test_every_field_that_a_page_says_is_in_its_text_and_metadata(name, documents):
    _, truth, fields = SHAPES[name]()
    document = documents[name]
    assert [field for field in sorted(fields) if not in_text(truth, field, document.text)] == []
    # A description that only readers see is main text, and no field.
    said = fields - ({"description"} if "description" not in document.metadata["product"] else set())
    assert [field for field in sorted(said) if not in_metadata(truth, field, document.metadata)] == []
    assert ProductPage().judge(document).keep
    assert "structured_data" not in document.metadata


def test_recall_before_and_after(folder, documents):
    before, after = recall(read_pages(folder)), recall(documents)
    assert {field: (before[field][0], after[field][0], after[field][2]) for field in after} == {
        "name": (63, 64, 64),
        "brand": (15, 51, 51),
        "price": (26, 64, 64),
        "currency": (26, 64, 64),
        "gtin": (15, 51, 51),
        "sku": (15, 50, 50),
        "attributes": (16, 48, 48),
        "description": (29, 64, 64),
    }


def about(html, text="", **options):
    """The document of a page after the filter."""
    document = Document("1", text, None, {"structured_data": structured_data(html)})
    return ProductText(**options).judge(document).applied(document)


def test_the_text_of_a_page():
    html = page(CHAIR, head=script(item(CHAIR, category="Office > Chairs", mpn="7741")))
    text = "Arvika 3 swivel chair\nSeat height | 42 - 53 cm |\nMade to last."
    assert about(html, text).text == (
        "Brand: Holmgren\nPrice: 249.90 EUR\nAvailability: in stock\nCategory: Office > Chairs\nSKU: HG-7741-B\n"
        f"GTIN: 4006381333931\nMPN: 7741\nUpholstery: wool felt\nLoad capacity: 120 kg\n{CHAIR.description}\n{text}"
    )


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("Größe Übergrößen-Hemd", "Gro\u0308ße U\u0308bergro\u0308ßen-Hemd"),
        ("Herrenwollsocken", "Herren\u00adwoll\u00adsocken"),
        ("ワイヤレスイヤホン", "\uff9c\uff72\uff94\uff9a\uff7d\uff72\uff94\uff8e\uff9d"),
        ("כובע צמר", "\u200fכובע צמר\u200e"),
        ("میشود", "می\u200cشود"),
    ],
)
def test_values_that_the_text_states_in_another_form_are_not_repeated(shown, said):
    data = script({"@type": "Product", "name": said, "sku": "AB-12"})
    assert about(f"<html><head>{data}</head><body></body></html>", shown).text == f"SKU: AB-12\n{shown}"


def test_a_template_in_another_language():
    html = page(CHAIR, head=script(item(CHAIR)))
    template = "{text}\nMarke: {brand}\nPreis: {price}, Artikel {sku}\nHersteller-Nr.: {mpn}"
    assert about(html, "Ein Stuhl.", template=template).text == (
        "Ein Stuhl.\nMarke: Holmgren\nPreis: 249.90 EUR, Artikel HG-7741-B"
    )


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "{nam}\n{text}",
            "the template has the field {nam}; fields are name, brand, price, availability, category, sku, gtin, mpn, attributes, "
            "description, text",
        ),
        ("{name}", "the template needs one line {text}, where the page's main text goes"),
        (
            "{text}\n{",
            "the template cannot be read: Single '{' encountered in format string; write a brace that is text twice",
        ),
    ],
)
def test_templates_that_cannot_work(template, message):
    with pytest.raises(ValidationError) as error:
        ProductText(template=template)
    assert error.value.errors()[0]["msg"] == f"Value error, {message}"


def test_the_filter_keeps_its_contract():
    data = structured_data(page(CHAIR, head=script(item(CHAIR))))
    shop = Document("a", "A chair.", None, {"structured_data": data})
    changed = ProductText().judge(shop).text
    check_corpus_filter(ProductText(), keep=[Document("b", "No page.")], drop=[], change=[(shop, changed)])
    dropped = [Document("c", "An essay.", None, {"structured_data": structured_data("<p>An essay.</p>")})]
    check_corpus_filter(ProductText(require_product=True), keep=[shop], drop=dropped)
    after = ProductText(require_product=True).judge(shop).applied(shop)
    assert ProductText(require_product=True).judge(after).keep  # `corpus why` asks again


def test_the_data_stay_if_they_are_wanted():
    kept = about(page(CHAIR, head=script(item(CHAIR))), keep_data=True).metadata
    assert sorted(kept) == ["product", "structured_data"]
    assert "structured_data" not in about("<title>An essay</title><p>It says nothing.</p>").metadata


def test_a_page_that_lists_products_gives_a_line_each():
    products = [item(CHAIR), item(DRILL), item(CHAIR, name="Arvika 4")]
    listing = {
        "@type": "ItemList",
        "itemListElement": [{"@type": "ListItem", "position": n, "item": p} for n, p in enumerate(products)],
    }
    document = about(f"<h1>Everything for the office</h1>{script(listing)}", "Everything for the office")
    assert document.text == (
        "Arvika 3 swivel chair: 249.90 EUR\nTornado 18 cordless drill: 1299.00 USD\nArvika 4: 249.90 EUR\nEverything for the office"
    )
    assert [p["sku"] for p in document.metadata["products"]] == ["HG-7741-B", "KS-18-2B", "HG-7741-B"]


def test_a_related_product_is_not_that_of_the_page():
    html = f"<title>Care of oak floors</title><h1>Care of oak floors</h1><p>Wipe twice.</p>{script(item(DRILL))}"
    assert "product" not in about(html, "Wipe twice.").metadata


def test_an_article_that_names_a_price_is_no_product():
    html = (
        "<h1>The market this week</h1><p>Flour rose to <b>$4.20</b>, oil to <b>$9.10</b>, and rice to <b>$3.00</b>.</p>"
    )
    assert about(html, "Flour rose.").text == "Flour rose."


def test_a_ticket_for_an_event_is_no_product():
    event = {"@type": "MusicEvent", "name": "An evening of quartets", "offers": {"price": 20, "priceCurrency": "EUR"}}
    html = f'<h1>An evening of quartets</h1><p class="price">€20.00</p>{script(event)}'
    assert about(html, "Two quartets.").text == "Two quartets."


def test_a_product_on_a_page_with_another_title_and_accessories_without_price():
    parts = [{"@type": "Product", "name": f"Castor {n}"} for n in range(3)]
    html = f"<title>Photo gallery</title>{script([*parts, item(CHAIR)])}"
    assert about(html).metadata["product"]["name"] == CHAIR.name
    alone = f"<title>Photo gallery</title>{script(item(CHAIR))}"
    assert about(alone).metadata["product"]["name"] == CHAIR.name


def test_formats_complete_each_other_and_the_surer_one_wins():
    head = (
        '<meta property="product:price:amount" content="1.00"><meta property="product:price:currency" content="GBP">'
        '<meta property="product:brand" content="Other">'
    )
    short = {"@type": "Product", "name": CHAIR.name, "offers": {"price": "249.90", "priceCurrency": "EUR"}}
    row = '<div class="specs"><table><tr><th>Seat height</th><td>42 cm</td></tr></table></div>'
    product = about(page(CHAIR, row, head + script(short))).metadata["product"]
    assert (product["price"], product["currency"], product["brand"]) == ("249.90", "EUR", "Other")
    assert product["attributes"] == {"Seat height": "42 cm"}


def price_of(offers):
    data = structured_data(page(CHAIR, head=script({"@type": "Product", "name": CHAIR.name, "offers": offers})))
    product = page_products(data)[0]
    return product.price, product.currency


EURO = {"priceCurrency": "EUR"}
PER_100_ML = {"price": "1.99", "referenceQuantity": {"value": "100", "unitCode": "MLT"}, **EURO}


@pytest.mark.parametrize(
    "offers",
    [
        {
            "priceSpecification": [
                {"priceType": "https://schema.org/ListPrice", "price": 59, **EURO},
                {"price": 39.99, **EURO},
            ]
        },
        {"priceSpecification": [{"priceType": "StrikethroughPrice", "price": 59, **EURO}, {"price": 39.99, **EURO}]},
        {"priceSpecification": [PER_100_ML, {"price": "39.99", **EURO}]},
        {"priceSpecification": {"priceType": "https://schema.org/ListPrice", "price": "39.9900", **EURO}},
        {"price": {"@type": "MonetaryAmount", "value": "39.99", "currency": "EUR"}},
        {"@type": "AggregateOffer", "lowPrice": "39,99", **EURO},
    ],
)
def test_the_price_of_an_offer_is_the_current_price(offers):
    assert price_of(offers) == ("39.99", "EUR")


def test_types_in_any_case_and_numbers_that_lost_their_zeros():
    data = structured_data(page(CHAIR, head=script({"@type": "product", "name": CHAIR.name, "gtin12": 36000291452})))
    assert page_products(data)[0].gtin == "036000291452"


def test_codes_with_a_wrong_check_digit_and_placeholders_are_no_gtin():
    for code in ("4006381333932", "0000000000000", "123", "n/a", None, True):
        assert "gtin" not in about(page(CHAIR, head=script(item(CHAIR, gtin13=code)))).metadata["product"]


HOSTILE = {
    "deep": "[" * 100_000,
    "deep objects": '{"@type":"Product","name":"x","offers":' * 5000 + "1" + "}" * 5000,
    "huge": json.dumps(item(CHAIR, description="word " * 900_000)),
    "many": json.dumps([item(CHAIR, name=f"thing {n}") for n in range(5000)]),
    "many keys": json.dumps({"@type": "Product", "name": "x", **{f"k{n}": n for n in range(100_000)}}),
    "huge number": '{"@type": "Product", "name": "x", "offers": {"price": ' + "9" * 10_000 + "}}",
    "not numbers": '{"@type": "Product", "name": "x", "offers": {"price": NaN, "lowPrice": 1e999, "priceCurrency": "EUR"}}',
    "surrogates": '{"@type": "Product", "name": "half \\ud83d pair", "description": "\\u0000 \\udfff"}',
    "references in a ring": '{"@graph": [{"@id": "a", "@type": "Product", "name": "x", "brand": {"@id": "b"}, "offers": {"@id": "a"}}, '
    '{"@id": "b", "@type": "Brand", "manufacturer": {"@id": "a"}}]}',
    "references that multiply": json.dumps(
        {"@graph": [{"@id": str(n), "name": "x", "next": [{"@id": str(n + 1)}] * 10} for n in range(40)]}
    ),
    "wrong kinds": json.dumps(
        {
            "@type": ["Product", 7, None],
            "name": {"a": []},
            "brand": [[]],
            "offers": [None, "x", {"price": [], "offers": [1]}],
            "@id": 3,
        }
    ),
    "types that are no list": '{"@type": {"a": 1}, "@graph": "x", "name": ["y"], "additionalProperty": [1, {"name": "z"}]}',
    "an unclosed string": '{"@type": "Product", "name": "x',
    "scripts": "<script>" * 1000,
    "comments": "/* x" * 100_000,
    "spaces": "x" + " " * 1_000_000 + "x",
    "quotes": '"\\' * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_data_cost_only_themselves(name, tmp_path):
    sentence = "<p>This chair is made of solid oak from managed forests and carries up to 120 kilograms.</p>" * 3
    html = f"<h1>Oak chair</h1><article>{sentence}</article>{script(HOSTILE[name])}{script(HOSTILE[name], 'application/json')}"
    (tmp_path / "a.html").write_text(html, encoding="utf-8")
    (tmp_path / "b.html").write_text(page(CHAIR, head=script(item(CHAIR))), encoding="utf-8")
    read = read_pages(tmp_path, structured_data=True, extract_seconds=8)
    assert "made of solid oak" in read["a"].text
    assert ERROR not in read["a"].metadata
    after = {name: composed(document) for name, document in read.items()}
    assert len(json.dumps(after["a"].metadata, ensure_ascii=False).encode()) < 300_000
    assert after["b"].metadata["product"]["price"] == "249.90"


@pytest.mark.parametrize(
    "inner",
    [
        '<div itemscope itemtype="https://schema.org/Product" itemprop="offers">' * 3000,
        '<div typeof="Product" property="name" itemprop="name">x' * 3000,
        '<div itemscope itemref="r r r r">' * 2000 + '<div id="r" itemscope itemref="r" itemprop="name">x',
        '<div class="price spec">1 €' * 3000,
        "<table><tr><td>a<td>b" * 2000,
        "<dl><dt>a<dd>b" * 2000,
        '<meta property="og:title" content="' + "x" * 1_000_000 + '">' * 100,
        '<span class="price">' + "1," * 100_000 + "</span>",
    ],
)
def test_hostile_markup_is_read_in_bounded_time(inner):
    data = structured_data(f"<html><body>{inner}")
    assert len(json.dumps(data)) < 500_000
    ProductText().judge(Document("1", "text", None, {"structured_data": data}))


@pytest.mark.parametrize(
    "data", [{"json_ld": 3}, {"json_ld": ["x", None]}, [], "x", {"meta": [], "pairs": [["a"]], "prices": 7}]
)
def test_data_of_other_sources_are_no_error(data):
    document = Document("1", "text", None, {"structured_data": data})
    assert ProductText().judge(document).applied(document).text == "text"


def test_pages_of_a_web_archive(tmp_path):
    html = page(CHAIR, '<div id="root"></div>', script(item(CHAIR)), heading=False).encode()
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + html
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://shop.example/1\r\n"
        "WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000001>\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    (tmp_path / "crawl.warc").write_bytes(head.encode() + body + b"\r\n\r\n")
    (document,) = Warc(paths=str(tmp_path), structured_data=True).documents(Shard(0, 1))
    after = composed(document)
    assert (after.url, after.metadata["product"]["gtin"]) == ("https://shop.example/1", CHAIR.gtin)
    assert "Price: 249.90 EUR\n" in after.text


def test_a_page_without_main_text_has_the_name_and_description_of_its_data(tmp_path):
    (tmp_path / "a.html").write_text(f"<html><head>{script(item(CHAIR))}</head><body></body></html>")
    (tmp_path / "b.html").write_text(
        f"<html><head>{script({'@type': 'Organization', 'name': 'Corner Shop'})}</head><body></body></html>"
    )
    read = read_pages(tmp_path, structured_data=True)
    assert CHAIR.description in read["a"].text
    assert read["b"].metadata[ERROR] == "no main text in the page"


def test_curation_writes_text_and_metadata_of_pages(tmp_path, folder):
    source = HtmlFiles(paths=str(folder), structured_data=True, filters=(ProductText(),))
    job = SourceJob(
        source, source.filters, Curation(), 1, 1, tmp_path / "work", tmp_path / "out", tmp_path / "signatures", 0
    )
    job.save()
    assert filter_shard(job.file, 0) == len(SHAPES)
    read = {document.id: document for document in read_documents(job.passed(0).parent)}
    document = read["json_ld.html"]
    assert document.metadata["changed"] == ["ecommerce.product_text"]
    assert document.metadata["product"]["brand"] == "Holmgren"
    assert "structured_data" not in document.metadata
    assert "Brand: Holmgren\n" in document.text
