"""The plugin keeps rexplug's contracts."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

import rexplug_example
from rexplug import Document
from rexplug.testing import check_corpus_filter, check_document_source, check_plugin, check_salience_scorer, run_tiny


# -- start plugin --
def test_every_component_keeps_its_contract():
    check_plugin(rexplug_example)


def test_the_recipe_runs():
    run = run_tiny(Path(__file__).parents[1] / "recipe.yaml")
    assert run.corpus["pharmacy"].kept > 50
    assert "example.same_drug" in {row["evaluator"] for row in run.evaluations}


# -- end plugin --


# -- start test --
def test_has_dosage():
    check_corpus_filter(
        rexplug_example.HasDosage(),
        keep=[Document("1", "Take 5 mg daily.")],
        drop=[Document("2", "Take it daily.")],
    )


# -- end test --


def test_leaflets():
    check_document_source(rexplug_example.Leaflets(count=20))


def test_doses():
    check_salience_scorer(rexplug_example.Doses(), "Take 5 mg daily.", salient=["5", "mg"])


def test_same_drug():
    # An encoder that knows the drugs and nothing else.
    drugs = {}
    encoder = SimpleNamespace(
        encode=lambda texts: np.eye(len(texts))[[drugs.setdefault(text.split()[2], len(drugs)) for text in texts]]
    )
    result = rexplug_example.SameDrug(count=120).evaluate(SimpleNamespace(encoder=encoder, seed=0))
    assert result.metrics["accuracy"].value == 1.0
    assert {row["accuracy"] for row in result.sections[0].table} == {1.0}
    assert [item.predicted for item in result.items] == [item.expected for item in result.items]
