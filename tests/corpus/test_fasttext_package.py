"""Where fastText is not installed (it has no wheel for Python 3.13), what needs it says so before a run."""

import sys
from pathlib import Path

import pytest

import rexplug
from rexplug.recipe import load_recipe

MISSING = (
    "fastText is not installed; there is no wheel of it for Python 3.13: run `pip install 'rexplug[fasttext]'`, which compiles it "
    "(a C++ compiler is needed), or use Python 3.11 or 3.12"
)


@pytest.fixture(autouse=True)
def without_fasttext(monkeypatch):
    monkeypatch.setitem(sys.modules, "fasttext", None)


def test_check_names_the_filters_that_need_it():
    report = rexplug.check(load_recipe(Path("ecommerce")))
    assert report.problems == tuple(
        f"sources.{source}.filters.{number} (relevance): {MISSING}" for source, number in (("web", 4), ("retail", 3))
    )


def test_recipes_without_it_are_in_order():
    changes = ["relevance=null", "sources.web.filters=[]", "sources.retail.filters=[]"]
    assert rexplug.check(load_recipe(Path("ecommerce"), changes)).problems == ()


def test_a_language_model(tmp_path):
    from rexplug.corpus.filters.language import Language

    (tmp_path / "lid.bin").touch()
    with pytest.raises(rexplug.DataError) as error:
        Language(model=tmp_path / "lid.bin").check()
    assert str(error.value) == MISSING
