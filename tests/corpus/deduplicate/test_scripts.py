"""Copies in any script and Unicode form are duplicates; marks that distinguish words are kept."""

import unicodedata

import numpy as np
import pytest
from product_scripts import SETTINGS, TITLES, cases, found, full_width, half_width

from rexplug import Document
from rexplug.corpus.deduplicate.key_files import KeyFile
from rexplug.corpus.deduplicate.keys import TEXT, KeyWriter, num_columns
from rexplug.corpus.deduplicate.minhash import shingles
from rexplug.corpus.deduplicate.normalize import numbers_in, simplified
from rexplug.corpus.provenance import _similarity
from rexplug.recipe.schema import Curation

RECALL = {("titles", "German"): 0.85, ("titles", "Arabic"): 0.85}
"""Titles of fewer than five words have no shingles in scripts with spaces, so copies with other marks are not found."""


@pytest.mark.parametrize("kind", ["titles", "texts"])
@pytest.mark.parametrize("language", TITLES)
def test_precision_and_recall_on_products(tmp_path, kind, language):
    precision, recall, notes = found(cases(kind, language), tmp_path, SETTINGS["for products"])
    assert precision == 1, notes
    assert recall >= RECALL.get((kind, language), 1), notes


def digests(texts, folder):
    with KeyWriter(folder / "texts.keys", curation := Curation(deduplicate="exact"), 0, 1) as writer:
        for number, text in enumerate(texts):
            writer.add(Document(str(number), text))
    file = KeyFile(folder / "texts.keys", num_columns(curation))
    keys = np.sort(file.read(TEXT, 0, len(texts)), order="place")
    return [(int(key["high"]), int(key["low"])) for key in keys]


@pytest.mark.parametrize(
    "text",
    [
        "Ein Café für 5 Größen",
        "ガーデンテーブル 幅90cm ガラス",
        "طاولة حديقة ١٢٠ سم",
        "मेज़ की क़ीमत 1,299 रुपये",
        "เก้าอี้ไม้ไผ่ 2 ตัว",
    ],
)
def test_texts_that_differ_only_in_form_are_equal(tmp_path, text):
    forms = [
        text, unicodedata.normalize("NFD", text), unicodedata.normalize("NFKD", text), full_width(text), text.upper(),
        text.replace(" ", "\u3000 "), half_width(text), text.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")),
    ]  # fmt: skip
    assert len(set(digests(forms, tmp_path))) == 1
    assert _similarity(text, forms[1] + "!") == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("ガラス", "カラス"), ("パン", "バン"), ("कल", "कुल"), ("मन", "मान"), ("ไม้", "ไม่"), ("แก้ว", "แกว")],
)
def test_marks_that_distinguish_words_are_kept(tmp_path, one, other):
    assert len(set(digests([one, other], tmp_path))) == 2
    assert simplified(one) != simplified(other)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert simplified(unicodedata.normalize(form, one)) == simplified(one)


def test_all_letters_of_latin_greek_and_cyrillic_are_simplified_as_datatrove_does():
    from datatrove.utils.text import simplify_text

    for code in (*range(0x530), *range(0x1D00, 0x2C00), *range(0xA640, 0xA6A0), *range(0xA720, 0xA800)):
        text = f"a{chr(code)}b {chr(code)}"
        assert simplified(text) == simplify_text(text), hex(code)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("価格1,299円（税込）64GBモデル", "価格 0 税込 64 gbモデル"),
        ("ﾃﾞｼﾞｶﾒ　￥５,０００", "デジカメ 0"),
        ("السعر ١٬٢٩٩ ريال، السعة ٦٤ جيجا", "السعر 0 السعة 64 جيجا"),
        ("कीमत ₹१,२९९ वज़न २.५ किलो", "कीमत 0 वज़न 2.5 किलो"),
        ("ราคา 1,290 บาท กว้าง 90 ซม.", "ราคา 0 กว้าง 90 ซม"),
        ("Cena 1 299,00 zł, 5㎏", "cena 1 0 5 kg"),
        ("می‌خواهم", "میخواهم"),
    ],
)
def test_kept_numbers_and_prices_in_other_scripts(text, plain):
    assert simplified(text, "keep") == unicodedata.normalize("NFC", plain)


def test_numbers_inside_words_of_scripts_without_spaces():
    assert numbers_in("第3世代 容量64 gb 2個入り") == {"3", "64", "2"}


def test_short_texts_without_spaces_are_compared_by_letters():
    assert len(shingles("ガラステーブル", 5)) == 4
    assert set(shingles("ガラステーブル", 5)) == set(shingles("ガラス テーブル", 5))
    assert len(shingles("傘", 5)) == 0
    assert len(shingles("नीली छतरी", 5)) == 0
