"""Calls into plugins: messages of failures, accepted results, and refused ones. Every message is matched completely."""

import errno
import traceback

import numpy as np
import pytest

import rexplug
from rexplug.batches.policies import RandomMasking
from rexplug.corpus.filters import Length
from rexplug.errors import DataError, PluginError
from rexplug.plugins import calls
from rexplug.plugins.calls import PluginCall

DOCUMENTS = [rexplug.Document(f"op-{number}", "text") for number in range(3)]
TOKENS = rexplug.TokenizedDocument(
    "op-1", "a b", np.zeros(2, np.uint32), np.array([[0, 1], [2, 3]], np.uint32), np.ones(2, np.bool_)
)
ROW = rexplug.TokenBatch(np.zeros(4, np.int64), np.array([0, 4]), np.ones(4, np.bool_), {})


def component(base, **methods):
    """A component of the plugin `legal` with these methods."""
    return type("Toy", (base,), {"name": "legal.toy", "__module__": __name__, **methods})()


def raising(error):
    def method(self, *arguments):
        raise error

    return method


def returning(value):
    return lambda self, *arguments: value


def message(call, *arguments):
    with pytest.raises(PluginError) as caught:
        result = call(*arguments)
        list(result)
    return str(caught.value)


@pytest.fixture
def installed(monkeypatch):
    """The plugin `legal` comes with a distribution of version 0.1.0."""
    monkeypatch.setattr(calls, "_version", {"legal": "0.1.0"}.get)


def test_a_failure_names_plugin_component_method_and_document_with_the_lines_of_the_plugin(installed):
    judge = raising(ValueError("invalid citation"))
    first, line = message(calls.judge_documents, component(rexplug.CorpusFilter, judge=judge), DOCUMENTS).splitlines()
    assert first == "legal 0.1.0: legal.toy.judge() raised ValueError on document 'op-0': invalid citation"
    assert line.startswith(f"  {__file__}:")
    assert line.endswith(", in method: raise error")


def test_the_traceback_of_the_plugin_stays_with_the_error():
    with pytest.raises(PluginError) as caught:
        calls.judge_document(component(rexplug.CorpusFilter, judge=raising(ValueError("x"))), DOCUMENTS[0])
    assert isinstance(caught.value.__cause__, ValueError)


def test_lines_of_libraries_and_of_rexplug_are_left_out():
    def judge(self, document):
        return rexplug.Verdict(np.linalg.inv(np.zeros((2, 2))) is not None)

    lines = message(calls.judge_document, component(rexplug.CorpusFilter, judge=judge), DOCUMENTS[0]).splitlines()
    assert lines[0] == "legal.toy.judge() raised LinAlgError on document 'op-0': Singular matrix"
    assert [line.partition(", in ")[2].partition(":")[0] for line in lines[1:]] == ["judge"]


def test_a_failure_without_text():
    call = component(rexplug.MixingSchedule, weights=raising(ZeroDivisionError()))
    assert message(calls.mixing_weights, call, 0.5).splitlines()[0] == (
        "legal.toy.weights() raised ZeroDivisionError at progress 0.5"
    )


@pytest.mark.parametrize(
    ("subject", "described"),
    [
        (DOCUMENTS[1], " on document 'op-1'"),
        (TOKENS, " on document 'op-1'"),
        (DOCUMENTS, " on 3 documents, 'op-0' to 'op-2'"),
        (rexplug.Shard(1, 8), " on shard 2 of 8"),
        (ROW, " on a row of 4 tokens"),
        (0.25, " at progress 0.25"),
        ("on 7 candidates", " on 7 candidates"),
        ("", ""),
    ],
)
def test_what_a_call_was_made_on(subject, described):
    with pytest.raises(PluginError) as caught, PluginCall(component(rexplug.Component), "work", subject):
        raise KeyError("x")
    assert str(caught.value).splitlines()[0] == f"legal.toy.work() raised KeyError{described}: 'x'"


@pytest.mark.parametrize(
    "error", [DataError("a file is missing"), rexplug.NotApplicable("no head"), KeyboardInterrupt()]
)
def test_errors_that_are_meant_for_the_user_or_end_the_process_pass(error):
    with pytest.raises(type(error)) as caught, PluginCall(component(rexplug.Component), "work"):
        raise error
    assert caught.value is error
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), MemoryError()])
def test_errors_of_the_machine_are_noted_and_passed_on(error):
    with pytest.raises(type(error)) as caught, PluginCall(component(rexplug.Component), "work", DOCUMENTS[0]):
        raise error
    assert caught.value is error
    assert traceback.format_exception(error)[-1] == "raised by the plugin's legal.toy.work() on document 'op-0'\n"
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    assert str(calls.plugin_at_fault(error)) == f"legal.toy.work() on document 'op-0': {text}"


def test_errors_of_the_machine_in_the_core_are_no_fault_of_a_plugin():
    with pytest.raises(OSError, match="x") as caught, PluginCall(Length(), "judge", DOCUMENTS[0]):
        raise OSError("x")
    assert caught.value.__notes__ == ["raised by length.judge() on document 'op-0'"]
    assert calls.plugin_at_fault(caught.value) is None
    assert calls.plugin_at_fault(ValueError("x")) is None


def test_a_plugin_that_ends_the_process_is_stopped():
    text = message(calls.judge_document, component(rexplug.CorpusFilter, judge=raising(SystemExit(0))), DOCUMENTS[0])
    assert text.splitlines()[0] == "legal.toy.judge() raised SystemExit on document 'op-0': 0"


class WithoutText(Exception):
    def __str__(self):
        raise RuntimeError


class WithoutRepr:
    def __repr__(self):
        raise RuntimeError


def test_an_exception_whose_text_cannot_be_shown():
    text = message(calls.judge_document, component(rexplug.CorpusFilter, judge=raising(WithoutText())), DOCUMENTS[0])
    assert text.splitlines()[0] == (
        "legal.toy.judge() raised WithoutText on document 'op-0': <WithoutText whose text cannot be shown>"
    )


def test_a_value_whose_repr_raises():
    judge = returning(WithoutRepr())
    assert message(calls.judge_document, component(rexplug.CorpusFilter, judge=judge), DOCUMENTS[0]) == (
        "legal.toy.judge() returned <WithoutRepr whose repr raises> for document 'op-0'; expected a Verdict"
    )


@pytest.mark.parametrize(
    ("document", "shown"),
    [
        ("text", "'text'; expected a Document"),
        (rexplug.Document(7, "text"), "a document with the id 7; expected a str"),
        (rexplug.Document("op-1", None), "a document with the text None; expected a str"),
        (rexplug.Document("op-1", "text", 7), "a document with the url 7; expected a str or None"),
        (rexplug.Document("op-1", "text", None, ["a"]), "a document with the metadata ['a']; expected a mapping"),
    ],
)
def test_what_a_source_yields(document, shown):
    source = component(rexplug.DocumentSource, documents=lambda self, shard: iter([document]))
    assert message(calls.read_documents, source, rexplug.Shard(0, 1)) == f"legal.toy.documents() yielded {shown}"


@pytest.mark.parametrize(
    ("verdict", "problem"),
    [
        (rexplug.Verdict(True, score="high"), "the score 'high'; expected a number"),
        (rexplug.Verdict(True, text=7), "the text 7; expected a str"),
        (rexplug.Verdict(True, metadata=["a"]), "the metadata ['a']; expected a mapping"),
        (
            rexplug.Verdict(True, text="a\ud800"),
            "the text 'a\\ud800', which has a lone surrogate and is not valid Unicode",
        ),
        (rexplug.Verdict(False, 7), "the reason 7; expected a str"),
    ],
)
def test_the_fields_of_a_verdict(verdict, problem):
    one = component(rexplug.CorpusFilter, judge=returning(verdict))
    bulk = component(rexplug.CorpusFilter, judge=returning(None), judge_batch=returning([verdict] * 3))
    for method, toy in (("judge", one), ("judge_batch", bulk)):
        assert message(calls.judge_documents, toy, DOCUMENTS) == (
            f"legal.toy.{method}() returned for document 'op-0' a verdict with {problem}"
        )


def test_a_filter_that_empties_its_list_loses_no_document():
    def judge_batch(self, documents):
        documents.clear()
        return []

    batch = list(DOCUMENTS)
    bulk = component(rexplug.CorpusFilter, judge=returning(None), judge_batch=judge_batch)
    assert message(calls.judge_documents, bulk, batch) == (
        "legal.toy.judge_batch() returned 0 values, or other values than verdicts, for 3 documents; expected a Verdict per "
        "document"
    )
    assert batch == DOCUMENTS


def test_a_bug_in_the_core_keeps_its_type_and_names_its_input():
    with pytest.raises(ZeroDivisionError) as caught, PluginCall(Length(), "judge", DOCUMENTS[0]):
        raise ZeroDivisionError
    assert caught.value.__notes__ == ["raised by length.judge() on document 'op-0'"]


def test_a_plugin_that_extends_a_class_of_the_core_is_a_plugin():
    policy = type("Toy", (RandomMasking,), {"name": "legal.toy", "choose": raising(ValueError("x"))})()
    text = message(calls.choose_tokens, policy, ROW, 0.0, None)
    assert text.splitlines()[0] == "legal.toy.choose() raised ValueError on a row of 4 tokens: x"


def test_the_version_is_that_of_the_distribution():
    shipped = type("Toy", (rexplug.Component,), {"name": "ecommerce.toy", "__module__": "rexplug_ecommerce"})()
    assert calls.owner(shipped) == f"ecommerce {rexplug.__version__}: "
    assert calls.owner(component(rexplug.Component)) == ""
    assert calls.owner(Length()) == ""


def test_documents_are_read_lazily_and_a_failure_in_the_middle_names_the_shard():
    def documents(self, shard):
        yield DOCUMENTS[0]
        raise ValueError("bad page")

    stream = calls.read_documents(component(rexplug.DocumentSource, documents=documents), rexplug.Shard(0, 2))
    assert next(stream) == DOCUMENTS[0]
    assert message(lambda: stream).splitlines()[0] == (
        "legal.toy.documents() raised ValueError on shard 1 of 2: bad page"
    )


def test_an_error_of_the_consumer_is_not_blamed_on_the_source():
    stream = calls.read_documents(
        component(rexplug.DocumentSource, documents=lambda self, shard: iter(DOCUMENTS)), rexplug.Shard(0, 1)
    )
    with pytest.raises(ZeroDivisionError):
        for _ in stream:
            raise ZeroDivisionError


def test_verdicts():
    keep = rexplug.Verdict(True)
    assert calls.judge_documents(component(rexplug.CorpusFilter, judge=returning(keep)), DOCUMENTS) == [keep] * 3
    assert message(calls.judge_document, component(rexplug.CorpusFilter, judge=returning(True)), DOCUMENTS[0]) == (
        "legal.toy.judge() returned True for document 'op-0'; expected a Verdict"
    )


@pytest.mark.parametrize("verdicts", [[rexplug.Verdict(True)], [True, True, True]])
def test_verdicts_in_bulk(verdicts):
    bulk = component(rexplug.CorpusFilter, judge=returning(None), judge_batch=returning(verdicts))
    assert message(calls.judge_documents, bulk, DOCUMENTS) == (
        f"legal.toy.judge_batch() returned {len(verdicts)} values, or other values than verdicts, for 3 documents; expected a "
        "Verdict per document"
    )
    failing = component(rexplug.CorpusFilter, judge=returning(None), judge_batch=raising(ValueError("x")))
    assert message(calls.judge_documents, failing, DOCUMENTS).splitlines()[0] == (
        "legal.toy.judge_batch() raised ValueError on 3 documents, 'op-0' to 'op-2': x"
    )


@pytest.mark.parametrize("labels", [[True], [True, "yes"]])
def test_labels(labels):
    candidates = [rexplug.Candidate("web", document) for document in DOCUMENTS[:2]]
    good = component(rexplug.Labeller, label=returning([True, None]))
    assert calls.label_candidates(good, candidates, None) == [True, None]
    assert message(calls.label_candidates, component(rexplug.Labeller, label=returning(labels)), candidates, None) == (
        f"legal.toy.label() returned {labels!r} for 2 candidates; expected True, False or None per candidate"
    )


@pytest.mark.parametrize(
    "weights", [{"web": -1.0, "shop": 2.0}, {"web": float("nan")}, {"web": 0.0}, {"web": 1e308, "shop": 1e308}]
)
def test_weights(weights):
    assert calls.mixing_weights(component(rexplug.MixingSchedule, weights=returning({"web": 2})), 0.0) == {"web": 2.0}
    assert message(calls.mixing_weights, component(rexplug.MixingSchedule, weights=returning(weights)), 0.0) == (
        f"legal.toy.weights(0) returned {weights}; weights are finite, at least 0 and not all 0"
    )


def test_no_weights_at_all():
    assert message(calls.mixing_weights, component(rexplug.MixingSchedule, weights=returning({})), 0.0) == (
        "legal.toy.weights(0) returned {}; weights are finite, at least 0 and not all 0"
    )


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [(np.zeros(4), "float64 [4]"), (np.zeros(3, np.bool_), "bool [3]"), ([True] * 4, "[True, True, True, True]")],
)
def test_chosen_tokens(chosen, shown):
    policy = component(RandomMasking, choose=returning(chosen))
    assert message(calls.choose_tokens, policy, ROW, 0.0, None) == (
        f"legal.toy.choose() returned {shown}; expected bool [4]"
    )


def test_scores():
    scorer = component(rexplug.SalienceScorer, score=returning(np.zeros(2, np.int64)))
    assert message(calls.score_document, scorer, TOKENS) == (
        "legal.toy.score() returned int64 [2] for document 'op-1'; expected uint8 [2]"
    )
    good = np.array([0, 9], np.uint8)
    assert calls.score_document(component(rexplug.SalienceScorer, score=returning(good)), TOKENS) is good


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (3, ".evaluate() returned 3; expected an EvaluationResult"),
        (
            rexplug.EvaluationResult({"f1": rexplug.Metric(float("nan"))}, "f1"),
            ": the metric 'f1' is nan; expected a Metric with a finite value",
        ),
        (
            rexplug.EvaluationResult({"f1": 0.5}, "f1"),
            ": the metric 'f1' is 0.5; expected a Metric with a finite value",
        ),
        (
            rexplug.EvaluationResult({"f1": rexplug.Metric("high")}, "f1"),
            ": the metric 'f1' is 'high'; expected a Metric with a finite value",
        ),
        (rexplug.EvaluationResult(["f1"], "f1"), ": the metrics are ['f1']; expected name -> Metric"),
        (rexplug.EvaluationResult({"f1": rexplug.Metric(1.0)}, "f2"), ": the main metric 'f2' is not among f1"),
        (rexplug.EvaluationResult({}, "f2"), ": the main metric 'f2' is not among its metrics (none)"),
    ],
)
def test_results_of_evaluators(installed, result, problem):
    evaluator = component(rexplug.Evaluator, evaluate=returning(result))
    with pytest.raises(PluginError) as caught:
        calls.evaluate_model(evaluator, None)
    assert str(caught.value) == f"legal 0.1.0: legal.toy{problem}"
