"""The folded form of a text does not depend on case, accents, width, digits or Unicode normal form."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rexplug.text.fold import fold, fold_with_places, folded_words

TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from(
            "東京ガがｶﾞヴไม้เก้าี่हिन्दी한글éÉßİıłŁøđΣςſﬁ½①ﷺ٣ـَىیک\U000e0100\u3164\u0301\u0345\u200d\u00ad_'-a1 \n"
        ),
    ),
    max_size=30,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CAFÉ Größe", "cafe grosse"),
        ("cafe\u0301", "cafe"),
        ("ＵＳＢ－Ｃ　充電器", "usb-c 充電器"),
        ("ｶﾞｲﾄﾞ", "ガイド"),
        ("ガイドが", "ガイドが"),
        ("السَّلَّة", "السلة"),
        ("إلى ١٢٩", "الي 129"),
        ("कीमत १,२९९", "कीमत 1,299"),
        ("ไม้", "ไม้"),
        ("İSTANBUL", "istanbul"),
        ("Do\u00adnau\u200b", "donau"),
        ("한글", "한글"),
        ("ISPARTA ışık", "isparta isik"),
        ("Wełna Øl Đồng", "welna ol dong"),
        ("葛\U000e0100飾区", "葛飾区"),
        ("ᠠ\u180bᠡ", "ᠠᠡ"),
        ("ㅤ구매", "구매"),
        ("فى المقهى", "في المقهي"),
        ("کتابی", "كتابي"),
    ],
)
def test_folded_form(text, expected):
    assert fold(text) == expected


@given(TEXTS)
def test_the_form_of_the_encoding_does_not_matter(text):
    folded = fold(text)
    assert fold(folded) == folded
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert fold(unicodedata.normalize(form, text)) == folded


@given(TEXTS)
def test_folding_does_not_depend_on_the_surrounding_text(text):
    """Thai marks are reordered, so a text with them is folded in runs of characters; others are folded character by character."""
    assert fold(f"ไม้ {text}") == f"ไม้ {fold(text)}"


@given(TEXTS)
def test_positions_of_folded_characters_in_the_text(text):
    folded, places = fold_with_places(text)
    assert folded == fold(text)
    assert len(places) == len(folded) + 1
    assert places == sorted(places)
    assert places[-1] == len(text)


def test_positions_locate_an_excerpt():
    text = "Ein CAFÉ in der Straße ﬁnden: ｶﾞｲﾄﾞ 東京"
    folded, places = fold_with_places(text)
    for word, original in (("cafe", "CAFÉ"), ("strasse", "Straße"), ("finden", "ﬁnden"), ("ガイド", "ｶﾞｲﾄﾞ")):
        start = folded.index(word)
        assert text[places[start] : places[start + len(word)]] == original


def test_words_of_a_folded_text():
    assert folded_words("Über-Größe: ＣＡＲＴに入れる") == ["uber", "grosse", "cart", "に", "入れる"]
    assert folded_words("Plain Text") == ["plain", "text"]
