"""Training documents with texts of evaluators are found and listed, and no others."""

import json
import unicodedata
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rexplug import Document, Evaluator
from rexplug.corpus.compared import why_not_compared
from rexplug.corpus.decontaminate import (
    Decontaminate,
    HitCounts,
    build_index,
    is_current,
    list_hits,
)
from rexplug.corpus.ngram_index import Index, Thresholds, ngram_hashes, word_hashes
from rexplug.corpus.shard_jobs import DROP_COLUMNS
from rexplug.document_files import DocumentWriter
from rexplug.errors import DataError
from rexplug.recipe.schema import Decontamination
from rexplug.text.fold import fold

LONG = "the quick brown fox jumps over the lazy dog while seven wizards box with twelve liquor jugs at dawn"
SHORT = "a red steel kettle with a whistle for gas"


class Asks(Evaluator):
    """An evaluator with test texts of three lengths."""

    name: ClassVar[str] = "toy.asks"

    def evaluate(self, context):
        raise AssertionError("decontamination reads the test texts and never evaluates")

    def test_texts(self):
        return {"long": LONG, "short": SHORT, "tiny": "red kettle"}


class Silent(Evaluator):
    """An evaluator without test texts."""

    name: ClassVar[str] = "toy.silent"

    def evaluate(self, context):
        raise AssertionError("decontamination reads the test texts and never evaluates")


@pytest.fixture
def index(tmp_path):
    return build_index({Asks.name: Asks()}, Decontamination(), tmp_path / "index")


def test_copies_are_dropped_whatever_their_case_and_punctuation(index):
    judge = Decontaminate(index=index).judge
    assert judge(Document("1", f"Before. {LONG.upper()}, after")).reason == "text of toy.asks"
    assert judge(Document("2", "We sell " + SHORT.replace(" ", ", ") + " stoves")).reason == "text of toy.asks"
    assert judge(Document("3", "red kettle")).keep
    assert judge(Document("4", " ".join(LONG.split()[:12]))).keep, "twelve words are less than thirteen"
    assert judge(Document("5", " ".join(reversed(LONG.split())))).keep
    assert judge(Document("6", "")).keep


def test_ngrams_do_not_run_over_the_border_of_two_documents(index):
    words = LONG.split()
    first, second = " ".join(words[:9]), " ".join(words[9:])
    assert [v.keep for v in Decontaminate(index=index).judge_batch([Document("1", first), Document("2", second)])] == [
        True,
        True,
    ]


def test_hits_name_the_text_the_length_and_the_place(index):
    [[match]] = Index(index).matches(["So: " + LONG + " and so on"], Thresholds())
    assert (match.evaluator, match.text) == ("toy.asks", "long")
    assert match.num_hits == len(LONG.split()) - 12
    assert match.excerpt == " ".join(LONG.split()[:13])
    assert 0 < match.share <= 1
    assert Index(index).matches([LONG], Thresholds(hits=99)) == [[]]


def test_which_evaluators_are_compared():
    both = [Asks(), Silent()]
    assert why_not_compared(both, "evaluators") == {"toy.silent": "it names no texts"}
    assert why_not_compared(both, "none") == dict.fromkeys(["toy.asks", "toy.silent"], "curation.decontaminate is none")
    assert why_not_compared(both, ("toy.silent",)) == {
        "toy.asks": "curation.decontaminate does not name it", "toy.silent": "it names no texts",
    }  # fmt: skip


PRODUCT = " ".join(f"feature{n}" for n in range(60))
BOILERPLATE = " ".join(f"returns{n}" for n in range(20))


class Products(Evaluator):
    """Products with a sentence in common that their seller writes everywhere."""

    name: ClassVar[str] = "toy.products"

    def evaluate(self, context):
        raise AssertionError("decontamination reads the test texts and never evaluates")

    def test_texts(self):
        return {"title": PRODUCT[: PRODUCT.index(" feature14")], "page": f"{PRODUCT} {BOILERPLATE}", "short": SHORT}


def filter_of(folder, **options):
    options = Decontamination(**options)
    return Decontaminate(index=build_index({Products.name: Products()}, options, folder / "products"), options=options)


def padded(text, count=400):
    return f"{' '.join(f'before{n}' for n in range(count))} {text} {' '.join(f'after{n}' for n in range(count))}"


def test_a_least_share_keeps_pages_with_a_common_sentence_and_drops_long_pages_around_a_text(tmp_path):
    sentence = padded(BOILERPLATE, 100)
    assert filter_of(tmp_path / "a").judge(Document("1", sentence)).reason == "text of toy.products"
    judge = filter_of(tmp_path / "b", share=0.2).judge
    assert judge(Document("1", sentence)).keep, "8 of 208 n-grams of the document, 8 of 68 of the text"
    assert judge(Document("2", f"{BOILERPLATE} {' '.join(LONG.split()[:6])}")).reason == "text of toy.products"
    assert judge(Document("3", padded(PRODUCT))).reason == "text of toy.products"
    assert judge(Document("4", padded(SHORT))).reason == "text of toy.products", "a whole text has a share of 1"
    assert judge(Document("5", padded(PRODUCT[: PRODUCT.index(" feature14")]))).reason == "text of toy.products"


def test_a_match_names_the_text_that_is_copied_most_even_if_others_hold_the_same_words(tmp_path):
    title = PRODUCT[: PRODUCT.index(" feature14")]
    [[match]] = filter_of(tmp_path).matches([padded(title)])
    assert (match.text, match.num_hits, match.text_share, match.edited) == ("title", 2, 1.0, False)
    [[match]] = filter_of(tmp_path / "b").matches([PRODUCT])
    assert (match.text, match.num_hits, match.share, match.text_share) == ("page", 48, 1.0, round(48 / 68, 4))


def edited(text, every, edit):
    words = text.split()
    return " ".join(
        new for n, word in enumerate(words) for new in (edit(word, n) if n % every == every - 1 else [word])
    )


EDITS = {
    "inserted": lambda word, n: [word, f"new{n}"],
    "replaced": lambda word, n: [f"new{n}"],
    "removed": lambda word, n: [],
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_edited_copies_are_dropped_by_the_second_pass(tmp_path, edit):
    copies = [Document("alone", edited(PRODUCT, 8, edit)), Document("in a page", padded(edited(PRODUCT, 8, edit)))]
    assert all(verdict.keep for verdict in filter_of(tmp_path / "a").judge_batch(copies))
    fuzzy = filter_of(tmp_path / "b", fuzzy={"share": 0.35})
    assert {verdict.reason for verdict in fuzzy.judge_batch(copies)} == {"edited text of toy.products"}
    [[match]] = fuzzy.matches([copies[1].text])
    assert (match.evaluator, match.text, match.edited) == ("toy.products", "page", True)
    assert match.excerpt.startswith("feature0 feature1 ")
    assert match.excerpt.endswith(" feature58") or match.excerpt.endswith("feature59") or "feature57" in match.excerpt


def test_the_second_pass_keeps_what_only_resembles_a_text(tmp_path):
    fuzzy = filter_of(tmp_path, fuzzy={})
    words = PRODUCT.split()
    scattered = " ".join(" ".join([*words[n : n + 4], *(f"x{n}y{m}" for m in range(40))]) for n in range(0, 60, 2))
    texts = {
        "its n-grams all over a long page": scattered,
        "a third of it": padded(" ".join(words[:12])),
        "its words in another order": " ".join(words[::-1]),
        "fewer words than are compared": edited(" ".join(words[:16]), 8, EDITS["inserted"]),
    }
    for name, text in texts.items():
        assert fuzzy.judge(Document("1", text)).keep, name
    assert not fuzzy.judge(Document("2", PRODUCT + " " + scattered)).keep


def test_a_part_of_a_long_text_is_an_edited_copy_too(tmp_path):
    part = edited(" ".join(PRODUCT.split()[:32]), 8, EDITS["inserted"])
    assert filter_of(tmp_path, fuzzy={}).judge(Document("1", part)).reason == "edited text of toy.products"


def test_an_index_of_another_version_is_not_used(tmp_path):
    folder = filter_of(tmp_path).index
    assert is_current(folder)
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps({**about, "version": 1}))
    assert not is_current(folder)
    assert not is_current(tmp_path / "none")
    with pytest.raises(DataError, match="products is of another version of rexplug; run the curation again"):
        Index(folder)


SCRIPTS = {
    "German": "Der große Küchenkessel aus gebürstetem Edelstahl hält den Tee für fünf Stunden heiß und pfeift höflich",
    "Japanese": "軽くて丈夫なチタン製のガスバーナーは、カバンに入れて持ち運べるので一人のキャンプにも便利です",
    "Thai": "หม้อหุงข้าวไฟฟ้าขนาดเล็กทำจากเหล็กกล้าไร้สนิม ใช้ง่าย ทำความสะอาดสะดวก เหมาะกับครอบครัวที่มีสมาชิกสองคน",
    "Arabic": "إبريق كبير من الفولاذ المقاوم للصدأ يحفظ الشاي ساخنًا خمس ساعات ويناسب المطبخ الصغير والرحلات الطويلة",
    "Hindi": "स्टेनलेस स्टील की बड़ी केतली जो चाय को पाँच घंटे तक गर्म रखती है और छोटी रसोई में भी आसानी से रखी जा सकती है",
    "Greek": "Μεγάλος βραστήρας από ανοξείδωτο ατσάλι που κρατά το τσάι ζεστό πέντε ώρες και σφυρίζει όταν βράσει",
    "Chinese": "轻便耐用的钛合金炉头可以放进背包里带着走，一个人露营时用它烧水做饭都很方便",
}
SHORT_SCRIPTS = {
    "Japanese": "折りたたみ式の木製ガーデンテーブル 幅90cm",
    "Thai": "เก้าอี้พับไม้ไผ่สำหรับสวนสีน้ำตาลเข้มรุ่นใหม่",
    "Chinese": "可折叠竹制花园椅子深棕色新款两把",
}
AROUND = {
    "German": ("Jetzt neu: ", ". Nur solange der Vorrat reicht."),
    "Japanese": ("当店の新商品は", "と思いますので、ぜひお試しください"),
    "Thai": ("สินค้าใหม่ของร้านเราคือ", "และจัดส่งฟรีทั่วประเทศ"),
    "Arabic": ("جديد في متجرنا: ", " والتوصيل مجاني"),
    "Hindi": ("हमारी दुकान में नया: ", " और डिलीवरी मुफ़्त है"),
    "Greek": ("Νέο: ", ". Δωρεάν αποστολή."),
    "Chinese": ("本店新品", "全国包邮欢迎选购"),
}


def without_accents(text):
    kept = unicodedata.normalize("NFD", text).translate(dict.fromkeys([*range(0x300, 0x370), *range(0x64B, 0x660)]))
    return unicodedata.normalize("NFC", kept)


def full_width(text):
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


COPIES = {
    "as it is": str,
    "NFC": lambda text: unicodedata.normalize("NFC", text),
    "NFD": lambda text: unicodedata.normalize("NFD", text),
    "NFKD": lambda text: unicodedata.normalize("NFKD", text),
    "without accents": without_accents,
    "in capitals": str.upper,
    "full-width": full_width,
    "soft hyphens": lambda text: "\u00ad".join(text[n : n + 7] for n in range(0, len(text), 7)),
}


class Translated(Evaluator):
    """Texts in several languages."""

    name: ClassVar[str] = "toy.translated"

    def evaluate(self, context):
        raise AssertionError("decontamination reads the test texts and never evaluates")

    def test_texts(self):
        return {**SCRIPTS, **{f"short {name}": text for name, text in SHORT_SCRIPTS.items()}}


@pytest.fixture(scope="module")
def translated(tmp_path_factory):
    return Decontaminate(
        index=build_index({Translated.name: Translated()}, Decontamination(), tmp_path_factory.mktemp("any") / "index")
    )


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("language", SCRIPTS)
def test_copies_are_found_in_any_script_and_form(translated, language, copy):
    text = copy(SCRIPTS[language])
    before, after = AROUND[language]
    [[match], [alone]] = translated.matches([before + text + after, text])
    assert (match.evaluator, match.text) == (alone.evaluator, alone.text) == ("toy.translated", language)
    assert match.excerpt in text
    assert fold(match.excerpt) in fold(SCRIPTS[language])


WRITTEN_OTHERWISE = {
    "Turkish in capitals": (
        "Kışlık kaşmir hırka, ısı yalıtımlı astarı ve açık sarı kırpılmış yakasıyla hafif ve sıcak tutar",
        "KIŞLIK KAŞMİR HIRKA, ISI YALITIMLI ASTARI VE AÇIK SARI KIRPILMIŞ YAKASIYLA HAFİF VE SICAK TUTAR",
    ),
    "Polish without strokes": (
        "Ciepła wełniana czapka z łatwym do prania podszyciem, miękka i stała w kształcie, na chłodne dni",
        "Ciepla welniana czapka z latwym do prania podszyciem, miekka i stala w ksztalcie, na chlodne dni",
    ),
    "Vietnamese without marks": (
        "Đôi giày đi bộ được làm bằng da đà điểu, đế êm và nhẹ, đủ màu đen và đỏ cho cả gia đình",
        "Doi giay di bo duoc lam bang da da dieu, de em va nhe, du mau den va do cho ca gia dinh",
    ),
    "Arabic as in Egypt": (
        "حقيبة ظهر في اللون البني من علي بابا، تكفي لابتوب كبير وتصلح للسفر في الصيف والشتاء على حد سواء",
        "حقيبة ظهر فى اللون البنى من على بابا، تكفى لابتوب كبير وتصلح للسفر فى الصيف والشتاء على حد سواء",
    ),
    "Persian on an Arabic keyboard": (
        "کیف چرمی سبک با جیب‌های کوچک و بزرگ که برای کتاب و لپ‌تاپ ساخته شده و می‌توان آن را شست",
        "كيف چرمي سبك با جيبهاي كوچك و بزرگ كه براي كتاب و لپتاپ ساخته شده و ميتوان آن را شست",
    ),
    "Japanese with selected variants": (
        "葛飾区の職人が手作りした軽くて丈夫な革の財布は、邊さんの店でも買えるので贈り物にも便利です",
        "葛\U000e0100飾区の職人が手作りした軽くて丈夫な革の財布は、邊\U000e0101さんの店でも買えるので贈り物にも便利です",
    ),
}


@pytest.mark.parametrize(("text", "copy"), WRITTEN_OTHERWISE.values(), ids=WRITTEN_OTHERWISE)
def test_a_copy_as_others_write_the_language_is_found(tmp_path, text, copy):
    class One(Asks):
        def test_texts(self):
            return {"text": text}

    [[match], [other]] = Decontaminate(
        index=build_index({One.name: One()}, Decontamination(), tmp_path / "index")
    ).matches([copy, f"New! {copy} Yes."])
    assert match.text == other.text == "text"
    assert match.excerpt in copy


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("language", SHORT_SCRIPTS)
def test_short_texts_without_spaces_are_found_in_any_context(translated, language, copy):
    text = copy(SHORT_SCRIPTS[language])
    for before in ("", *AROUND[language], "New: "):
        for after in ("", AROUND[language][1], " 2026"):
            [[match]] = translated.matches([before + text + after])
            assert (match.text, match.excerpt) == (f"short {language}", text)


@pytest.mark.parametrize(
    "text",
    [
        "折りたたみ式の木製ガーデンチェア 幅90cm",
        "折りたたみ式の木製ガーデンテーブル 幅900cm",
        "折りたたみ式の木製ガーデンテーブル 幅90cmx60",
        "折りたたみ式の木製カーデンテーフル 幅90cm",
        "เก้าอี้พับไม้ไผ่สำหรับสวนสีน้ำตาลเข้มรุ่นเก่า",
        "可折叠竹制花园",
        "इस केतली में चाय गर्म रहती है और यह छोटी रसोई में आसानी से रखी जा सकती है, पर बड़ी नहीं है",
        "Der grosse Kuchenkessel aus Kupfer",
    ],
)
def test_other_texts_of_these_scripts_are_kept(translated, text):
    assert translated.judge(Document("1", text)).keep


def test_texts_of_few_words_are_counted_in_any_script(tmp_path):
    class Few(Asks):
        def test_texts(self):
            return {"title": "ワイヤレスイヤホンケース", "query": "ไม้โอ๊ค", **SHORT_SCRIPTS}

    folder = build_index({Few.name: Few()}, Decontamination(), tmp_path / "index")
    counts = json.loads((folder / "about.json").read_text())["evaluators"]["toy.asks"]
    assert counts["texts"] == 5
    assert counts["too_short"] == 2
    assert Decontaminate(index=folder).judge(Document("1", "人気のワイヤレスイヤホンケースです")).keep


def test_shortest_and_words_of_the_second_pass_go_together():
    with pytest.raises(ValidationError, match=r"words \(30\) is more than shortest \(20\)"):
        Decontamination(fuzzy={"words": 30})


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from("abcdef"), max_size=60), st.integers(3, 13))
def test_windows_are_equal_where_the_words_are(words, length):
    hashes = ngram_hashes(word_hashes(" ".join(words)), length)
    grams = [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]
    assert len(hashes) == max(0, len(grams))
    assert len(set(hashes.tolist())) == len(set(grams))
    assert hashes.dtype == np.uint64


def test_hits_are_counted_one_by_one_and_the_first_are_kept():
    counts = HitCounts(2)
    rows = [("a", "f:1", True), ("a", "f:1", False), ("b", "f:2", True), ("b", "f:2", True), ("a", "f:9", False)]
    for id, place, edited in rows:
        counts.add({"id": id, "place": place, "edited": edited, "evaluator": "x"})
    found = counts.to_json()
    assert (found["documents"], found["edited"]) == (3, 1)
    assert [(hit["id"], hit["edited"]) for hit in found["hits"]] == [("a", True), ("a", False)]


def test_hits_of_one_document_are_read_without_those_of_others(tmp_path, index, monkeypatch):
    filter_ = Decontaminate(index=index)
    path = tmp_path / "corpus" / "web" / "dropped" / "00000.parquet"
    with DocumentWriter(path, **DROP_COLUMNS) as out:
        for name, step in (("a", "decontaminate"), ("b", "decontaminate"), ("b", "length")):
            out.write(Document(name, LONG, None, {"place": f"{name}.txt"}), step, "x", None)
    assert [hit["id"] for hit in list_hits(tmp_path / "corpus", "web", filter_)] == ["a", "b"]
    looked_up = []
    matches = Decontaminate.matches
    monkeypatch.setattr(Decontaminate, "matches", lambda self, texts: looked_up.extend(texts) or matches(self, texts))
    [hit] = list_hits(tmp_path / "corpus", "web", filter_, "b")
    assert (hit["id"], hit["place"], hit["text"]) == ("b", "b.txt", "long")
    assert looked_up == [LONG]
