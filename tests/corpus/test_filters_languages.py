"""Texts in German, Japanese, Arabic and Hindi: running text passes, keyword lists, menus and repeated lines do not."""

import json

import pytest
from pydantic import ValidationError

from rexplug.components import Document
from rexplug.corpus.filters import Boilerplate, C4Quality, FineWebQuality, GopherQuality, GopherRepetition, Length
from rexplug.errors import RecipeError
from rexplug.recipe import load_recipe
from rexplug.testing import check_corpus_filter

PROSE = {
    "de": """Der Stuhl, den wir für den Flur gebaut haben, ist aus Eiche und trägt das Gewicht von zwei Menschen mit Leichtigkeit.
Die Sitzfläche wird in unserer Werkstatt von Hand aus Papiergarn geflochten, und das Holz kommt aus den Wäldern im Süden des Landes.
Wer ihn einmal gesehen hat, sagt, dass er zu den besten Stücken gehört, die wir je verkauft haben.
Sie können ihn in drei Farben bestellen, und wir liefern ihn in zwei Wochen bis an die Tür.""",
    "ja": """この椅子は、玄関に置くために私たちの工房で作られました。材料はオーク材で、二人が座っても十分な強さがあります。
座面は紙のひもを使って職人が一つずつ手で編んでいます。木は国の南にある森で育ったものを選んでいます。
実際に見た人は、これまでに売れた家具の中で最も美しいものの一つだと言います。色は三種類から選ぶことができます。
ご注文から二週間以内に、玄関までお届けします。組み立ては必要なく、箱から出してすぐに使うことができます。""",
    "ar": """صنعنا هذا الكرسي من خشب البلوط في ورشتنا الصغيرة، وهو يتحمل وزن شخصين من دون أي صعوبة.
المقعد منسوج باليد من خيوط الورق، أما الخشب فقد جاء من الغابات التي تقع في جنوب البلاد.
كل من رآه قال إنه من أجمل القطع التي كانت في معرضنا، ولا يوجد ما يشبهه بين المقاعد الأخرى.
يمكن طلب الكرسي في ثلاثة ألوان، ونحن نوصله إلى باب البيت بعد أسبوعين من الطلب مع ضمان لمدة خمس سنوات.""",
    "hi": """यह कुर्सी हमारी कार्यशाला में बलूत की लकड़ी से बनी है और दो लोगों का भार आसानी से उठा लेती है।
इसकी सीट को कारीगर काग़ज़ की डोरी से हाथ से बुनते हैं और लकड़ी देश के दक्षिण के जंगलों से आती है।
जिसने भी इसे देखा है वह कहता है कि यह उन सबसे सुंदर चीज़ों में से एक है जो हमने आज तक बेची हैं।
आप इसे तीन रंगों में मँगवा सकते हैं और हम दो हफ़्ते में इसे आपके घर के दरवाज़े पर पहुँचा देते हैं।""",
}
KEYWORDS = {
    "de": "Stuhl Holzstuhl Esszimmerstuhl Küchenstuhl Eichenstuhl günstig Angebot Sale Möbel Wohnzimmer Tisch Sessel Hocker Bank",
    "ja": "椅子 木製椅子 食卓椅子 安い 激安 送料無料 家具 居間 机 座椅子 腰掛 長椅子 北欧 通販",
    "ar": "كرسي كراسي كرسي خشب كرسي طعام كرسي مطبخ رخيص عرض تخفيضات أثاث صالون طاولة أريكة مقعد تسوق",
    "hi": "कुर्सी लकड़ी कुर्सी डाइनिंग कुर्सी रसोई कुर्सी सस्ती ऑफ़र सेल फ़र्नीचर बैठक मेज़ सोफ़ा स्टूल बेंच ख़रीदारी",
}
MENU = {
    "de": "Zum Inhalt springen\nStartseite\nMenü\nSuche\nMein Konto\nWarenkorb (0)\nÜber uns\nImpressum\nDatenschutz\nAGB\n"
    "Wir verwenden Cookies, um Ihren Besuch zu verbessern.\nFAQ\n© 2024 Stuhlhaus GmbH",
    "ja": "メインコンテンツへスキップ\nホーム\nメニュー\n検索\nログイン\nマイページ\nカートを見る（0）\n会社概要\nお問い合わせ\nプライバシーポリシー\n特定商取引法に基づく表記\n"
    "当サイトではクッキーを使用しています。\nFAQ\n© 2024 椅子の店",
    "ar": "انتقل إلى المحتوى\nالصفحة الرئيسية\nالقائمة\nبحث\nتسجيل الدخول\nحسابي\nسلة التسوق (0)\nمن نحن\nاتصل بنا\nسياسة الخصوصية\nالشروط والأحكام\n"
    "نستخدم ملفات تعريف الارتباط لتحسين زيارتك.\nFAQ\n© 2024 بيت الكراسي",
    "hi": "मुख्य सामग्री पर जाएँ\nहोम\nमेनू\nखोजें\nलॉग इन करें\nमेरा खाता\nकार्ट (0)\nहमारे बारे में\nहमसे संपर्क करें\nगोपनीयता नीति\nनियम और शर्तें\n"
    "हम आपके अनुभव को बेहतर बनाने के लिए कुकीज़ का उपयोग करते हैं।\nFAQ\n© 2024 कुर्सी घर",
}
REPEATED = {
    "de": "Jetzt zum besten Preis bei uns kaufen!",
    "ja": "今すぐ当店で最安値でお買い求めください！",
    "ar": "اشتر الآن بأفضل سعر لدينا!",
    "hi": "अभी हमारे यहाँ सबसे अच्छे दाम पर ख़रीदें!",
}
LANGUAGES = sorted(PROSE)


def chain(language):
    return GopherQuality(language=language), FineWebQuality(language=language), GopherRepetition(language=language)


def reasons(language, text):
    return [each.judge(Document("1", text)).reason for each in chain(language)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_running_text_is_kept(language):
    text = PROSE[language]
    assert reasons(language, text) == ["", "", ""]
    check_corpus_filter(Boilerplate(language=language, max_documents=0), keep=[Document("1", text)])
    assert Boilerplate(language=language, max_documents=0).judge(Document("1", text)).text is None
    english = {
        "de": "enough_stop_words",
        "ja": "below_avg_threshold",
        "ar": "enough_stop_words",
        "hi": "enough_stop_words",
    }
    assert GopherQuality().judge(Document("1", text)).reason == f"gopher_{english[language]}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_keyword_list_is_dropped(language):
    shuffled = KEYWORDS[language].split()
    text = "\n".join(" ".join(shuffled[start:] + shuffled[:start]) for start in range(0, len(shuffled), 3))
    assert reasons(language, text)[0] == "gopher_enough_stop_words"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_menu_is_dropped_or_removed(language):
    menu, text = MENU[language], PROSE[language]
    removes = Boilerplate(language=language, max_documents=0)
    assert removes.judge(Document("1", menu)).reason == "only boilerplate"
    assert removes.judge(Document("1", f"{menu}\n{text}\n{menu}")).text == text
    # Without the language only English phrases match: in German also a line with "we" inside a word, and "cookies".
    left = Boilerplate(max_documents=0).judge(Document("1", menu)).text
    assert left == "\n".join(menu.split("\n")[: -3 if language == "de" else -2])
    assert reasons(language, menu)[:2] == ["gopher_short_doc", MENU_REASON[language]]


MENU_REASON = {"de": "list_ratio", "ja": "line_punct_ratio", "ar": "line_punct_ratio", "hi": "line_punct_ratio"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_repeated_lines_are_dropped(language):
    text = "\n".join([PROSE[language], *[REPEATED[language]] * 5])
    assert reasons(language, text)[1:] == ["char_dup_ratio", "dup_line_frac"]


@pytest.mark.parametrize(
    ("language", "reason"),
    [("de", "top_4_gram"), ("ja", "duplicated_5_n_grams"), ("ar", "top_4_gram"), ("hi", "top_4_gram")],
)
def test_repeated_words_are_dropped(language, reason):
    text = f"{PROSE[language]} {' '.join([REPEATED[language]] * 6)}"
    assert reasons(language, text) == ["", "", reason]


@pytest.mark.parametrize(("language", "words"), [("de", 79), ("ja", 132), ("ar", 73), ("hi", 89)])
def test_length_counts_the_words_of_the_script(language, words):
    document = Document("1", PROSE[language])
    assert Length(min_words=words, max_words=words).judge(document).score == words
    assert Length(min_words=words + 1).judge(document).reason == "too short"


@pytest.mark.parametrize("language", LANGUAGES)
def test_c4_knows_sentences_and_words_of_the_script(language):
    document = Document("1", PROSE[language])
    verdict = C4Quality(min_sentences=4).judge(document)
    assert (verdict.keep, verdict.text) == (True, PROSE[language])
    assert C4Quality(min_sentences=9).judge(document).reason == "too_few_sentences"


def test_c4_removes_short_lines_and_not_long_paragraphs_without_spaces():
    paragraph = PROSE["ja"].replace("\n", "") * 6
    assert len(paragraph) > 1000
    text = f"完売。\n続きは次回。。。\n{paragraph}"
    assert C4Quality().judge(Document("1", text)).text == paragraph


def test_bullets_and_ellipses_of_other_scripts():
    lines = PROSE["ja"].split("\n")
    listed = "\n".join(f"・{line}" for line in lines)
    cut = "\n".join(f"{line.rstrip('。')}⋯⋯" for line in lines)
    assert reasons("ja", listed)[0] == "gopher_too_many_bullets"
    assert reasons("ja", cut)[0] == "gopher_too_many_end_ellipsis"


def test_an_explicit_option_takes_precedence_over_the_language():
    written = GopherQuality(language="ja", max_average_word_length=9, stop_words=("椅子",))
    assert (written.max_average_word_length, written.stop_words) == (9, ("椅子",))
    assert written.min_alphabetic_words == GopherQuality(language="ja").min_alphabetic_words == 0.759
    entry = json.loads(json.dumps(written.dump()))
    assert GopherQuality.model_validate({key: value for key, value in entry.items() if key != "use"}) == written


def test_without_a_language_the_options_are_those_for_english():
    for filter_class in (GopherQuality, FineWebQuality, GopherRepetition):
        assert filter_class() == filter_class(language="en")
        assert filter_class().fingerprint() != filter_class(language="de").fingerprint()


@pytest.mark.parametrize("filter_class", [GopherQuality, FineWebQuality, GopherRepetition, Boilerplate])
def test_an_unknown_language(filter_class):
    with pytest.raises(
        ValidationError, match="there are no settings for the language 'jp'; there are for ar, bn, cs, "
    ):
        filter_class(language="jp")


def test_an_unknown_language_in_a_recipe(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "sources:\n  web:\n    use: jsonl\n    paths: x.jsonl\n    filters:\n      - {use: quality.gopher, language: deutsch}\n"
    )
    with pytest.raises(
        RecipeError,
        match=r"r.yaml:6: sources.web.filters.0.language: there are no settings for the language 'deutsch'; there are for ar, bn",
    ):
        load_recipe(path)
