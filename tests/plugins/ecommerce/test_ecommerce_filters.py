import hashlib
import json

import pytest
from pydantic import ValidationError

from rexplug import CorpusSample, DataError, Document, Shard
from rexplug_ecommerce import ProductPage, Relevance, SamplePages, Spam

SHOP = "Acme kettle KT-200, steel\nBrand: Acme\nColour: red\nPrice: $29.99. In stock, free delivery. Capacity 1.7 l."
ESSAY = "The committee met in the old library and argued for hours about the meaning of a poem nobody had read. " * 3


def document(text):
    return Document(id="1", text=text)


def test_product_page_keeps_offers_and_says_why_not():
    assert ProductPage().judge(document(SHOP)).keep
    verdict = ProductPage().judge(document(ESSAY))
    assert (verdict.keep, verdict.reason) == (False, "few product signals")
    thin = ProductPage(min_density=60).judge(document(SHOP))
    assert (thin.keep, thin.reason) == (False, "thin product signals")
    broken = ProductPage().judge(document("\n".join(f"<div><b>{line}</b></div>&nbsp;" for line in SHOP.splitlines())))
    assert (broken.keep, broken.reason) == (False, "broken text")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cheap shoes here\n" * 20, "repeated lines"),
        ("online casino jackpot and cheap viagra, click here now for free spins today", "spam terms"),
        ("red shoe cheap " * 40, "few distinct words"),
        (" ".join(f"buy word{n} shoe item{n} part{n}" for n in range(30)), "stuffed keywords"),
        (ESSAY[: len(ESSAY) // 3], ""),
        (SHOP, ""),
    ],
)
def test_spam_reasons(text, reason):
    verdict = Spam().judge(document(text))
    assert (verdict.keep, verdict.reason) == (not reason, reason)


def test_filters_divide_the_sample_pages():
    general = {"news", "how_to", "forum", "encyclopaedic", "essay", "long_essay", "long_encyclopaedic"}
    retail = {"product", "review", "category", "specification", "long_specification"}
    for page in SamplePages(pages=300).documents(Shard(0, 1)):
        kind = page.metadata["kind"]
        if kind in general | retail:
            assert Spam().judge(page).keep
            assert ProductPage().judge(page).keep == (kind in retail)
        if kind == "spam":
            assert not Spam().judge(page).keep


def test_relevance_needs_a_threshold():
    with pytest.raises(ValidationError, match="write `at_least` or `below`, or both"):
        Relevance()
    with pytest.raises(ValidationError, match="nothing fits"):
        Relevance(at_least=0.5, below=0.4)


def test_relevance_without_model_and_with_missing_model(tmp_path):
    with pytest.raises(DataError, match="has no model: fit it on a corpus"):
        Relevance(below=0.5).judge(document(SHOP))
    with pytest.raises(DataError, match=r"the model .*none\.bin does not exist"):
        Relevance(below=0.5, model=tmp_path / "none.bin").fit(CorpusSample({}, tmp_path, 1))


def test_relevance_needs_enough_pages(tmp_path):
    with pytest.raises(DataError, match="1 pages could be labelled relevant and 0 not relevant, but at least 10"):
        Relevance(below=0.5).fit(CorpusSample({"web": [document(SHOP)]}, tmp_path, 1))


@pytest.mark.slow
def test_both_sources_share_one_reproducible_classifier(tmp_path):
    made = list(SamplePages(pages=400).documents(Shard(0, 1)))
    fitted = []
    for run in ("first", "second"):
        retail = Relevance(at_least=0.5).fit(CorpusSample({"retail": made}, tmp_path / run / "a", 17))
        web = Relevance(below=0.5).fit(CorpusSample({"web": made[::-1]}, tmp_path / run / "b", 17))
        assert retail.model == web.model
        fitted.append(hashlib.sha256(retail.model.read_bytes()).hexdigest())
    assert fitted[0] == fitted[1]
    report = json.loads((tmp_path / "first" / "a" / "relevance.json").read_text())
    assert report["f1"] > 0.9
    assert report["training"] + report["held_out"] == report["labels"]["retail"] + report["labels"]["other"]
    for page in made[:100]:
        assert retail.judge(page).keep != web.judge(page).keep
        assert 0 <= retail.judge(page).score <= 1
