"""The main text of pages whose text is short, or has invisible joiners inside its words."""

import unicodedata

import pytest

from rexplug.components import Shard
from rexplug.corpus.sources import HtmlFiles

ARTICLE = (
    "市議会は火曜日、川にかかる古い橋を改修することを決めた。工事は来年の春に始まり、およそ二年間続く見通しである。"
    "住民はこれまでの説明会で、交通を別の道に移すよう求めていた。専門家の調査では、橋脚はまだ安全であることが確認された。"
)
DESCRIPTION = "濡れた木の根や砂利の上でもしっかりと足元を支える、軽くて丈夫なトレイルランニングシューズです。"


def text_of(folder, body):
    (folder / "page.html").write_text(
        f"<html><head><meta charset=utf-8><title>x</title></head><body>{body}</body></html>", encoding="utf-8"
    )
    [document] = HtmlFiles(paths=str(folder)).documents(Shard(0, 1))
    return document.text


@pytest.mark.parametrize(
    "text", [ARTICLE, "한국어로 쓴 짧은 글이다. " * 4 + "그리고 끝이다.", "A short text of one paragraph, no more."]
)
def test_a_short_article_is_read_once(tmp_path, text):
    assert text_of(tmp_path, f"<article><p>{text}</p></article>").count(text) == 1


def test_a_short_product_page_is_read_once(tmp_path):
    text = text_of(
        tmp_path,
        f"<main><h1>防水シューズ 山狐3</h1><p>{DESCRIPTION}</p><ul><li>カラー: 深緑</li><li>重量: 290g</li></ul>"
        "<p>14800円</p><p></p><button>カートに入れる</button></main>",
    )
    assert text.count(DESCRIPTION) == 1
    assert text.count("14800円") == 1


def test_decomposed_accents_do_not_change_the_main_text(tmp_path):
    body = (
        f"<main><h1>ガラスのポット</h1><p>{DESCRIPTION * 3}</p><ul><li>カラー: グリーン</li><li>重量: 290g</li></ul>"
        "<p>14800円</p><p></p><button>カートに入れる</button></main>"
    )
    composed = text_of(tmp_path, body)
    assert text_of(tmp_path, unicodedata.normalize("NFD", body)) == composed


def test_lines_that_the_page_repeats_are_kept(tmp_path):
    text = text_of(tmp_path, f"<main><p>{DESCRIPTION}</p><p>お買い得です。</p><p>{DESCRIPTION}</p></main>")
    assert text.count(DESCRIPTION) == 2


@pytest.mark.parametrize("joiner", ["\u200c", "&zwnj;", "&#8204;", "&#x200C;"])
def test_joiners_inside_words_stay(tmp_path, joiner):
    persian = "این کفش برای دویدن در کوه ساخته شده و می‌توان آن را شست. " * 6
    text = text_of(tmp_path, f"<article><p>{persian.replace(chr(0x200C), joiner)}</p></article>")
    assert "می‌توان" in text


def test_joined_emoji_stay(tmp_path):
    assert "👩‍👩‍👧" in text_of(tmp_path, f"<article><p>{ARTICLE * 3} 👩‍👩‍👧 {ARTICLE}</p></article>")
