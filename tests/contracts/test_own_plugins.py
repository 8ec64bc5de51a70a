"""The plugins that ship with rexplug pass the checks for plugin authors, with the example plugin's installed tests beside them."""

import csv
import json

import pytest

import rexplug_annealing
import rexplug_ecommerce
import rexplug_guided_mlm
from rexplug import FineTuning
from rexplug.testing import check_plugin
from rexplug_ecommerce import (
    AttributeTagging,
    EsciSearch,
    EsciSimilarity,
    IcecatSearch,
    ProductClassification,
    ProductMatching,
    ProductSearch,
    QueryClassification,
)
from rexplug_guided_mlm import Guided
from rexplug_guided_mlm.contrastive import Contrastive

pytestmark = pytest.mark.slow
SHORT = FineTuning(steps=2, batch=4, seeds=1, checkpoints=1, learning_rates=(1e-3,), modes=("full",), max_tokens=24)
SHARES = {"web": 0.8, "shop": 0.2}
MOVING = {"start": SHARES, "end": {"web": 0.1, "shop": 0.9}}
SCHEDULES = [
    rexplug_annealing.Constant(shares=SHARES),
    rexplug_annealing.Linear(**MOVING),
    rexplug_annealing.Cosine(**MOVING),
    rexplug_annealing.OneMinusSqrt(**MOVING),
    rexplug_annealing.Stepwise(steps=[{"from": 0, "shares": {"web": 1}}, {"from": 0.7, "shares": {"web": 1, "shop": 2}}]),
    rexplug_annealing.Curriculum(phase="anneal", general="web", domain={"shop": 3}),
    rexplug_annealing.Temperature(tokens={"web": "2B", "shop": "10M"}, exponent={"start": 0.7, "end": 0.3}),
]  # fmt: skip


def untried(lines):
    return [line for line in lines if not line.endswith(": tried")]


def test_annealing():
    assert untried(check_plugin(rexplug_annealing, examples=SCHEDULES)) == []


def test_guided_mlm():
    scorer = Contrastive(domain="domain", general="general")
    assert untried(check_plugin(rexplug_guided_mlm, examples=[scorer, Guided(scorer=scorer)])) == []


def table(path, columns, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def records(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def evaluators(tmp_path):
    """The evaluators of the plugin, on a few made-up products and queries."""
    names = [f"{colour} {thing} {size}" for colour in ("red", "blue", "black") for thing in ("shoe", "lamp", "kettle", "sock")
             for size in ("small", "large")]  # fmt: skip
    products = table(
        tmp_path / "products.csv", ["id", "asin", "title", "brand", "color", "short_description"],
        [[number, number, name, "Acme", name.split()[0], f"A {name}."] for number, name in enumerate(names)],
    )  # fmt: skip
    queries = [f"{name.rpartition(' ')[0]} {number}" for number, name in enumerate(names * 3)]
    pairs = [
        (query, at) for number, query in enumerate(queries) for at in (number % len(names), (number + 5) % len(names))
    ]
    esci = table(
        tmp_path / "esci.csv",
        ["query", "docId", "esci_label"],
        [[*pair, "ESCI"[at % 4]] for at, pair in enumerate(pairs)],
    )
    icecat = table(
        tmp_path / "icecat.csv", ["query", "docid", "rating"], [[*pair, 3 - at % 4] for at, pair in enumerate(pairs)]
    )
    classes = table(
        tmp_path / "classes.csv", ["product_title", "category_label", "cluster_id"],
        [[f"{name} {number}", name.split()[1], number] for number, name in enumerate(names * 3)],
    )  # fmt: skip
    searched = table(
        tmp_path / "queries.csv", ["query", "query_class"], [[query, query.split()[1]] for query in queries]
    )
    offers = records(tmp_path / "offers.jsonl", [
        {"left": {"title": one}, "right": {"title": other}, "label": int(one == other), "split": split}
        for split in ("train", "valid", "test") for at, one in enumerate(names) for other in (one, names[at - 1])
    ])  # fmt: skip
    tagged = records(tmp_path / "tagged.jsonl", [
        {"input": f"{name} {number}", "target_scores": {"colour": {name.split()[0]: 1}}}
        for number, name in enumerate(names * 3)
    ])  # fmt: skip
    return [
        ProductSearch(products=60, queries=20, pairs=60, tuning=SHORT),
        EsciSearch(products=products, judgments=esci, tuning=SHORT),
        EsciSimilarity(products=products, judgments=esci, tuning=SHORT),
        IcecatSearch(products=products, judgments=icecat, tuning=SHORT),
        ProductMatching(data=offers, tuning=SHORT),
        ProductClassification(data=classes, tuning=SHORT),
        QueryClassification(data=searched, tuning=SHORT),
        AttributeTagging(data=tagged, tuning=SHORT),
    ]


def test_ecommerce(evaluators):
    assert untried(check_plugin(rexplug_ecommerce, examples=evaluators)) == []
