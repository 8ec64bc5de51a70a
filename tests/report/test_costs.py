"""Seconds and texts per second beside metrics."""

import io
import json

from rich.console import Console

from rexplug.cli.comparison import print_comparison
from rexplug.report.compare import compare_models, pooled
from rexplug.report.comparison_page import write_comparison
from rexplug.report.costs import cost_of
from rexplug.report.results import ModelResults


def result(seconds, *, texts=0, reading=0.0, device="AMD EPYC, 2 threads", precision="fp32", budget="standard"):
    metric = {"value": 0.5, "low": None, "high": None, "num_items": 3, "spread": None, "num_seeds": None}
    content = {
        "evaluator": "toy.search", "label": "toy.search", "main": "score", "metrics": {"score": metric}, "seconds": seconds,
        "device": device, "budget": budget, "work": {"texts": texts, "reading_seconds": reading},
    }  # fmt: skip
    return content | ({"precision": precision} if precision else {})


def models():
    return [
        ModelResults("one", {"toy.search": result(41.2, texts=3100, reading=10.0)}, {}),
        ModelResults("gpu", {"toy.search": result(4.25, texts=30, reading=8.0, device="H100", precision="bf16")}, {}),
        ModelResults("bm25", {"toy.search": result(0.4, precision="")}, {}, stored=frozenset({"toy.search"})),
        ModelResults("old", {"toy.search": {**result(3.0), "device": ""}}, {}),
        ModelResults("other", {"toy.search": {"not_applicable": "no words", "seconds": 1.0}}, {}),
    ]


def test_costs_are_shown():
    found = [cost_of(model, "toy.search") for model in models()]
    assert [cost.shown if cost else None for cost in found] == [
        "41 s, 310 texts/s", "4.2 s, 3.8 texts/s", "0.4 s*", "3.0 s", None,
    ]  # fmt: skip
    assert [cost.conditions if cost else None for cost in found] == [
        "AMD EPYC, 2 threads, fp32", "H100, bf16", "AMD EPYC, 2 threads", "unknown device, fp32", None,
    ]  # fmt: skip


def test_tables_have_costs_and_say_where_they_were_measured(tmp_path):
    comparison = compare_models(models())
    assert comparison.notes[-2:] == [
        "Time: the whole evaluation, and texts that the network reads in a second, tokenization not included; one on AMD EPYC, "
        "2 threads, fp32; gpu on H100, bf16; bm25 on AMD EPYC, 2 threads; old on unknown device, fp32.",
        "*: stored by an earlier evaluation, whose machine may have been under a different load.",
    ]
    file = io.StringIO()
    print_comparison(comparison, Console(file=file, width=120))
    assert "310 texts/s" in file.getvalue()
    assert "0.4 s*" in file.getvalue()
    page, content = tmp_path / "c.html", tmp_path / "c.json"
    write_comparison(comparison, html=page, json=content)
    assert "41 s, 310 texts/s" in page.read_text()
    costs = json.loads(content.read_text())["costs"]["toy.search"]
    assert costs[0] == {
        "seconds": 41.2, "texts_per_second": 310.0, "device": "AMD EPYC, 2 threads", "precision": "fp32",
        "budget": "standard", "stored": False,
    }  # fmt: skip
    assert costs[4] is None


def test_models_on_one_machine_are_not_listed():
    assert compare_models(models()[:1]).notes == [
        "Time: the whole evaluation, and texts that the network reads in a second, tokenization not included; AMD EPYC, "
        "2 threads, fp32."
    ]


def test_seconds_of_pooled_runs_are_their_mean():
    runs = [
        ModelResults(f"seed-{n}", {"toy.search": result(10.0 * n, texts=100, reading=float(n))}, {}) for n in (1, 3)
    ]
    cost = cost_of(pooled("a", runs), "toy.search")
    assert (cost.seconds, cost.texts_per_second) == (20.0, 50.0)
