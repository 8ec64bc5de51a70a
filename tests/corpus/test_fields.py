"""Which fields make a document: nested, flattened, lists, maps, numbers, bytes."""

import datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from rexplug.components import Shard
from rexplug.corpus.sources import ERROR, HuggingFace, Jsonl, Parquet
from rexplug.corpus.sources.fields import written


def read(source):
    return list(source.documents(Shard(0, 1)))


def table(tmp_path, rows, schema=None):
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "a.parquet")
    return str(tmp_path / "a.parquet")


def test_lists_of_records(tmp_path):
    specs = [{"name": "Colour", "value": "red"}, {"name": "Width", "value": "40 cm"}, {"name": "Depth", "value": None}]
    variants = [{"title": "small", "sizes": ["S", "M"]}, {"title": "large", "sizes": ["L"]}]
    paths = table(tmp_path, [{"title": "Chair", "specs": specs, "variants": variants}])
    assert read(Parquet(paths=paths, text=("title", "specs")))[0].text == "Chair\n\nColour: red\nWidth: 40 cm"
    assert read(Parquet(paths=paths, text="variants"))[0].text == "title: small, sizes: S, M\ntitle: large, sizes: L"
    assert read(Parquet(paths=paths, text="variants.title"))[0].text == "small\nlarge"
    assert read(Parquet(paths=paths, text="variants.sizes"))[0].text == "S\nM\nL"


def test_maps(tmp_path):
    schema = pa.schema({"title": pa.string(), "attributes": pa.map_(pa.string(), pa.string())})
    rows = [
        {"title": "Chair", "attributes": [("colour", "red"), ("brand", "Aldor")]},
        {"title": "Table", "attributes": []},
    ]
    paths = table(tmp_path, rows, schema)
    source = Parquet(
        paths=paths, text=("title", "attributes"), metadata={"brand": "attributes.brand", "all": "attributes"}
    )
    chair, desk = read(source)
    assert chair.text == "Chair\n\ncolour: red\nbrand: Aldor"
    assert (chair.metadata["brand"], chair.metadata["all"]) == ("Aldor", {"colour": "red", "brand": "Aldor"})
    assert (desk.text, desk.metadata["brand"]) == ("Table", None)
    assert [d.text for d in read(Parquet(paths=paths, text="attributes.colour"))] == ["red", ""]


def test_columns_with_dots_in_their_names(tmp_path):
    rows = [{"product.title": "Chair", "product.texts.body": "of oak", "product": {"sku": "7"}, "a.b": {"c": "light"}}]
    text = ("product.title", "product.texts.body", "a.b.c")
    for source in (
        Parquet(paths=table(tmp_path, rows), text=text, id="product.sku"),
        HuggingFace(dataset=str(tmp_path), text=text, id="product.sku"),
    ):
        [document] = read(source)
        assert (document.id, document.text) == ("7", "Chair\n\nof oak\n\nlight")


def test_binary_columns_hold_text(tmp_path):
    """As Spark writes strings without `binaryAsString`'s annotation."""
    rows = [
        {"text": "Größe".encode(), "sku": b"7", "tags": [b"red", b"oak"], "key": b"\xff\x00"},
        {"text": b"\xff\xfe", "sku": b"8", "tags": [], "key": None},
    ]
    paths = table(tmp_path, rows)
    good, bad = read(Parquet(paths=paths, text=("text", "tags"), id="sku", metadata={"key": "key"}))
    assert (good.id, good.text, good.metadata["key"]) == ("7", "Größe\n\nred\noak", "ff00")
    assert (bad.id, bad.text, bad.metadata[ERROR]) == ("8", "", "invalid UTF-8")


def test_numbers_beside_text_are_written(tmp_path):
    rows = [
        {
            "title": "Chair",
            "price": Decimal("59.90"),
            "stock": 3,
            "new": True,
            "since": datetime.date(2026, 5, 1),
            "rating": 4.5,
        },
        {"title": "Table", "price": None, "stock": None, "new": None, "since": None, "rating": float("nan")},
    ]
    source = Parquet(paths=table(tmp_path, rows), text=("title", "price", "stock", "new", "since", "rating"))
    assert [d.text for d in read(source)] == ["Chair\n\n59.90\n\n3\n\ntrue\n\n2026-05-01\n\n4.5", "Table"]


@pytest.mark.parametrize("value", ["7", "[1, 2]", "null", '" "', "[]", "{}", '{"de": null}', "true", "[[3]]"])
def test_a_record_without_words_is_dropped(tmp_path, value):
    (tmp_path / "a.jsonl").write_text(f'{{"text": {value}, "n": 5}}\n')
    [document] = read(Jsonl(paths=str(tmp_path), text=("text", "n")))
    assert (document.text, document.metadata[ERROR]) == ("", "no text in text or n")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": {"b": 1, "c": ["x", "y"]}, "d": None}, "a: b: 1, c: x, y"),
        ([{"key": "a", "value": [{"name": "b", "value": 2}]}, {"key": "c", "value": ""}], "a: b: 2"),
        ([{"name": "a", "price": 2}], "name: a, price: 2"),
        (["  one", "", None, 2], "one\n2"),
        ([["a", "b"], ["c"]], "a, b\nc"),
        (float("inf"), ""),
    ],
)
def test_how_values_are_written(value, text):
    assert written(value) == text


def test_metadata_may_have_the_names_of_what_makes_a_document(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one", "nr": 7, "title": "A"}\n')
    names = {"id": "nr", "text": "title", "url": "nr", "file": "title"}
    [document] = read(Jsonl(paths=str(tmp_path / "a.jsonl"), metadata=names))
    assert (document.id, document.text, document.url) == ("a.jsonl:0", "one", None)
    assert document.metadata == {
        "id": 7, "text": "A", "url": 7, "file": "A", "place": f"{tmp_path / 'a.jsonl'}:0",
    }  # fmt: skip


@pytest.mark.parametrize("name", [ERROR, "changed", "place"])
def test_names_that_rexplug_gives_are_not_free(name):
    problem = f"'{name}' is a name that rexplug gives; choose another one for the field 'shelf'"
    with pytest.raises(ValidationError, match=problem):
        Jsonl(paths="a.jsonl", metadata={name: "shelf"})
