import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

import rexplug
from rexplug_guided_mlm import Contrastive

DATA = Path(os.environ.get("REXPLUG_DATA", Path(__file__).parents[3] / "../shared/data"))
RETAIL = ["Buy the waterproof jacket with free shipping", "The waterproof boots: free shipping on the order"] * 40
GENERAL = ["The river runs through the old town", "Buy time, said the minister of the old town"] * 40


def corpus(folder, **sources):
    documents = {
        name: [rexplug.Document(f"{name}-{i}", text) for i, text in enumerate(texts)] for name, texts in sources.items()
    }
    return rexplug.CorpusSample(documents, folder, 1)


def tokenized(text):
    """One token per word, including the white space before it as in byte-level BPE."""
    offsets = np.array([match.span() for match in re.finditer(r"\s*\w+|\s*[^\w\s]", text)], np.uint32).reshape(-1, 2)
    return rexplug.TokenizedDocument(
        "1", text, np.zeros(len(offsets), np.uint32), offsets, np.ones(len(offsets), np.bool_)
    )


def fitted(tmp_path, **options):
    scorer = Contrastive(**{"domain": "retail", "general": "web", "share": 1.0, **options})
    return scorer.fit(corpus(tmp_path, retail=RETAIL, web=GENERAL))


def test_words_that_mark_the_domain_are_salient_and_shared_ones_are_not(tmp_path):
    scores = fitted(tmp_path, prior=100).score(
        tokenized("The Waterproof jacket: the old town, free shipping unheardof")
    )
    words = ["The", "Waterproof", "jacket", ":", "the", "old", "town", ",", "free", "shipping", "unheardof"]
    assert scores.dtype == np.uint8
    found = {word for word, score in zip(words, scores, strict=True) if score}
    assert found == {"Waterproof", "jacket", "free", "shipping"}


def test_each_language_is_compared_with_itself(tmp_path):
    german = ["Die wasserdichte Jacke und versandkostenfrei", "Die wasserdichten Stiefel und versandkostenfrei"] * 80
    general_german = ["Der Fluss und die alte Stadt", "Die alte Stadt und der Minister"] * 10
    scorer = Contrastive(domain=("shop_en", "shop_de"), general=("web_en", "web_de"), share=1.0, prior=30, at_least=2)
    assert scorer.needed_sources() == ("shop_en", "web_en", "shop_de", "web_de")
    sources = {"shop_en": RETAIL, "web_en": GENERAL, "shop_de": german, "web_de": general_german}
    pairs = scorer.fit(corpus(tmp_path, **sources))
    line = "The waterproof jacket free. Die wasserdichte Jacke und versandkostenfrei"
    found = {
        word for word, value in zip(line.replace(".", " .").split(), pairs.score(tokenized(line)), strict=True) if value
    }
    assert found == {"waterproof", "jacket", "free", "wasserdichte", "Jacke", "versandkostenfrei"}
    # If the lists were pooled, common German words would be salient, since the shops have more German than the other sources.
    (tmp_path / "pooled").mkdir()
    pooled = Contrastive(domain="shop", general="web", share=1.0, prior=30, at_least=2).fit(
        corpus(tmp_path / "pooled", shop=RETAIL + german, web=GENERAL + general_german)
    )
    assert pooled.score(tokenized("und"))[0] > 0
    again = Contrastive.model_validate({key: value for key, value in pairs.dump().items() if key != "use"})
    assert again == pairs


@pytest.mark.parametrize(("domain", "general"), [(("a", "b"), ("c",)), ("a", ("c",)), (("a",), "c"), ((), ())])
def test_lists_of_sources_must_match(domain, general):
    with pytest.raises(ValidationError, match="two sources, or two lists of as many sources, pair by pair"):
        Contrastive(domain=domain, general=general)


def test_the_fitted_scorer_comes_back_from_its_options(tmp_path):
    scorer = fitted(tmp_path)
    entry = scorer.dump()
    assert entry.pop("use") == "guided_mlm.contrastive"
    again = Contrastive.model_validate(entry)
    assert again == scorer
    document = tokenized("waterproof boots")
    assert np.array_equal(again.score(document), scorer.score(document))


def test_a_moved_run_scores_with_its_own_table(tmp_path):
    from rexplug.document_files import DocumentWriter
    from rexplug.tokens.tokenize import fit_scorers

    for name, texts in (("retail", RETAIL), ("web", GENERAL)):
        with DocumentWriter(tmp_path / f"run/corpus/{name}/kept/00000.parquet") as writer:
            for number, text in enumerate(texts):
                writer.write(rexplug.Document(f"{name}-{number}", text))

    def fit(run):
        scorers = [Contrastive(domain="retail", general="web", share=1.0, prior=100)]
        return fit_scorers(scorers, run / "corpus", ("retail", "web"), folder=run / "fitted", seed=1)[0]

    document = tokenized("waterproof boots")
    scores = fit(tmp_path / "run").score(document)
    (tmp_path / "run").rename(tmp_path / "moved")
    assert scores.any()
    assert np.array_equal(fit(tmp_path / "moved").score(document), scores)


def test_a_higher_bar_leaves_fewer_words(tmp_path):
    document = tokenized(RETAIL[0])
    low, high = (fitted(tmp_path, at_least=z, prior=100).score(document) for z in (2.0, 50.0))
    assert (low > 0).sum() > 0
    assert (high > 0).sum() == 0


def test_no_text_no_scores(tmp_path):
    assert fitted(tmp_path).score(tokenized("")).shape == (0,)


def test_mistakes_are_named(tmp_path):
    with pytest.raises(rexplug.DataError) as refused:
        Contrastive(domain="retial", general="web").fit(corpus(tmp_path, retail=RETAIL, web=GENERAL))
    assert str(refused.value) == "guided_mlm.contrastive: there is no source 'retial'; the sources are retail, web"
    with pytest.raises(rexplug.DataError) as refused:
        Contrastive(domain="retail", general="web").fit(corpus(tmp_path, retail=RETAIL, web=["..."]))
    assert str(refused.value) == "guided_mlm.contrastive: 'retail' or 'web' has no words to compare"
    with pytest.raises(rexplug.DataError) as refused:
        Contrastive(domain="retail", general="web").score(tokenized("waterproof"))
    assert str(refused.value) == "guided_mlm.contrastive must be fitted before it scores"


def test_sources_with_the_same_single_word_have_no_salient_words(tmp_path):
    scorer = Contrastive(domain="retail", general="web").fit(corpus(tmp_path, retail=["so so"], web=["so"]))
    assert scorer.score(tokenized("so")).tolist() == [0]


def test_no_more_than_the_share_is_marked_and_the_strongest_words_come_first(tmp_path):
    texts = ["alpha beta beta common"] * 50 + ["common common gamma"] * 50
    sample = corpus(tmp_path, retail=texts, web=["common gamma gamma beta"] * 100)
    words = ["alpha", "beta", "common", "gamma"]

    def marked(**options):
        scorer = Contrastive(domain="retail", general="web", prior=10, odds=0.1, at_least=0.1, **options).fit(sample)
        return [word for word, value in zip(words, scorer.score(tokenized(" ".join(words))), strict=True) if value]

    # Of 350 words alpha is 50, common 150 and beta 100; log-odds fall in that order.
    assert marked(share=1.0) == ["alpha", "beta", "common"]
    assert marked(share=0.6) == ["alpha", "common"]
    assert marked(share=0.2) == ["alpha"]


def test_explanations_give_log_odds_and_certainty(tmp_path):
    document = tokenized("the WATERPROOF jacket")
    (first, second) = fitted(tmp_path, prior=100).explain(document)
    assert (first.start, first.end, second.start, second.end) == (4, 14, 15, 21)
    assert re.fullmatch(r"log-odds \+\d\.\d, z \d+\.\d", first.label)


@pytest.mark.parametrize("text", ["İstanbul waterproof", "ﬁt waterproof 🙂 boots", "naïve_waterproof waterproof"])
def test_words_keep_their_places_in_any_text(tmp_path, text):
    scorer = fitted(tmp_path, prior=100)
    document = tokenized(text)
    assert [text[reason.start : reason.end] for reason in scorer.explain(document)] == [
        word for word in re.findall(r"\w+", text) if word in ("waterproof", "boots")
    ]
    marked = {
        text[a:b].strip() for (a, b), value in zip(document.offsets, scorer.score(document), strict=True) if value
    }
    assert marked == {"waterproof", "boots"} & set(re.findall(r"\w+", text))


def records(path, count):
    import zstandard

    with path.open("rb") as raw:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8")
        return [json.loads(line) for line, _ in zip(lines, range(count), strict=False)]


@pytest.mark.skipif(not (DATA / "esci-us-sample").is_dir(), reason=f"no {DATA / 'esci-us-sample'} (set REXPLUG_DATA)")
def test_on_real_text_words_of_the_domain_are_salient_and_general_ones_are_not(tmp_path):
    fields = ("title", "description", "bullet_points")
    shop = [
        "\n".join(row.get(k) or "" for k in fields) for row in records(DATA / "esci-us-sample/products.jsonl.zst", 800)
    ]
    wiki = [row["text"] for row in records(DATA / "general-text/wikipedia-en-short.jsonl.zst", 1500)]
    half = len(shop) // 2
    scorer = Contrastive(domain="retail", general="web").fit(corpus(tmp_path, retail=shop[:half], web=wiki[:1000]))
    domain = ["leather", "bottle", "inch", "inches", "gift", "easy", "perfect", "size"]
    general = ["the", "of", "and", "in", "was", "he", "century", "government", "war", "by", "which", "for", "with"]
    values = dict(zip(domain + general, scorer.score(tokenized(" ".join(domain + general))), strict=True))
    assert [word for word in domain if not values[word]] == []
    assert [word for word in general if values[word]] == []

    def salient(texts):
        scores = [scorer.score(tokenized(text)) for text in texts]
        return sum((values > 0).sum() for values in scores) / sum(len(values) for values in scores)

    # On documents that were not counted.
    assert salient(shop[half:]) > 4 * salient(wiki[1000:])


SCRIPTS = {
    "Japanese": (
        ["防水ジャケットを送料無料でお届けします", "人気の防水ブーツ、送料無料です"],
        ["古い町で川が流れています", "大臣は町の歴史を話しました"],
        "古い町で防水ジャケットが送料無料",
        {"防水", "ジャケット", "送料", "無料"},
    ),
    "Thai": (
        ["แจ็คเก็ตกันน้ำราคาถูกจัดส่งฟรี", "รองเท้ากันน้ำจัดส่งฟรีทั่วประเทศ"],
        ["แม่น้ำไหลผ่านเมืองเก่า", "รัฐมนตรีพูดถึงเมืองเก่า"],
        "เมืองเก่าจัดส่งฟรี",
        {"จัด", "ส่ง", "ฟรี"},
    ),
    "Arabic": (
        ["معطف مقاوم للماء مع شحن مجاني", "حذاء مقاوم للماء مع شحن مجاني اليوم"],
        ["يمر النهر عبر المدينة القديمة", "قال الوزير إن المدينة القديمة جميلة"],
        "المدينة القديمة: شحن مجاني",
        {"شحن", "مجاني"},
    ),
    "Hindi": (
        ["पानी से बचाने वाली जैकेट मुफ़्त डिलीवरी के साथ", "जूते मुफ़्त डिलीवरी के साथ ख़रीदें"],
        ["पुराने शहर से नदी बहती है", "मंत्री ने पुराने शहर की बात की"],
        "पुराने शहर में मुफ़्त डिलीवरी",
        {"मुफ़्त", "डिलीवरी"},
    ),
}


@pytest.mark.parametrize("language", SCRIPTS)
def test_scores_follow_the_words_of_any_script(tmp_path, language):
    retail, general, text, salient = SCRIPTS[language]
    scorer = Contrastive(domain="retail", general="web", share=1.0, prior=10, at_least=1.0)
    scorer = scorer.fit(corpus(tmp_path, retail=retail * 40, web=general * 40))
    letters = np.array([[n, n + 1] for n in range(len(text))], np.uint32)
    document = rexplug.TokenizedDocument(
        "1", text, np.zeros(len(text), np.uint32), letters, np.ones(len(text), np.bool_)
    )
    scores = scorer.score(document)
    starts, ends = document.word_bounds()
    words = list(zip(starts.tolist(), ends.tolist(), strict=True))
    assert all(len(set(scores[start:end].tolist())) == 1 for start, end in words), "a word has one score"
    assert {text[start:end] for start, end in words if scores[start]} == salient
    assert not scores[[n for n in range(len(text)) if not any(a <= n < b for a, b in words)]].any()
    assert {text[reason.start : reason.end] for reason in scorer.explain(document)} == salient
