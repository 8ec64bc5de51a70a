"""Filters and weak labels of pages in many languages, without any option."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from rexplug import DataError, Document, fold
from rexplug_ecommerce import ProductPage, ProductText, Retail, Spam
from rexplug_ecommerce.language_files import CODES, Language, built_in, read_language
from rexplug_ecommerce.shop_language import shop_language
from rexplug_ecommerce.signals import signals

PAGES = Path(__file__).parent / "pages"
FOUR = {code: yaml.safe_load((PAGES / f"{code}.yaml").read_text(encoding="utf-8")) for code in ("de", "ja", "ar", "hi")}
MORE = yaml.safe_load((PAGES / "more.yaml").read_text(encoding="utf-8"))
# Kind of page -> the reasons of `product_page` and `spam` (empty: kept), and the weak label.
EXPECTED = {
    "product": ("", "", True),
    "category": ("", "", True),
    "review": ("", "", True),
    "article": ("few product signals", "", False),
    "recipe": ("few product signals", "", False),
    "news": ("few product signals", "", False),
    "stuffed": ("few product signals", "stuffed keywords", True),
    "casino": ("few product signals", "spam terms", None),
    "navigation": ("few product signals", "", None),
}


def document(text):
    return Document("1", text)


def outcome(text):
    page, spam = ProductPage().judge(document(text)), Spam().judge(document(text))
    assert (page.keep, spam.keep) == (not page.reason, not spam.reason)
    return page.reason, spam.reason, Retail().by_rule(text)


@pytest.mark.parametrize("kind", EXPECTED)
@pytest.mark.parametrize("code", FOUR)
def test_a_page_of_each_kind(code, kind):
    assert outcome(FOUR[code][kind]) == EXPECTED[kind]


@pytest.mark.parametrize("code", CODES)
def test_a_product_page_and_a_news_text_of_each_language(code):
    pages = {**FOUR, **MORE}[code]
    assert outcome(pages["product"]) == ("", "", True)
    assert outcome(pages["news"]) == ("few product signals", "", False)


@pytest.mark.parametrize("code", sorted(set(CODES) - {"en"}))
def test_the_languages_own_file_is_enough_and_that_of_others_is_not(code):
    text = {**FOUR, **MORE}[code]["product"]
    own, other = signals(text, (code,)), signals(text, ("en",))
    assert own.buy >= 3
    assert own.attributes >= 2
    assert other.buy == 0
    assert (own.words, own.skus) == (other.words, other.skus)


def test_an_english_text_is_judged_by_english_phrases_alone():
    text = "In this report we have to say that they are on a page with a word of another language: in den Warenkorb, 20 Kč."
    assert signals(text) == signals(text, ("en",))
    assert signals("in den Warenkorb\n20 Kč").buy == 1


@pytest.mark.parametrize(
    ("text", "prices"),
    [
        ("12.800円", 1), ("価格980円です", 1), ("１２，８００円", 1), ("1 299,00 €", 1), ("1\u202f299,00\u00a0€", 1), ("١٢٩ ر.س", 1),
        ("ر.س ١٢٩", 1), ("₹1,299", 1), ("₹१,२९९", 1), ("१,२९९ रुपये", 1), ("रुपये 499", 1), ("١٢٩ ريال", 1), ("रु. 499", 1), ("12,900원", 1), ("1.290 บาท", 1),
        ("ราคา1,290บาท", 1), ("129 zł", 1), ("1 299 Kč", 1), ("1 299:-", 1), ("1.299,90 TL", 1), ("2 990 ₽", 1), ("350 руб.", 1),
        ("1 299 грн", 1), ("129.90 ש\"ח", 1), ("۱٬۲۹۰٬۰۰۰ تومان", 1), ("৳ ১,২৯৯", 1), ("Rp 399.000", 1), ("Rp399.000", 1),
        ("399.000đ", 1), ("20 Euro", 1), ("199元", 1), ("¥199", 1),
        ("Euro 2024", 0), ("20 Europäer", 0), ("tausend Euro", 0), ("円", 0), ("Kč", 0), ("500 TLS", 0), ("Rs. 499", 1), ("RS232 serial", 0),
    ],
)  # fmt: skip
def test_prices_as_they_are_written_in_each_country(text, prices):
    assert signals(text).prices == prices


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Größe: 38", 1), ("GROESSE: 38", 0), ("Grösse: 38", 1), ("Farbe | Rot", 1), ("Farbe\nRot", 1), ("Farbe\tRot", 1),
        ("Farbe ist Geschmackssache", 0), ("Die Farbe: Rot", 0), ("Inhalt; Farbe: Rot", 1), ("・サイズ：M", 1), ("【サイズ】M", 1),
        ("サイズ感：よい", 0), ("اللون: أزرق", 1), ("اَللَّوْن: أزرق", 1), ("रंग: नीला", 1), ("रंगों: नीला", 0), ("색상: 실버", 1),
    ],
)  # fmt: skip
def test_labels_need_a_value(text, count):
    assert signals(text).attributes == count


@pytest.mark.parametrize(
    ("text", "measures"),
    [("内容量500mlのボトル", 1), ("幅30cm×高さ20cm", 2), ("٥ كجم", 1), ("500 ग्राम", 1), ("5 граммофонов", 0)],
)
def test_measures_next_to_letters_and_in_any_digits(text, measures):
    assert signals(text).measures == measures


def test_arabic_and_hebrew_articles_belong_to_the_word_and_endings_of_other_words_do_not():
    assert shop_language("والسرعة والحقيبة").merchandise > 0
    assert shop_language("התיק").merchandise > 0
    assert shop_language("Rucksackverbot").merchandise == 0
    assert shop_language("रजाईवाला").merchandise == 0


def test_words_of_scripts_without_spaces_count_in_densities():
    text = FOUR["ja"]["news"]
    assert 100 < signals(text).words < len(text) / 1.5
    assert signals(FOUR["hi"]["news"]).words == len(FOUR["hi"]["news"].replace("।", " ").split())


@pytest.mark.parametrize("component", [ProductPage, Spam, Retail])
def test_languages_that_have_no_file(component):
    with pytest.raises(
        ValidationError,
        match=r"there is no file of phrases for 'xx'; languages are ar, bn, .*; add your own by `phrases`",
    ):
        component(languages=("xx",))


def test_only_the_languages_asked_for(tmp_path):
    casino = FOUR["ja"]["casino"]
    assert Spam(languages=("de", "en")).judge(document(casino)).keep
    assert not Spam(languages=("ja",)).judge(document(casino)).keep
    german = FOUR["de"]["product"]
    assert (
        ProductPage(languages=("ja",)).judge(document(german)).score
        < ProductPage(languages=("de",)).judge(document(german)).score
    )


def test_common_words_of_named_languages_are_not_keywords_in_short_texts():
    parts = "रंग नीला, वज़न हल्का, तला मज़बूत, चमड़ा असली, कपड़ा मुलायम, आकार बड़ा, फीता लंबा, डिब्बा छोटा, पट्टा चौड़ा, दाम सही"
    text = "\n".join(f"{part.strip()} {number} है।" for number, part in enumerate((parts + "," + parts).split(",")))
    assert Spam(languages=("hi",)).judge(document(text)).keep
    assert Spam(languages=("de", "hi")).judge(document(text)).keep
    assert Spam(languages=("de",)).judge(document(text)).reason == "stuffed keywords"
    assert Spam(languages=("hi",)).judge(document(text.replace("है", "जूता"))).reason == "stuffed keywords"


def test_a_file_of_the_users_own(tmp_path):
    file = tmp_path / "fi.yaml"
    file.write_text(
        "name: Finnish\nbuy: [lisää ostoskoriin, varastossa]\nlabels: [väri, koko]\nspam: [nettikasino*, ilmaiskierrok*]\n"
        "price_after: [euroa]\nmerchandise: [vedenkeitin]\n",
        encoding="utf-8",
    )
    text = "Vedenkeitin\n49 euroa\nVarastossa\nLisää ostoskoriin\nVäri: hopea\nKoko: 1,7 l"
    assert ProductPage(min_kinds=4).judge(document(text)).reason == "few product signals"
    assert ProductPage(min_kinds=4, phrases=(file,)).judge(document(text)).keep
    assert signals(text, (), (file,)).prices == 1
    assert Retail(phrases=(file,), min_words=5).by_rule(text) is True
    words = [f"sana{number}" for number in range(40)]
    repeated = " ".join(f"{word} tämä" for word in words)
    assert Spam().judge(document(repeated)).reason == "stuffed keywords"
    file.write_text(file.read_text(encoding="utf-8") + "common: [tämä]\n", encoding="utf-8")
    again = file.rename(tmp_path / "again.yaml")
    assert Spam(phrases=(again,)).judge(document(repeated)).keep
    spam = "Paras nettikasino: nettikasinoiden ilmaiskierrokset heti"
    assert Spam().judge(document(spam)).keep
    assert Spam(phrases=(again,)).judge(document(spam)).reason == "spam terms"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "cannot be read: while parsing"),
        ("name: A\nname: B", "cannot be read: the key 'name' is repeated"),
        ("name: A\nwords: [a]", "words: Extra inputs are not permitted; keys are name, buy, bare_labels, labels, fields, "),
        ("buy: [a]", "name: Field required"),
        ("name: A\nbuy: a", "buy: Input should be a valid tuple"),
        ("name: A\nbuy: [a, b, a]", "buy: 'a' is repeated; remove one of them"),
        ("name: A\nspam: ['*']", "spam.0: '*' has no letter, digit or sign to look for"),
        ("name: A\nfields: {brand: ['\u200b']}", "fields.brand.0: '\\u200b' has no letter, digit or sign to look for"),
        ("name: A\nbuy: [a, '']", "buy.1: String should have at least 1 character"),
        ("name: A\nbuy: ['a  b']", "buy: 'a  b' has white space at an end or more than one blank; write one blank between words"),
        ("name: A\nfields: {colour: [a]}", "fields.colour.[key]: Input should be 'brand', 'sku', "),
    ],
)  # fmt: skip
def test_bad_files_of_phrases(tmp_path, text, message):
    file = tmp_path / "my.yaml"
    file.write_text(text, encoding="utf-8")
    for component in (ProductPage, Spam, Retail):
        with pytest.raises(DataError) as error:
            component(phrases=(file,)).check()
        assert str(error.value).startswith(f"the file of phrases {file}")
        assert message in str(error.value)
    with pytest.raises(DataError, match="cannot be read: .*No such file"):
        read_language(tmp_path / "none.yaml")


def test_words_that_yaml_reads_as_other_types_are_words(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text("name: A\ncommon: [no, on, 5, null]", encoding="utf-8")
    assert read_language(file).common == ("no", "on", "5", "null")


def test_the_files_agree_with_each_other():
    fields: dict[str, str] = {}
    for code in CODES:
        language = built_in(code)
        assert isinstance(language, Language)
        if code != "en":
            lists = (
                language.buy,
                language.labels,
                language.spam,
                language.common,
                language.pitch,
                language.customer,
                language.merchandise,
            )
            assert min(map(len, (*lists, language.other))) >= 15, code
            assert set(language.fields) == {"brand", "sku", "gtin", "mpn", "category", "availability", "price"}, code
        for field, labels in language.fields.items():
            for label in labels:
                assert fields.setdefault(fold(label).strip(" ."), field) == field, label


@pytest.mark.parametrize(
    ("label", "value", "field"),
    [
        ("Producent", "Strumień", "brand"), ("ПРОИЗВОДИТЕЛЬ", "Ручеёк", "brand"), ("แบรนด์", "ธารใส", "brand"), ("メーカー", "湯の川", "brand"),
        ("Art.-Nr.", "4711", "sku"), ("Référence", "20417", "sku"), ("रंग", "नीला", None), ("모델번호", "MS-17", "mpn"),
        ("יצרן", "מעיין", "brand"), ("کد کالا", "20417", "sku"), ("Mã sản phẩm", "20417", "sku"), ("Ürün kodu", "20417", "sku"),
    ],
)  # fmt: skip
def test_labels_of_a_page_become_fields(label, value, field):
    data = {"heading": "X 1", "prices": ["19,90 €"], "pairs": [[label, value], ["EAN", "4006381333931"], ["a", "b"]]}
    product = ProductText().judge(Document("1", "X 1", None, {"structured_data": data})).metadata["product"]
    if field is None:
        assert product["attributes"][label] == value
    else:
        assert product[field] == value
