"""The summary at the end of a run: each metric in its own column, and none of a model that no longer exists."""

import io

import pytest
from rich.console import Console

from rexplug.api import Run
from rexplug.cli.summary import print_summary
from rexplug.run_directory import RunDirectory


def measured(value):
    return {"result": {"f1": {"main": "f1", "value": value, "low": value - 0.1, "high": value + 0.1}}, "status": "done"}


@pytest.fixture
def summary(tokenized_run, tmp_path):
    _, recipe, _ = tokenized_run
    run = RunDirectory(tmp_path)
    run.model.mkdir()

    def summary(stages):
        text = io.StringIO()
        print_summary(Run(tmp_path, "done", {"stages": stages}), recipe, Console(file=text, width=160, highlight=False))
        return text.getvalue()

    return summary


def row(text, name):
    return next(line for line in text.splitlines() if line.strip().startswith(name))


def test_an_interval_is_shown_beside_its_metric(summary):
    text = summary(
        {"evaluate.initial": measured(0.5), "evaluate.baselines": {"result": {"bm25": {"f1": {"value": 0.7}}}}}
    )
    header, line = row(text, "evaluation"), row(text, "f1")
    end = header.index("initial") + len("initial")
    assert line.index("0.500 (0.400-0.600)") + len("0.500 (0.400-0.600)") == end
    assert line.rstrip().endswith("0.700")
    both = row(summary({"evaluate.initial": measured(0.5), "evaluate.anneal": measured(0.6)}), "f1")
    assert "0.600 (0.500-0.700)" in both
    assert "0.500 (" not in both


def test_results_of_removed_weights_are_left_out(summary):
    stages = {
        "evaluate.initial": measured(0.5),
        "evaluate.anneal": {**measured(0.8), "stale": "train.anneal ran again"},
        "export": {"status": "done", "stale": "train.anneal ran again"},
    }
    text = summary(stages)
    assert "0.800" not in text
    assert "0.500 (0.400-0.600)" in text
    assert "Left out, since what they depend on has changed: evaluate.anneal, export" in text
    assert "load it:" not in text
    del stages["evaluate.anneal"]["stale"]
    del stages["export"]["stale"]
    text = summary(stages)
    assert "0.800 (0.700-0.900)" in text
    assert "load it:" in text
