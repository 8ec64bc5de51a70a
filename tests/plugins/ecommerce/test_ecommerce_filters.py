import pytest
from pydantic import ValidationError

from rexplug import Document, Shard
from rexplug.testing import check_corpus_filter
from rexplug_ecommerce import Domains, ProductPage, Retail, SamplePages, Spam
from rexplug_ecommerce.signals import signals

SHOP = "Acme kettle KT-200, steel\nBrand: Acme\nColour: red\nPrice: $29.99. In stock, free delivery. Capacity 1.7 l."
ESSAY = "The committee met in the old library and argued for hours about the meaning of a poem nobody had read. " * 3


def document(text):
    return Document(id="1", text=text)


def test_product_page_keeps_offers_and_gives_reasons_for_drops():
    assert ProductPage().judge(document(SHOP)).keep
    verdict = ProductPage().judge(document(ESSAY))
    assert (verdict.keep, verdict.reason) == (False, "few product signals")
    thin = ProductPage(min_density=60).judge(document(SHOP))
    assert (thin.keep, thin.reason) == (False, "thin product signals")
    broken = ProductPage().judge(document("\n".join(f"<div><b>{line}</b></div>&nbsp;" for line in SHOP.splitlines())))
    assert (broken.keep, broken.reason) == (False, "broken text")


@pytest.mark.parametrize(
    ("kind", "text", "count"),
    [
        ("prices", "$5, € 12,50, usd 7, TRY 80, 9.99 Eur, 80 SEK, 20zł and 300円", 8),
        ("prices", "try 80, fusd 7, x5 EUR, 20 europe, TRY it, $ and 30", 0),
        ("buy", "Add to Basket. IN STOCK; free returns, Bestseller, money-back", 5),
        ("buy", "restock, in stocks, add to the basket", 0),
        ("attributes", "Brand: Acme; Colour: red, size 9\nWeight | 2", 4),
        ("attributes", "the brand: Acme", 0),
        ("skus", "AB-12, 9X/77-B and WH1000XM", 3),
        ("skus", "aAB-12, AB-CD, 12-34, A1000 and WH1000xm", 0),
        ("measures", '5 mm, 2.5kg, 1,5 l, 40%, 27" and 3 GB', 6),
        ("measures", "x5 mm, 5 mmm, 5 MM and kg", 0),
    ],
)
def test_signals_are_whole_words(kind, text, count):
    assert getattr(signals(text), kind) == count


def test_spam_counts_the_first_500_words_of_any_length():
    text = " ".join(f"supercalifragilistic{n % 20}" for n in range(500)) + " ".join(f" word{n}" for n in range(500))
    verdict = Spam(min_distinct=0.05).judge(document(text))
    assert (verdict.reason, verdict.score) == ("few distinct words", 20 / 500)


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


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (SHOP, True),
        (
            "Works great and fits my sofa. Does it come with batteries? I bought this pillow for the price, well made.",
            True,
        ),
        (
            "Elevate your kitchen with this durable stainless steel kettle, perfect for tea. Easy to clean, premium finish.",
            True,
        ),
        (ESSAY, False),
        (
            "He was born in 1902 and became president of the university; the novel that he published was a war story.",
            False,
        ),
        ("Kettle", None),
        (
            "A walk along the river takes an hour and is best in spring, when birds sing and the grass is not yet high.",
            None,
        ),
    ],
)
def test_the_rule_labels_clear_cases_and_leaves_the_rest(text, label):
    assert Retail().by_rule(text) is label


def test_the_rule_needs_two_thresholds_apart():
    with pytest.raises(ValidationError, match="must be less than `relevant_from`"):
        Retail(relevant_from=0, other_up_to=0)


def test_domains_by_metadata_and_by_folder():
    check_corpus_filter(
        Domains(),
        keep=[
            Document("1", "x", metadata={"domain": "Fashion"}),
            Document("2", "x", metadata={"place": "a/beauty/1.jsonl:3"}),
        ],
        drop=[
            Document("3", "x", metadata={"domain": "law"}),
            Document("4", "x", metadata={"place": "fashion.jsonl:1"}),
        ],
    )
    assert Domains(domains=("law",)).judge(Document("5", "x", metadata={"domain": "fashion"})).reason == "other domain"
