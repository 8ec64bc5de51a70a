import gzip
import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rexplug import DataError, TokenizedDocument
from rexplug_ecommerce import AttributeSalience

DATA = Path(os.environ.get("REXPLUG_DATA", Path(__file__).parents[3] / "../shared/data"))


def found(text, **options):
    return [(text[s.start : s.end], s.attribute) for s in AttributeSalience(**options).spans(text)]


def tokenized(text, offsets):
    count = len(offsets)
    return TokenizedDocument(
        "1", text, np.zeros(count, np.uint32), np.array(offsets, np.uint32).reshape(-1, 2), np.ones(count, bool)
    )


def test_every_attribute_is_found():
    assert found("Norvale Drift NRD-404 trail running shoe, navy, mesh, XL, weight 230 g") == [
        ("Norvale", "brand"),
        ("NRD-404", "model_number"),
        ("trail running shoe", "category"),
        ("navy", "colour"),
        ("mesh", "material"),
        ("XL", "size"),
        ("230 g", "measure"),
    ]


def test_labels_and_terms():
    assert found("Brand: Foo Bar\nSize: 42") == [("Foo Bar", "brand"), ("42", "size")]
    assert found("an Acme and an acme", terms={"brand": ("Acme",)}) == [("Acme", "brand")]
    assert found("red shoes 500 ml", attributes=("measure",)) == [("500 ml", "measure")]
    assert found("the committee argued for hours") == []


def test_tokens_of_a_value_score_alike_and_neighbours_differ():
    text = "buy navy mesh 500 ml"
    #                     buy     _navy   _me      sh        _500      _ml
    scores = AttributeSalience().score(tokenized(text, [(0, 3), (3, 8), (8, 11), (11, 13), (13, 17), (17, 20)]))
    assert scores.tolist() == [0, 255, 254, 254, 255, 255]
    assert scores.dtype == np.uint8
    assert AttributeSalience().score(tokenized("", [])).shape == (0,)


def test_taxonomy_adds_categories(tmp_path):
    path = tmp_path / "taxonomy.txt.gz"
    path.write_bytes(gzip.compress(b"# comment\nid/1 : Home > Widgets & Gizmos\n"))
    assert found("two gizmos", taxonomies=(path,)) == [("gizmos", "category")]
    with pytest.raises(DataError, match=r"the taxonomy: cannot read .*none\.txt"):
        found("x", taxonomies=(tmp_path / "none.txt",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("weighs 3.5 oz.", ["3.5 oz"]),
        ("16.9 Fl Oz, 12-pack of 8 x 11 inches", ["16.9 Fl Oz", "12-pack", "8 x 11 inches"]),
        ("SPF 50+ and pack of 6; 10pcs/lot", ["50+", "6", "10pcs/lot"]),
        ('27" screen at 60 Hz, 5 G network, 2 men', ['27"', "60 Hz", "5 G"]),
        ("on 3 May 2024 at 10:30, page 12 of 90", []),
        ("version 2.0m", ["2.0m"]),
    ],
)
def test_measures(text, expected):
    assert [value for value, attribute in found(text) if attribute == "measure"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shoe, 10.5 M US", ["10.5 M US"]),
        ("boot 9 Wide, 40/41EU, 3XL, 2T", ["9 Wide", "40/41EU", "3XL", "2T"]),
        ("Size: XL; onesie 12-18 Months", ["XL", "12-18 Months"]),
        ("take 10 men", []),
    ],
)
def test_sizes(text, expected):
    assert [value for value, attribute in found(text) if attribute == "size"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HP 64XL and WQ373, YE-99", ["64XL", "WQ373", "YE-99"]),
        ("Model: 7508, SKU # AB-12", ["7508", "AB-12"]),
        ("the 3rd, 2-in-1, x10, UV400, 4K, user@a1b2.example", []),
        ("\u0663 digits of other scripts \u0667", []),
    ],
)
def test_model_numbers(text, expected):
    assert [value for value, attribute in found(text) if attribute == "model_number"] == expected


def test_terms_are_whole_words_in_any_case_and_colours_join():
    assert found("Black/White, redder and RED") == [("Black/White", "colour"), ("RED", "colour")]
    assert found("T-Shirt, t shirts") == [("T-Shirt", "category"), ("t shirts", "category")]
    assert found("Größe: Navy-Blue, İstanbul navy") == [("Navy-Blue", "colour"), ("navy", "colour")]


@pytest.mark.parametrize(
    ("title", "brand"),
    [
        ("Stacy Adams Men's Dayton Leather Boots, Black, 12 D", "Stacy Adams"),
        ("MEREKING Metal Shad 50mm 10pcs", "MEREKING"),
        ("FISH KING Spinner 12cm 22G", "FISH KING"),
        ("Timberland Radler Trail Camper Leather 15 M US", "Timberland"),
        ("Bottle Cleaning Brushes, 8 Inch Nylon", None),
        ("New York sold 5 kg of red paint", None),
        ("The Leather Boots 12 cm", None),
        ("a Norton wrench, 5 cm, steel", None),
        ("Norton met the minister in May", None),
    ],
)
def test_titles_begin_with_their_brand(title, brand):
    brands = [value for value, attribute in found(title + "\nand more") if attribute == "brand"]
    assert brands == ([brand] if brand else [])
    assert not [item for item in found(title, title_brands=False) if item[1] == "brand"]


def test_explanations_name_the_attribute():
    text = "buy navy mesh 500 ml"
    assert AttributeSalience().explain(tokenized(text, [(0, 3)])) == [
        (4, 8, "colour"), (9, 13, "material"), (14, 20, "measure"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "text", "expected"),
    [
        (
            "google.csv",
            'id,full_name\n1,Home\n2,"Home, Garden > Zorbs, Quilps & Accessories"\n',
            "zorb, zorbs",
            ["zorbs"],
        ),
        ("google.txt", "# Google_Product_Taxonomy\n7 - Home > Quilps\n", "a quilps", ["quilps"]),
        ("shopify.txt", "gid://shopify/TaxonomyCategory/ap-1   : Home > Other > Quilp Stands\n", "one quilp stand", []),
        ("plain.txt", "Quilp stand\nZorb\n", "Quilp Stands, zorb", ["Quilp Stands", "zorb"]),
    ],
)
def test_taxonomy_formats(tmp_path, name, content, text, expected):
    (tmp_path / name).write_text(content)
    assert [value for value, _ in found(text, taxonomies=(tmp_path / name,))] == expected


def test_attribute_values_come_from_files(tmp_path):
    shopify = tmp_path / "values.txt"
    shopify.write_text(
        "# Shopify\ngid://shopify/TaxonomyValue/1 : Zaffre [Color]\ngid://shopify/TaxonomyValue/2 : Lyocell/Tencel [Fabric]\n"
        "gid://shopify/TaxonomyValue/3 : Anti-slip [Features]\n"
    )
    table = tmp_path / "values.csv"
    table.write_text("brand,Foo & Bar\ncolour,smaragd\nnothing,known\n")
    options = {"values": (shopify, table)}
    assert found("zaffre tencel anti-slip smaragd by Foo & Bar", **options) == [
        ("zaffre", "colour"), ("tencel", "material"), ("smaragd", "colour"), ("Foo & Bar", "brand"),
    ]  # fmt: skip
    (tmp_path / "none.txt").write_text("nothing here\n")
    with pytest.raises(DataError) as refused:
        found("x", values=(tmp_path / "none.txt",))
    assert str(refused.value) == (
        f"ecommerce.attributes: {tmp_path / 'none.txt'} holds no attribute values; write lines like 'Teal [Color]', or "
        "'colour,teal' with one of brand, colour, size, material, measure, model_number, category"
    )
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(DataError, match=r"the taxonomy .*empty\.txt names no category"):
        found("x", taxonomies=(tmp_path / "empty.txt",))


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("aB9 5.,/-x'\"éİß²٣🙂\n") | st.characters(exclude_categories=["Cs"]), max_size=60))
def test_spans_are_in_order_disjoint_and_within_any_text(text):
    end = 0
    for span in AttributeSalience().spans(text + " navy 5 cm"):
        assert end <= span.start < span.end <= len(text) + 10
        end = span.end


@pytest.mark.skipif(not (DATA / "taxonomies").is_dir(), reason=f"no {DATA / 'taxonomies'} (set REXPLUG_DATA)")
def test_the_public_taxonomies_are_read():
    folder = DATA / "taxonomies"
    scorer = AttributeSalience(
        taxonomies=(folder / "google_taxonomy_2021-09-21.csv.gz", folder / "shopify_categories.txt.gz"),
        values=(folder / "shopify_attribute_values.txt.gz",),
    )
    spans = [("Sunflowers", "category"), ("Corsages", "category")]
    text = "Sunflowers for corsages and Boutonnières"
    assert [(text[s.start : s.end].capitalize(), s.attribute) for s in scorer.spans(text)][:2] == spans


@pytest.mark.skipif(
    not (DATA / "attribute-extraction").is_dir(), reason=f"no {DATA / 'attribute-extraction'} (set REXPLUG_DATA)"
)
def test_precision_on_real_titles():
    path = Path(__file__).parents[2] / "benchmarks/measure_attributes.py"
    spec = importlib.util.spec_from_file_location("measure_attributes", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = DATA / "attribute-extraction"
    right, _, total = module.measure(AttributeSalience(), folder / "ae-110k__test.jsonl.zst")["same attribute"][
        "overall"
    ]
    assert total > 300
    assert right / total > 0.8
    right, _, total = module.measure(AttributeSalience(), folder / "oa-mine__train.jsonl.zst")["any attribute"][
        "overall"
    ]
    assert total > 4000
    assert right / total > 0.9


@pytest.mark.parametrize(
    ("text", "terms", "expected"),
    [
        (
            "黒檀風の黒い木製テーブル、容量64GBのタブレット付き",
            {"colour": ("黒い",), "material": ("木",), "category": ("テーブル",)},
            [("黒い", "colour"), ("テーブル", "category"), ("64GB", "measure")],
        ),
        ("ノルダ製の靴", {"brand": ("ノルダ",)}, [("ノルダ", "brand")]),
        ("โต๊ะไม้โอ๊คสีดำ", {"material": ("ไม้",), "category": ("โต๊ะ",)}, [("โต๊ะ", "category"), ("ไม้", "material")]),
        ("काला कुल काली मेज़", {"colour": ("काला", "कल"), "category": ("मेज़",)}, [("काला", "colour"), ("मेज़", "category")]),
        (
            "طاولة سوداء وسوداء",
            {"colour": ("سوداء",), "category": ("طاولة",)},
            [("طاولة", "category"), ("سوداء", "colour")],
        ),
    ],
)
def test_terms_are_whole_words_of_any_script(text, terms, expected):
    assert found(text, terms=terms) == expected


def test_a_combining_mark_belongs_to_the_value():
    text = "रंग काला मेज़"
    letters = [(n, n + 1) for n in range(len(text))]
    scores = AttributeSalience(terms={"colour": ("काला",)}).score(tokenized(text, letters))
    assert [bool(score) for score in scores] == [text.index("काला") <= n < text.index(" मेज़") for n in range(len(text))]
