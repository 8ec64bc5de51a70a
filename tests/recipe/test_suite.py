"""Suites of evaluators: from plugins and from files."""

from pathlib import Path

import pytest

from rexplug import RecipeError
from rexplug.plugins.discovery import load_plugins
from rexplug.recipe import load_suite

REGISTRY = load_plugins()


def test_data_is_substituted(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("evaluators:\n  - {use: classification, train: $DATA/train.csv, title: mine}\n")
    (evaluator,) = load_suite(str(path), Path("/data"), REGISTRY).evaluators
    assert evaluator.train == Path("/data/train.csv")
    assert evaluator.label == "classification.mine"
    with pytest.raises(RecipeError) as caught:
        load_suite(str(path), None, REGISTRY)
    assert str(caught.value) == f"the suite {path} reads local data: give its folder with --data DIR"


def test_a_suite_names_files_in_its_own_folder(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "evaluators:\n  - {use: classification, train: $SUITE_DIR/tasks/train.csv, test: $SUITE_DIRS/a.csv}\n"
    )
    (evaluator,) = load_suite(str(path), None, REGISTRY).evaluators
    assert evaluator.train == tmp_path / "tasks" / "train.csv"
    assert evaluator.test == Path("$SUITE_DIRS/a.csv")


def test_an_unknown_suite_lists_the_installed_ones():
    with pytest.raises(RecipeError) as caught:
        load_suite("ecomerce", None, REGISTRY)
    assert str(caught.value) == (
        "--suite ecomerce: no plugin of that name ships a suite; write the path of a YAML file or one of the installed suites: ecommerce"
    )


def test_problems_have_file_and_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("descriptoin: x\nevaluators:\n  - {use: classification, trian: a.csv}\n  - clasification\n")
    with pytest.raises(RecipeError) as caught:
        load_suite(str(path), None, REGISTRY)
    text = str(caught.value)
    assert text.startswith(f"{path} has 4 problems:\n")
    assert f"{path}:1: descriptoin: unknown key; did you mean 'description'?" in text
    assert f"{path}:3: evaluators.0.trian: unknown key; did you mean 'train'?" in text
    assert f"{path}:3: evaluators.0.train: is missing" in text
    assert f"{path}:4: evaluators.1: no Evaluator is called 'clasification'; did you mean 'classification'?" in text


def test_two_evaluators_with_one_label_are_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("evaluators:\n  - {use: classification, train: a.csv}\n  - {use: classification, train: b.csv}\n")
    with pytest.raises(RecipeError) as caught:
        load_suite(str(path), None, REGISTRY)
    assert str(caught.value) == f"{path} has 1 problem:\n  {path}: 'classification' is listed twice"
