"""What components say about themselves: failures and wrong types name plugin, component and method."""

import threading
from pathlib import Path

import numpy as np
import pytest

import rexplug
from rexplug.errors import DataError, PluginError
from rexplug.plugins import declarations

DOCUMENT = rexplug.Document("op-1", "a b")
TOKENS = rexplug.TokenizedDocument(
    "op-1", "a b", np.zeros(2, np.uint32), np.array([[0, 1], [2, 3]], np.uint32), np.ones(2, np.bool_)
)
ROW = rexplug.TokenBatch(np.zeros(4, np.int64), np.array([0, 4]), np.ones(4, np.bool_), {})


def toy(base, **members):
    """A component of a plugin with these methods and properties; its abstract methods are not called."""
    unused = dict.fromkeys(base.__abstractmethods__, raising(AssertionError("not part of the test")))
    return type("Toy", (base,), {"__module__": __name__, "name": "legal.toy", **unused, **members})()


def raising(error):
    def behaviour(self, *arguments):
        raise error

    return behaviour


CALLS = {
    "check": (rexplug.DocumentSource, declarations.check_component, ()),
    "inputs": (rexplug.DocumentSource, declarations.input_files, ()),
    "stamps": (rexplug.DocumentSource, declarations.file_versions, ()),
    "num_shards": (rexplug.DocumentSource, declarations.count_shards, ()),
    "test_texts": (rexplug.Evaluator, declarations.test_texts, ()),
    "why_no_test_texts": (rexplug.Evaluator, declarations.why_no_test_texts, ()),
    "instruction": (rexplug.Labeller, declarations.labeller_instruction, ()),
    "own_documents": (rexplug.Labeller, declarations.own_documents, ()),
    "labelled_ids": (rexplug.Labeller, declarations.labelled_ids, ()),
    "needed_sources": (rexplug.SalienceScorer, declarations.needed_sources, ()),
    "explain": (rexplug.SalienceScorer, declarations.explain_salience, (TOKENS,)),
    "salient_subset": (rexplug.MaskingPolicy, declarations.salient_subset, (ROW, 0.0, np.random.default_rng(0))),
    "budget": (rexplug.MaskingPolicy, declarations.masking_budget, (ROW, 0.0)),
    "fit": (rexplug.CorpusFilter, declarations.fit_component, (rexplug.CorpusSample({}, Path(), 0),)),
}


def call(method, behaviour):
    base, function, arguments = CALLS[method]
    return function(toy(base, **{method: behaviour}), *arguments)


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("kind", [ValueError, StopIteration, SystemExit])
def test_a_failure_names_component_and_method(method, kind):
    with pytest.raises(PluginError) as caught:
        call(method, raising(kind("x")))
    first, line = str(caught.value).splitlines()
    assert first.startswith(f"legal.toy.{method}() raised {kind.__name__}")
    assert first.endswith(": x")
    assert line.endswith("in behaviour: raise error")


@pytest.mark.parametrize("method", CALLS)
def test_what_a_plugin_says_to_the_user_and_file_errors_pass(method):
    for error in (DataError("a file is missing"), FileNotFoundError("lexicon.txt")):
        with pytest.raises(type(error)) as caught:
            call(method, raising(error))
        assert caught.value is error


@pytest.mark.parametrize(
    ("method", "returned", "shown", "expected"),
    [
        ("inputs", ["a.txt"], "['a.txt']", "a sequence of pathlib.Path"),
        ("stamps", None, "None", "file -> [size, modification time]"),
        ("stamps", {"a": 3}, "{'a': 3}", "file -> [size, modification time]"),
        ("num_shards", 0, "0", "a whole number of at least 1"),
        ("num_shards", 2.0, "2.0", "a whole number of at least 1"),
        ("test_texts", ["a"], "['a']", "id -> text"),
        ("test_texts", {"a": None}, "{'a': None}", "id -> text"),
        ("why_no_test_texts", 7, "7", "a text or None"),
        ("instruction", 7, "7", "a text or None"),
        ("own_documents", 7, "7", "documents or None"),
        ("labelled_ids", "op-1", "'op-1'", "a frozenset of ids or None"),
        ("needed_sources", "web", "'web'", "a sequence of names"),
        ("explain", [(0, 1, "a")], "[(0, 1, 'a')]", "a sequence of Reason for document 'op-1'"),
        ("salient_subset", np.zeros(3, np.bool_), "bool [3]", "bool [4]"),
        ("budget", None, "None", "a whole number"),
        ("fit", None, "None", "a Toy"),
    ],
)
def test_a_wrong_type_is_shown_with_what_was_expected(method, returned, shown, expected):
    with pytest.raises(PluginError) as caught:
        call(method, lambda self, *arguments: returned)
    assert str(caught.value) == f"legal.toy.{method}() returned {shown}; expected {expected}"


@pytest.mark.parametrize(
    ("function", "base", "name"),
    [
        (declarations.step_name, rexplug.CorpusFilter, "step_name"),
        (declarations.evaluator_label, rexplug.Evaluator, "label"),
    ],
)
def test_names(function, base, name):
    assert function(toy(base)) == "legal.toy"
    with pytest.raises(PluginError) as caught:
        function(toy(base, **{name: property(lambda self: None)}))
    assert str(caught.value) == f"legal.toy.{name} is None; expected a text"
    with pytest.raises(PluginError, match=rf"^legal\.toy\.{name}\(\) raised ValueError: x"):
        function(toy(base, **{name: property(raising(ValueError("x")))}))


def test_what_the_defaults_say():
    source, labeller, corpus_filter = toy(rexplug.DocumentSource), toy(rexplug.Labeller), toy(rexplug.CorpusFilter)
    scorer, policy = toy(rexplug.SalienceScorer), toy(rexplug.MaskingPolicy)
    assert declarations.all_input_files([source, labeller]) == []
    assert declarations.file_versions(source) == {}
    assert declarations.count_shards(source) == 1
    assert declarations.is_synthetic(source) is False
    assert declarations.own_documents(labeller) is None
    assert declarations.labelled_ids(labeller) is None
    assert declarations.needed_sources(scorer) == []
    assert declarations.masking_budget(policy, ROW, 0.0) == 1
    assert not declarations.salient_subset(policy, ROW, 0.0, np.random.default_rng(0)).any()
    fitted = declarations.fit_component(corpus_filter, rexplug.CorpusSample({}, Path(), 0))
    assert fitted == (corpus_filter, corpus_filter.dump())


def test_own_documents_of_a_labeller_are_checked_one_by_one():
    def documents(self):
        yield DOCUMENT
        yield {"id": "op-2"}

    stream = call("own_documents", documents)
    assert next(stream) == DOCUMENT
    with pytest.raises(PluginError) as caught:
        next(stream)
    assert str(caught.value) == "legal.toy.own_documents() yielded {'id': 'op-2'}; expected a Document"


class Locked(rexplug.CorpusFilter):
    """A filter that keeps a lock, which no other process can get."""

    name = "legal.toy"
    judge = raising(AssertionError("not part of the test"))

    def check(self):
        self.__dict__["lock"] = threading.Lock()


def test_a_component_that_cannot_be_pickled():
    corpus_filter = Locked()
    declarations.require_picklable(corpus_filter)
    corpus_filter.check()
    with pytest.raises(PluginError) as caught:
        declarations.require_picklable(corpus_filter)
    assert str(caught.value) == (
        "legal.toy.__getstate__() raised TypeError when it was pickled for the worker processes: cannot pickle "
        "'_thread.lock' object"
    )
