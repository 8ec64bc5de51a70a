"""Words of any script, on which all functions agree."""

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rexplug.text.words import (
    count_words,
    lower_words,
    split_words,
    split_words_and_marks,
    word_bounds,
    word_spans,
    word_starts,
)

TEXT = "Don't  e-mail: 12.5 ml_x, Größe ÅNGSTRÖM 東京 İstanbul ﬁne e\u0301 🙂\n\u2028½ ²"
SCRIPTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("送料無料のカート𠀀ไม้โอ๊คเก้าี่ការដឹកပို့हिन्दी\u0301\u200d\u00ad\ufe0f❤🙂がハンカク한글العَرَب _'-a1\n "),
    ),
    max_size=40,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "送料無料の木製テーブル。カートに入れる",
            ["送料", "無料", "の", "木製", "テーブル", "カート", "に", "入れる"],
        ),
        ("USB充電器2個", ["USB", "充電器", "2", "個"]),
        ("支持主动降噪，现货", ["支持", "主动", "降", "噪", "现货"]),
        ("ราคาโต๊ะไม้โอ๊ค 1290 บาท", ["ราคา", "โต๊ะ", "ไม้", "โอ๊ค", "1290", "บาท"]),
        ("ការដឹកជញ្ជូនឥតគិតថ្លៃ", ["ការ", "ដឹកជញ្ជូន", "ឥតគិតថ្លៃ"]),
        ("हिन्दी में उत्पाद", ["हिन्दी", "में", "उत्पाद"]),
        ("أضف إلى السَّلَّة", ["أضف", "إلى", "السَّلَّة"]),
        ("می‌خواهم", ["می‌خواهم"]),
        ("무선 이어폰", ["무선", "이어폰"]),
        ("Do\u00adnau cafe\u0301", ["Do\u00adnau", "cafe\u0301"]),
        ("❤️ 👨‍👩‍👧 ok", ["ok"]),
    ],
)
def test_words_of_many_scripts(text, expected):
    assert split_words(text) == expected


@given(SCRIPTS)
@example(TEXT)
@example("\ud800 a\ud801")
@example("A_B-9\x1c\x85c")
@example("𠀀:0:က")
def test_all_functions_agree_on_words(text):
    words = split_words(text)
    assert lower_words(text) == split_words(text.lower())
    assert [text[start:end] for start, end in word_spans(text)] == words
    starts, ends = word_bounds(text)
    assert [text[a:b] for a, b in zip(starts, ends, strict=True)] == words
    characters = np.array([[place, place + 1] for place in range(len(text))]).reshape(-1, 2)
    begins = word_starts(text, characters)
    assert begins[starts].all()
    assert not any(begins[start + 1 : end].any() for start, end in zip(starts, ends, strict=True))


@given(
    st.text(st.characters(max_codepoint=0x2FF, exclude_characters="\u00ad\u0130"), max_size=60)
)  # lower-cased U+0130 has a combining mark
@example("Don't  e-mail: 12.5 ml_x, Größe ÅNGSTRÖM ½ ²")
def test_words_of_latin_text_are_runs_of_letters_digits_and_underscores(text):
    assert split_words(text) == re.findall(r"\w+", text)
    assert lower_words(text) == re.findall(r"\w+", text.lower())
    assert split_words_and_marks(text) == re.findall(r"\w+(?:['’\-]\w+)*|[^\w\s]", text)


@given(SCRIPTS)
def test_words_and_marks_cover_all_but_white_space(text):
    assert "".join(split_words_and_marks(text)) == "".join(text.split())


@given(st.text(st.sampled_from("aéñ ÀÖşč가힣йё ‘x’-"), max_size=30))
def test_decomposed_accents_do_not_divide_words(text):
    decomposed = unicodedata.normalize("NFD", text)
    assert [unicodedata.normalize("NFC", word) for word in split_words(decomposed)] == split_words(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't e-mail: 5 %!", ["Don't", "e-mail", ":", "5", "%", "!"]),
        ("it’s 'quoted' - well", ["it’s", "'", "quoted", "'", "-", "well"]),
        ("a--b", ["a", "-", "-", "b"]),
        ("カート（2個）。", ["カート", "（", "2", "個", "）", "。"]),
        ("कीमत: ₹1,299", ["कीमत", ":", "₹", "1", ",", "299"]),
        ("", []),
    ],
)
def test_filters_join_words_at_inner_apostrophes_and_hyphens_and_count_marks(text, expected):
    assert split_words_and_marks(text) == expected


@given(SCRIPTS)
@example("")
@example("送料無料 カート")
@example("\u0301a")
def test_word_count_equals_the_number_of_split_words(text):
    for each in (text, text * 40, f"oak chair {text}" * 60):
        assert count_words(each) == len(split_words(each))
