"""Evaluators and lexical baselines divide texts of any script into the same words."""

import json

import numpy as np
import pytest

from rexplug import Document
from rexplug.evaluation.annotated_values import whole_word_places
from rexplug.evaluation.geometry import EmbeddingGeometry
from rexplug.evaluation.lexical import LexicalModel, lexical_words
from rexplug.evaluation.long_documents import LongDocuments
from rexplug.evaluation.recovery import MaskedRecovery, choose_words
from rexplug.evaluation.value_recovery import ValueRecovery, mask_values
from rexplug.testing import check_salience_scorer
from rexplug.text.words import split_words, word_spans
from rexplug_ecommerce import AttributeSalience

TEXTS = {
    "Japanese": "軽くて丈夫な木製テーブルを送料無料でお届けしますので、新しい部屋にぜひお使いください",
    "Thai": "โต๊ะไม้โอ๊คแข็งแรงและน้ำหนักเบาจัดส่งฟรีทั่วประเทศ เหมาะกับห้องใหม่ของคุณ",
    "Hindi": "हल्की और मज़बूत लकड़ी की मेज़ मुफ़्त डिलीवरी के साथ नए कमरे के लिए ख़रीदें",
    "Arabic": "طَاوِلَة خشبية خفيفة ومتينة مع شحن مجاني تناسب الغرفة الجديدة في بيتك",
}


@pytest.mark.parametrize("language", TEXTS)
def test_whole_words_are_masked(Oracle, Setting, fine, language):
    text = TEXTS[language]
    documents = [Document("d", text)]
    (item,) = choose_words(documents, 128, 0.3, Setting(None, {}))
    assert set(item.words) <= set(word_spans(text))
    assert len(item.words) == round(0.3 * len(split_words(text)))
    setting = Setting(Oracle(fine, [text]), {"web": documents})
    result = MaskedRecovery(published=False).evaluate(setting)
    assert result.metrics["web.words"].value == 1
    assert all(word["truth"] in split_words(text) for word in result.examples[0]["words"])


@pytest.mark.parametrize("language", TEXTS)
def test_long_documents_count_words(Oracle, Setting, fine, language):
    text = (TEXTS[language] + "\n") * 5
    setting = Setting(Oracle(fine, [text], max_tokens=8192), {"web": [Document("d", text)]})
    options = {"rate": 0.9, "edges": (0, 100, 200), "min_words": 5 * len(split_words(TEXTS[language]))}
    assert LongDocuments(**options).evaluate(setting).metrics["0-100"].value == 1


@pytest.mark.parametrize(
    ("value", "text", "words"),
    [
        ("木製", "丈夫な木製テーブル", ["木製"]),
        ("テーブル", "木製テーブルと白いテーブル", ["テーブル", "テーブル"]),
        ("木", "丈夫な木製テーブル", []),
        ("ไม้", "โต๊ะไม้โอ๊ค", ["ไม้"]),
        ("कल", "कला और कल", ["कल"]),
        ("مجاني", "شحن مجاني ومجاني", ["مجاني"]),
        ("64GB", "容量64GBモデル", ["64GB"]),
        ("4GB", "容量64GBモデル", []),
        ("Men", "Women's and Men ❤️", ["Men"]),
    ],
)
def test_values_begin_and_end_at_word_boundaries(value, text, words):
    places = whole_word_places(value, text)
    assert [text[start:end] for start, end in places] == words
    bounds = word_spans(text)
    assert all(start in {a for a, _ in bounds} and end in {b for _, b in bounds} for start, end in places)


def test_values_in_japanese_sentences_are_masked_whole(tmp_path, fine):
    path = tmp_path / "titles.jsonl"
    row = {"input": "ノルダの丈夫な木製テーブル", "target_scores": {"ブランド": "ノルダ", "素材": "木製"}}
    path.write_text(json.dumps(row))
    texts = ValueRecovery(paths=path).select_texts()
    for item, value in zip(mask_values(texts, fine, 512), ("ノルダ", "木製"), strict=True):
        assert fine.decode(item.masked.truth.tolist()) == value


@pytest.mark.parametrize("language", TEXTS)
def test_halves_of_a_document_consist_of_whole_words(Setting, language):
    seen = []

    class Embeds:
        max_tokens = 512

        def encode(self, texts):
            seen.extend(texts)
            return np.array([[hash(text) % 97, hash(text) % 89, 1] for text in texts], np.float32)

    documents = [Document(str(n), f"{TEXTS[language]} {n}" * 3) for n in range(4)]
    EmbeddingGeometry(words=20).evaluate(Setting(Embeds(), {"web": documents}))
    words = split_words(documents[0].text)[:20]
    assert split_words(seen[0]) + split_words(seen[1]) == words
    assert documents[0].text.startswith(seen[0].rstrip())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A red T-shirt, size 5 café", ["red", "shirt", "size", "café"]),
        ("A red T-shirt, size 5 cafe\u0301 ❤️", ["red", "shirt", "size", "café"]),
        ("ＵＳＢ充電器と傘", ["usb", "充電器", "と", "傘"]),
        ("नीली मेज़", ["नीली", "मेज़"]),
        ("طَاوِلَة", ["طاولة"]),
        ("โต๊ะไม้", ["โต๊ะ", "ไม้"]),
    ],
)
def test_words_of_lexical_baselines(text, words):
    assert lexical_words(text) == words


@pytest.mark.parametrize("kind", ["bm25", "tfidf"])
@pytest.mark.parametrize(
    ("query", "best"),
    [("木製テーブル", "ja"), ("ﾃｰﾌﾞﾙ", "ja"), ("เก้าอี้ไม้", "th"), ("मेज़", "hi"), ("طاولة", "ar"), ("傘", "um")],
)
def test_lexical_baselines_find_words_of_any_script(kind, query, best):
    corpus = {
        "ja": "丈夫な木製テーブルを送料無料で", "um": "軽い傘", "th": "ขายเก้าอี้ไม้ราคาถูก", "hi": "लकड़ी की मेज़", "hx": "मज़ा और माज़ी",
        "ar": "طَاوِلَة خشبية", "en": "a red kettle",
    }  # fmt: skip
    ranking = LexicalModel(kind).rank(corpus, {"q": query, "none": "無線"}, 3)
    assert next(iter(ranking["q"])) == best
    assert ranking["q"][best] > 0
    assert set(ranking["none"].values()) == {0.0}
    assert LexicalModel(kind).compare([query, query], [corpus[best], corpus["en"]]).tolist()[1] == 0


def test_the_contract_of_scorers_holds_for_words_of_any_script():
    scorer = AttributeSalience(terms={"material": ("木製",), "colour": ("काला",)})
    check_salience_scorer(scorer, "丈夫な木製テーブル", salient=["木製"])
    check_salience_scorer(scorer, "काला कुल है", salient=["काला"])
