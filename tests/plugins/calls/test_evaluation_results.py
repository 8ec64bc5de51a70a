"""What evaluators return: every field is checked, and everything that plugins do wrong in it has a complete message."""

import math

import numpy as np
import pytest
from toy_plugin import raising, returning, toy

import rexplug
from rexplug.errors import PluginError, brief
from rexplug.plugins import calls

METRICS = {"f1": rexplug.Metric(0.5)}
NAN = math.nan
TEXT = ("a", "b")
RANKED = "expected a sequence of RankedDocument with texts and numbers"
WORDS = "expected a sequence of MaskedWord with places in the text and a text"
SPANS = "expected a sequence of (first character, one past the last, label)"


def evaluated(returned):
    """The result of an evaluator that returns this."""
    return calls.evaluate_model(toy(rexplug.Evaluator, evaluate=returning(returned)), None)


def scored(**fields):
    """A result with scores of two items and one seed, of which some fields are others."""
    return rexplug.EvaluationResult(
        METRICS, "f1", scores={"f1": rexplug.Scores(**{"ids": TEXT, "values": [[0.0, 1.0]], **fields})}
    )


def result(**fields):
    """A result with some other fields."""
    return rexplug.EvaluationResult(**{"metrics": METRICS, "main": "f1", **fields})


def item(**fields):
    """A result with one item of which some fields are given."""
    return result(items=[rexplug.EvaluatedItem("a", "text", 1.0, **fields)])


def metric(*arguments, **fields):
    """A result with one metric."""
    return result(metrics={"f1": rexplug.Metric(*arguments, **fields)})


WRONG_RESULTS = [
    (result(metrics=["f1"]), "the metrics are ['f1']; expected name -> Metric"),
    (result(metrics={7: rexplug.Metric(0.5)}), "the metrics are {7: Metric("),
    (result(metrics={"f1": 0.5}), "the metric 'f1' is 0.5; expected a Metric with a finite value"),
    (metric("high"), "the metric 'f1' is 'high'; expected a Metric with a finite value"),
    (metric(None), "the metric 'f1' is None; expected a Metric with a finite value"),
    (metric(NAN), "the metric 'f1' is nan; expected a Metric with a finite value"),
    (metric(np.float32("inf")), f"the metric 'f1' is {np.float32('inf')!r}; expected a Metric with a finite value"),
    (metric(0.5, low=NAN), "'low' of the metric 'f1' is nan; expected a finite number or None"),
    (metric(0.5, high="1"), "'high' of the metric 'f1' is '1'; expected a finite number or None"),
    (metric(0.5, spread=[0.1]), "'spread' of the metric 'f1' is [0.1]; expected a finite number or None"),
    (metric(0.5, num_items=2.5), "'num_items' of the metric 'f1' is 2.5; expected a whole number or None"),
    (metric(0.5, num_seeds=-1), "'num_seeds' of the metric 'f1' is -1; expected a whole number or None"),
    (result(main="f2"), "the main metric 'f2' is not among f1"),
    (result(main=None), "the main metric 'None' is not among f1"),
    (metric(10**400), f"the metric 'f1' is {brief(10**400)}; expected a Metric with a finite value"),
    (result(main=["f1"]), "the main metric '['f1']' is not among f1"),
    (result(headlines=[["f1"]]), "'['f1']' of its headlines is not among its metrics: f1"),
    (result(metrics={}), "the main metric 'f1' is not among its metrics (none)"),
    (result(headlines="f1"), "'headlines' is 'f1'; expected a sequence of names of metrics"),
    (result(headlines=["f2"]), "'f2' of its headlines is not among its metrics: f1"),
    (result(lower_is_better=["loss"]), "'loss' of its lower_is_better is not among its metrics: f1"),
    (result(tables=[{"a": 1}]), "the tables are [{'a': 1}]; expected title -> rows"),
    (result(tables={"a": {"b": 1}}), "the table 'a' is {'b': 1}; expected a sequence of rows, each column -> value"),
    (result(tables={"a": [["b", 1]]}), "the table 'a' is [['b', 1]]; expected a sequence of rows, each column -> value"),
    (result(examples=["a"]), "the examples are ['a']; expected a sequence of mappings"),
    (result(notes="synthetic"), "the notes are 'synthetic'; expected a sequence of texts"),
    (result(notes=[7]), "the notes are [7]; expected a sequence of texts"),
    (result(sections="text"), "the sections are 'text'; expected a sequence of ReportSection"),
    (result(sections=["text"]), "one of the sections is 'text'; expected a ReportSection"),
    (result(items=["a"]), "one of the items is 'a'; expected an EvaluatedItem"),
    (result(items=[rexplug.EvaluatedItem(7, "a", 1.0)]), "an item has the id 7 and the text 'a'; expected texts"),
    (result(items=[rexplug.EvaluatedItem("a", "a", NAN)]),
     "the score of the item 'a' is nan; expected a finite number"),
    (item(correct="yes"), "'correct' of the item 'a' is 'yes'; expected True, False or None"),
    (item(second=7), "'second' of the item 'a' is 7; expected a text"),
    (item(part=7), "'part' of the item 'a' is 7; expected a text"),
    (item(expected=NAN), "'expected' of the item 'a' is nan; expected a text or a finite number"),
    (item(predicted=["b"]), "'predicted' of the item 'a' is ['b']; expected a text or a finite number"),
    (item(ranking=7), f"'ranking' of the item 'a' is 7; {RANKED}"),
    (item(missed=["b"]), f"'missed' of the item 'a' is ['b']; {RANKED}"),
    (item(missed=[rexplug.RankedDocument("b", "c", score="high")]),
     f"'missed' of the item 'a' is {brief([rexplug.RankedDocument('b', 'c', score='high')])}; {RANKED}"),
    (item(words=["b"]), f"'words' of the item 'a' is ['b']; {WORDS}"),
    (item(words=[rexplug.MaskedWord(0, 1, None, True)]),
     f"'words' of the item 'a' is {[rexplug.MaskedWord(0, 1, None, True)]!r}; {WORDS}"),
    (item(expected_spans=7), f"'expected_spans' of the item 'a' is 7; {SPANS}"),
    (item(predicted_spans=[(0, "1", "b")]), f"'predicted_spans' of the item 'a' is [(0, '1', 'b')]; {SPANS}"),
    (result(items=7), "the items are 7; expected a sequence of EvaluatedItem"),
    (result(scores=["f1"]), "the scores are ['f1']; expected name of a metric -> Scores"),
    (result(scores={"f1": [0.0, 1.0]}), "the scores of 'f1': they are [0.0, 1.0]; expected Scores"),
    (scored(ids=("a",)), "the scores of 'f1': there are 2 values in a row, but 1 ids"),
    (scored(ids=None), "the scores of 'f1': 'ids' is None; expected a sequence"),
    (scored(ids="ab"), "the scores of 'f1': 'ids' is 'ab'; expected a sequence"),
    (scored(groups=3), "the scores of 'f1': 'groups' is 3; expected a sequence or None"),
    (scored(ids=()), "the scores of 'f1': there are 2 values in a row, but 0 ids"),
    (scored(values=[0.0, 1.0]),
     "the scores of 'f1': 'values' has the shape [2]; expected rows of numbers, a row for each seed"),
    (scored(values=[[0.0, 1.0], [1.0]]),
     "the scores of 'f1': 'values' is [[0.0, 1.0], [1.0]]; expected numbers, in rows of one length"),
    (scored(values=[["yes", "no"]]),
     "the scores of 'f1': 'values' is [['yes', 'no']]; expected numbers, in rows of one length"),
    (scored(values=[[NAN, 1.0]]), "the scores of 'f1': 'values' holds a number that is not finite"),
    (scored(weights=[[1.0]]), "the scores of 'f1': there are 2 values in a row, but 1 weights in a row"),
    (scored(weights=[[1.0, 1.0]] * 2), "the scores of 'f1': there are 1 rows of values, but 2 rows of weights"),
    (scored(targets=[1.0]), "the scores of 'f1': there are 2 values in a row, but 1 targets"),
    (scored(targets=["a", "b"]), "the scores of 'f1': 'targets' is ['a', 'b']; expected numbers"),
    (scored(groups=["a"]), "the scores of 'f1': there are 2 values in a row, but 1 groups"),
    (scored(training_runs=[0, 1]), "the scores of 'f1': there are 1 rows of values, but 2 training_runs"),
    (scored(measure="median"),
     "the scores of 'f1': the measure is 'median'; expected one of mean, spearman, average_precision, best_accuracy, macro_f1, "
     "v_measure"),
    (scored(ids=(), values=(), parts={"one": rexplug.Scores(TEXT, [[1.0]])}),
     "the scores of 'f1': part 'one': there are 1 values in a row, but 2 ids"),
]  # fmt: skip


@pytest.mark.parametrize(("returned", "problem"), WRONG_RESULTS)
def test_results_of_evaluators_are_checked(installed, returned, problem):
    with pytest.raises(PluginError) as caught:
        evaluated(returned)
    assert str(caught.value).startswith(f"legal 0.1.0: legal.toy: {problem}")


@pytest.mark.parametrize(
    "returned",
    [
        metric(np.float32(0.5), low=np.float64(0.1), num_items=np.int64(2)),
        scored(values=np.zeros((1, 2)), weights=[[1, 1]], targets=np.ones(2), groups=["a", "a"], training_runs=[0]),
        result(scores={"f1": rexplug.Scores(parts={"one": rexplug.Scores(TEXT, [[0, 1]])})}),
        result(tables={"a": [{"b": 1}]}, examples=({"c": 2},), notes=("n",), headlines=("f1",), lower_is_better=["f1"]),
        result(items=[rexplug.EvaluatedItem("a", "a", np.float32(1))]),
        item(correct=np.True_, expected=np.float32(1), predicted=True, part="web", second="b"),
        item(expected_spans=[(np.int64(0), 1, "b")], predicted_spans=(), words=[rexplug.MaskedWord(0, 1, "b", True)]),
        item(ranking=[rexplug.RankedDocument("b", "c", np.int64(1), np.float32(0.5), 1)], missed=()),
    ],
)
def test_results_with_numbers_of_numpy_and_further_fields_are_accepted(returned):
    assert evaluated(returned) is returned


def test_what_a_service_of_rexplug_finds_wrong_names_the_evaluator(installed):
    evaluator = toy(rexplug.Evaluator, evaluate=raising(PluginError("task 'Cites': loss() returned None")))
    with pytest.raises(PluginError) as caught:
        calls.evaluate_model(evaluator, None)
    assert str(caught.value) == "legal 0.1.0: legal.toy: task 'Cites': loss() returned None"
    own = PluginError("legal.toy: nothing is held out")
    with pytest.raises(PluginError) as caught:
        calls.evaluate_model(toy(rexplug.Evaluator, evaluate=raising(own)), None)
    assert caught.value is own
