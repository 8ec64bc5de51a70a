"""Titles and descriptions of products in several scripts, and copies of them as other shops write them."""

import json
import unicodedata
from pathlib import Path

from rexplug.corpus.curate import curate
from rexplug.corpus.sources import Jsonl
from rexplug.document_files import read_documents
from rexplug.progress import Silent
from rexplug.recipe.schema import Curation, MinHash

TITLES = {
    "Japanese": (
        "折りたたみ傘 紺",
        "折りたたみ傘 黒",
        "竹製まな板 大",
        "竹製まな板 小",
        "革の財布 茶色",
        "木製テーブル 90cm",
        "木製テーブル 120cm",
        "ノルダ 軽量折りたたみ傘 自動開閉 ネイビー",
        "ノルダ 軽量折りたたみ傘 自動開閉 ブラック",
        "ガーデンテーブル 木製 幅90cm ナチュラル 組立式",
        "ガーデンテーブル 木製 幅120cm ナチュラル 組立式",
        "ステンレス電気ケトル 1.2L 温度調節つき 一人暮らし",
        "ステンレス電気ケトル 0.8L 温度調節つき 一人暮らし",
        "綿のボーダーシャツ 長袖 レディース M",
        "綿のボーダーシャツ 半袖 レディース M",
        "ワイヤレスイヤホン ケース付き 防水 2026年モデル",
    ),
    "German": (
        "Norda Taschenschirm leicht, automatisch, Größe S, dunkelblau",
        "Norda Taschenschirm leicht, automatisch, Größe S, schwarz",
        "Gartentisch aus Eiche, 90 cm breit, geölt, zum Aufbauen",
        "Gartentisch aus Eiche, 120 cm breit, geölt, zum Aufbauen",
        "Wasserkocher aus Edelstahl 1,2 l mit Wärmeregler für Küche und Büro",
        "Wasserkocher aus Edelstahl 0,8 l mit Wärmeregler für Küche und Büro",
        "Geldbörse aus Leder, braun",
        "Geldbörse aus Leder, grün",
    ),
    "Arabic": (
        "مظلة قابلة للطي خفيفة الوزن تفتح تلقائيًا لون أزرق",
        "مظلة قابلة للطي خفيفة الوزن تفتح تلقائيًا لون أسود",
        "طاولة حديقة من خشب البلوط عرض 90 سم لون طبيعي",
        "طاولة حديقة من خشب البلوط عرض 120 سم لون طبيعي",
        "غلاية كهربائية من الفولاذ سعة 1.2 لتر مع منظم حرارة",
        "غلاية كهربائية من الفولاذ سعة 0.8 لتر مع منظم حرارة",
        "محفظة جلدية بنية اللون",
        "محفظة جلدية خضراء اللون",
    ),
    "Hindi": (
        "नोर्डा हल्की तह होने वाली छतरी अपने आप खुलने वाली नीली",
        "नोर्डा हल्की तह होने वाली छतरी अपने आप खुलने वाली काली",
        "बगीचे की मेज़ शीशम की लकड़ी 90 सेमी चौड़ी प्राकृतिक रंग",
        "बगीचे की मेज़ शीशम की लकड़ी 120 सेमी चौड़ी प्राकृतिक रंग",
        "स्टील की बिजली केतली 1.2 लीटर तापमान नियंत्रण के साथ",
        "स्टील की बिजली केतली 0.8 लीटर तापमान नियंत्रण के साथ",
        "भूरे रंग का चमड़े का बटुआ",
        "हरे रंग का चमड़े का बटुआ",
    ),
}
SENTENCES = {
    "Japanese": (
        "この電気ケトルは毎日の朝に使えるように丈夫なステンレスで作られています",
        "水は四分で沸き、沸いた後は自動で電源が切れるので安心です",
        "取っ手は熱くならない木製で、片手でも楽に注ぐことができます",
        "内側は広く開くので、やわらかいスポンジで簡単に洗えます",
        "温度は五段階で選べるため、緑茶にもコーヒーにも向いています",
        "三年間の保証が付き、部品は一つずつ注文することもできます",
    ),
    "German": (
        "Der Wasserkocher ist aus dickem Edelstahl und hält jeden Morgen den Betrieb in großen Küchen aus",
        "Ein Liter Wasser kocht in vier Minuten, danach schaltet sich das Gerät von selbst wieder aus",
        "Der Griff aus Holz bleibt kühl, und man gießt mit einer Hand, ohne dass etwas verschüttet wird",
        "Der Deckel öffnet sich weit, damit ein weicher Schwamm bis auf den Boden der Kanne reicht",
        "Fünf Temperaturen lassen sich wählen, für grünen Tee ebenso wie für gefilterten Kaffee am Abend",
        "Drei Jahre Garantie gehören dazu, und jedes Teil lässt sich später einzeln nachbestellen",
    ),
    "Arabic": (
        "صُنعت هذه الغلاية من فولاذ سميك يتحمل العمل كل صباح في المطابخ الكبيرة",
        "يغلي لتر من الماء في أربع دقائق ثم ينطفئ الجهاز من تلقاء نفسه",
        "يبقى المقبض الخشبي باردًا ويمكن السكب بيد واحدة دون أن ينسكب شيء",
        "ينفتح الغطاء واسعًا فتصل الإسفنجة الناعمة إلى قاع الإبريق بسهولة",
        "يمكن اختيار خمس درجات حرارة للشاي الأخضر وكذلك للقهوة في المساء",
        "يأتي الجهاز بضمان ثلاث سنوات ويمكن طلب كل قطعة على حدة فيما بعد",
    ),
    "Hindi": (
        "यह केतली मोटे स्टील की बनी है और बड़ी रसोई में हर सुबह का काम झेल लेती है",
        "एक लीटर पानी चार मिनट में उबल जाता है और उसके बाद यह अपने आप बंद हो जाती है",
        "लकड़ी का हत्था ठंडा रहता है और एक हाथ से भी बिना गिराए पानी डाला जा सकता है",
        "ढक्कन चौड़ा खुलता है ताकि नरम स्पंज बर्तन के तले तक आसानी से पहुँच सके",
        "पाँच तापमान चुने जा सकते हैं जो हरी चाय और शाम की कॉफ़ी दोनों के लिए ठीक हैं",
        "तीन साल की वारंटी साथ मिलती है और हर पुर्ज़ा बाद में अलग से मँगाया जा सकता है",
    ),
}
PRODUCTS = {
    "Japanese": "ノルダ ケトル {n}号。",
    "German": "Norda Kessel Nummer {n}. ",
    "Arabic": "غلاية نوردا رقم {n}. ",
    "Hindi": "नोर्डा केतली नंबर {n}। ",
}


def full_width(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


def half_width(text: str) -> str:
    narrow = {unicodedata.normalize("NFKC", chr(code)): chr(code) for code in range(0xFF66, 0xFFA0)}
    return "".join(narrow.get(char, char) for char in text)


TITLE_COPIES = {
    "NFD": lambda text: unicodedata.normalize("NFD", text),
    "full-width": full_width,
    "half-width": half_width,
    "other marks": lambda text: "【" + text.replace(" ", " / ").replace(",", ";") + "】!",
    "in capitals": str.upper,
}


def text_copies(text: str) -> dict[str, str]:
    words = text.split(" ")
    cut = len(words) // 3
    return {
        **{name: change(text) for name, change in TITLE_COPIES.items()},
        "a sentence more": text + " SALE 2026!",
        "other digits": text.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")),
        "a word less": text[:80] + text[82:] if len(words) < 10 else " ".join([*words[:cut], *words[cut + 1 :]]),
    }


def texts_of(language: str) -> list[str]:
    """Descriptions of products that share half of their sentences."""
    first = SENTENCES[language]
    end = "。" if language == "Japanese" else ". "
    made = [PRODUCTS[language].format(n=1) + end.join(first)]
    half = [sentence[::-1] for sentence in first[:3]]  # other sentences of the same length
    return [*made, PRODUCTS[language].format(n=7) + end.join([*half, *first[3:]])]


def cases(kind: str, language: str) -> list[tuple[int, str, str]]:
    """(product, name of the copy, text) of each document; the first of each product is the original."""
    rows = []
    originals = TITLES[language] if kind == "titles" else texts_of(language)
    for number, text in enumerate(originals):
        rows.append((number, "original", text))
        copies = (
            {name: change(text) for name, change in TITLE_COPIES.items()} if kind == "titles" else text_copies(text)
        )
        rows += [(number, name, copy) for name, copy in copies.items() if copy != text]
    return rows


def found(rows: list[tuple[int, str, str]], folder: Path, options: MinHash) -> tuple[float, float, list[str]]:
    """Precision, recall, and notes on missed and wrong drops: a drop is right if the original of its product is kept."""
    file = folder / "in.jsonl"
    file.write_text("".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, (_, _, text) in enumerate(rows)))
    curate(
        {"shop": Jsonl(paths=str(file), id="id")}, Curation(held_out=0, minhash=options), seed=17,
        corpus=folder / "corpus", fitted=folder / "fitted", progress=Silent(),
    )  # fmt: skip
    kept = {int(document.id) for document in read_documents(folder / "corpus" / "shop" / "kept")}
    dropped = [n for n in range(len(rows)) if n not in kept]
    wrong = [n for n in dropped if rows[n][1] == "original"]
    copies = [n for n, (_, name, _) in enumerate(rows) if name != "original"]
    missed = [n for n in copies if n in kept]
    precision = 1 - len(wrong) / max(1, len(dropped))
    notes = [f"{'wrong' if n in wrong else 'missed'}: {rows[n][1]}: {rows[n][2][:60]}" for n in [*wrong, *missed]]
    return precision, 1 - len(missed) / len(copies), notes


SETTINGS = {
    "default": MinHash(),
    "for products": MinHash(numbers="keep", differ="words", similarity=0.8),
}
