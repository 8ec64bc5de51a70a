"""The printed table of a comparison."""

import io

import pytest
from rich.console import Console

from rexplug.cli.comparison import print_comparison
from rexplug.report.compare import compare_models
from rexplug.report.results import ModelResults

NAMES = [f"a-model-with-a-long-name-{number}" for number in range(8)]


def printed(**options):
    metric = {"value": 0.5, "low": 0.41, "high": 0.59, "num_items": 3, "spread": None, "num_seeds": None}
    result = {"evaluator": "toy", "label": "toy", "main": "score", "metrics": {"score": metric}}
    models = [ModelResults(name, {"toy": result}, {}) for name in NAMES[:-1]]
    models.append(ModelResults(NAMES[-1], {"toy": {"not_applicable": "the model predicts no words"}}, {}))
    file = io.StringIO()
    print_comparison(compare_models(models), Console(file=file, **options))
    return file.getvalue()


def test_a_table_for_a_file_is_as_wide_as_it_needs(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = printed().splitlines()
    assert lines[0].split() == ["metric", *NAMES]
    assert lines[3].split() == ["[0.41-0.59]"] * 7
    assert max(map(len, lines)) < 300


@pytest.mark.parametrize("options", [{"force_terminal": True, "width": 100}, {"width": 100}])
def test_a_width_that_is_given_is_kept(monkeypatch, options):
    monkeypatch.setenv("COLUMNS", "100")
    assert max(map(len, printed(color_system=None, **options).splitlines())) <= 100


def test_a_reason_names_the_evaluator(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert "\ntoy: the model predicts no words\n" in printed()
