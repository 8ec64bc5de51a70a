"""Every method and property that rexplug calls, and everything that plugins do wrong in it: complete messages."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import toy_plugin
from toy_plugin import DOCUMENTS, ROW, TOKENS, raising, returning, toy, yielding

import rexplug
from rexplug.errors import DataError, PluginError, brief
from rexplug.plugins import calls

CANDIDATES = [rexplug.Candidate("web", document) for document in DOCUMENTS[:2]]
SAMPLE = rexplug.CorpusSample({}, Path(), 0)
SHARD = rexplug.Shard(1, 8)
KEEP = rexplug.Verdict(True)
NAN = math.nan
HUGE = 10**400
"""A whole number that no float can hold."""


def read(source):
    """The documents of a shard."""
    return list(calls.read_documents(source, SHARD))


SOURCE, FILTER, LABELLER = rexplug.DocumentSource, rexplug.CorpusFilter, rexplug.Labeller
MIXING, POLICY, SCORER, EVALUATOR = (
    rexplug.MixingSchedule, rexplug.MaskingPolicy, rexplug.SalienceScorer, rexplug.Evaluator,
)  # fmt: skip
DOCUMENT, NUMBER = " on document 'op-0'", " on a row of 4 tokens"
CALLS = {
    # kind.method: base class, function that calls it, what it is called on
    "source.documents": (SOURCE, read, " on shard 2 of 8"),
    "source.num_shards": (SOURCE, calls.count_shards, ""),
    "source.inputs": (SOURCE, calls.input_files, ""),
    "source.stamps": (SOURCE, calls.file_versions, ""),
    "source.check": (SOURCE, calls.check_component, ""),
    "source.synthetic": (SOURCE, calls.is_synthetic, ""),
    "source.hub_names": (SOURCE, calls.hub_names, ""),
    "source.foreign_classes": (SOURCE, calls.foreign_classes, ""),
    "filter.judge": (FILTER, lambda one: calls.judge_document(one, DOCUMENTS[0]), DOCUMENT),
    "filter.judge_batch": (
        FILTER, lambda one: calls.judge_documents(one, DOCUMENTS), " on 3 documents, 'op-0' to 'op-2'",
    ),
    "filter.check": (FILTER, calls.check_component, ""),
    "filter.step_name": (FILTER, calls.step_name, ""),
    "filter.fit": (FILTER, lambda one: calls.fit_component(one, SAMPLE), " on a sample of the corpus"),
    "labeller.label": (LABELLER, lambda one: calls.label_candidates(one, CANDIDATES, None), " on 2 candidates"),
    "labeller.instruction": (LABELLER, calls.labeller_instruction, ""),
    "labeller.own_documents": (LABELLER, lambda one: list(calls.own_documents(one) or ()), ""),
    "labeller.labelled_ids": (LABELLER, calls.labelled_ids, ""),
    "labeller.inputs": (LABELLER, calls.input_files, ""),
    "labeller.check": (LABELLER, calls.check_component, ""),
    "mixing.weights": (
        MIXING, lambda one: calls.mixing_weights(one, 0.5, ("web", "shop")), " at progress 0.5",
    ),
    "policy.choose": (POLICY, lambda one: calls.choose_tokens(one, ROW, 0.0, None), NUMBER),
    "policy.salient_subset": (POLICY, lambda one: calls.salient_subset(one, ROW, 0.0, None), NUMBER),
    "policy.budget": (POLICY, lambda one: calls.masking_budget(one, ROW, 0.0), NUMBER),
    "scorer.score": (SCORER, lambda one: calls.score_document(one, TOKENS), " on document 'op-1'"),
    "scorer.explain": (SCORER, lambda one: calls.explain_salience(one, TOKENS), " on document 'op-1'"),
    "scorer.needed_sources": (SCORER, calls.needed_sources, ""),
    "scorer.fit": (SCORER, lambda one: calls.fit_component(one, SAMPLE), " on a sample of the corpus"),
    "evaluator.evaluate": (EVALUATOR, lambda one: calls.evaluate_model(one, None), ""),
    "evaluator.at_budget": (
        EVALUATOR, lambda one: calls.evaluator_at_budget(one, "quick"), " for the budget 'quick'",
    ),
    "evaluator.label": (EVALUATOR, calls.evaluator_label, ""),
    "evaluator.needs_held_out": (EVALUATOR, calls.needs_held_out, ""),
    "evaluator.test_texts": (EVALUATOR, calls.test_texts, ""),
    "evaluator.why_no_test_texts": (EVALUATOR, calls.why_no_test_texts, ""),
    "evaluator.inputs": (EVALUATOR, calls.input_files, ""),
    "evaluator.check": (EVALUATOR, calls.check_component, ""),
}  # fmt: skip
PROPERTIES = ("synthetic", "step_name", "needs_held_out")


def call(name, behaviour):
    """Call a method of a component of the plugin that behaves so."""
    base, function, _ = CALLS[name]
    method = name.partition(".")[2]
    is_property = method in PROPERTIES or name == "evaluator.label"
    return function(toy(base, **{method: property(behaviour) if is_property else behaviour}))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", [ValueError, KeyError, StopIteration, SystemExit])
def test_a_failure_names_plugin_version_component_method_and_input_with_the_line_of_the_plugin(installed, name, kind):
    with pytest.raises(PluginError) as caught:
        call(name, raising(kind(7)))
    first, line = str(caught.value).splitlines()
    method = name.partition(".")[2]
    assert first == f"legal 0.1.0: legal.toy.{method}() raised {kind.__name__}{CALLS[name][2]}: 7"
    assert line.startswith(f"  {toy_plugin.__file__}:")
    assert line.endswith(", in behaviour: raise error")
    assert isinstance(caught.value.__cause__, kind)


@pytest.mark.parametrize("name", CALLS)
def test_what_a_plugin_says_to_the_user_and_errors_of_files_pass(name):
    for error in (DataError("a file is missing"), FileNotFoundError("lexicon.txt"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught:
            call(name, raising(error))
        assert caught.value is error


ARRAY = partial(np.zeros, dtype=np.bool_)
FILE_NAME = "a text that can be the name of a file: no dot first, no / or control characters, at most 200 bytes"
SPAN = "; expected 0 <= start < end <= 3 and a text as label"
WRONG = [
    # Sources.
    ("source.documents", None, "returned None; expected documents; yield them, or return an iterator"),
    ("source.documents", 7, "returned 7; expected documents; yield them, or return an iterator"),
    ("source.documents", ["text"], "yielded 'text'; expected a Document"),
    ("source.documents", [None], "yielded None; expected a Document"),
    ("source.documents", [{"id": "op-1"}], "yielded {'id': 'op-1'}; expected a Document"),
    ("source.documents", [rexplug.Document(7, "text")], "yielded a document with the id 7; expected a str"),
    ("source.documents", [rexplug.Document("op-1", None)], "yielded a document with the text None; expected a str"),
    ("source.documents", [rexplug.Document("op-1", b"text")], "yielded a document with the text b'text'; expected a str"),
    ("source.documents", [rexplug.Document("op-1", "", 7)], "yielded a document with the url 7; expected a str or None"),
    ("source.documents", [rexplug.Document("op-1", "", None, ["a"])],
     "yielded a document with the metadata ['a']; expected a mapping"),
    ("source.documents", [rexplug.Unreadable("op-1", None)], "yielded an Unreadable with the reason None; expected a str"),
    ("source.num_shards", None, "returned None; expected a whole number of at least 1"),
    ("source.num_shards", 0, "returned 0; expected a whole number of at least 1"),
    ("source.num_shards", -1, "returned -1; expected a whole number of at least 1"),
    ("source.num_shards", 10**9,
     "returned 1000000000; expected at most 1,000,000: a shard is a job with files of its own"),
    ("source.num_shards", 2.0, "returned 2.0; expected a whole number of at least 1"),
    ("source.num_shards", "2", "returned '2'; expected a whole number of at least 1"),
    ("source.num_shards", NAN, "returned nan; expected a whole number of at least 1"),
    ("source.inputs", None, "returned None; expected a sequence of pathlib.Path"),
    ("source.inputs", Path("a.txt"), f"returned {Path('a.txt')!r}; expected a sequence of pathlib.Path"),
    ("source.inputs", "a.txt", "returned 'a.txt'; expected a sequence of pathlib.Path"),
    ("source.inputs", ["a.txt"], "returned ['a.txt']; expected a sequence of pathlib.Path"),
    ("source.stamps", None, "returned None; expected file -> [size, modification time]"),
    ("source.stamps", {"a": 3}, "returned {'a': 3}; expected file -> [size, modification time]"),
    ("source.stamps", {"a": []}, "returned {'a': []}; expected file -> [size, modification time]"),
    ("source.synthetic", None, "is None; expected True or False"),
    ("source.synthetic", "yes", "is 'yes'; expected True or False"),
    ("source.hub_names", None, "returned None; expected a sequence of HubName"),
    ("source.hub_names", ["a/b"], "returned ['a/b']; expected a sequence of HubName"),
    ("source.foreign_classes", None, "returned None; expected a sequence of classes"),
    ("source.foreign_classes", ["Reader"], "returned ['Reader']; expected a sequence of classes"),
    # Filters.
    ("filter.judge", None, "returned None for document 'op-0'; expected a Verdict"),
    ("filter.judge", True, "returned True for document 'op-0'; expected a Verdict"),
    ("filter.judge", (True, ""), "returned (True, '') for document 'op-0'; expected a Verdict"),
    ("filter.judge", [KEEP], f"returned {[KEEP]!r} for document 'op-0'; expected a Verdict"),
    ("filter.judge", rexplug.Verdict(None), "returned for document 'op-0' a verdict with keep=None; expected True or False"),
    ("filter.judge", rexplug.Verdict("no"), "returned for document 'op-0' a verdict with keep='no'; expected True or False"),
    ("filter.judge", rexplug.Verdict(np.ones(1, np.bool_)),
     "returned for document 'op-0' a verdict with keep=array([ True]); expected True or False"),
    ("filter.judge", rexplug.Verdict(False, 7), "returned for document 'op-0' a verdict with the reason 7; expected a str"),
    ("filter.judge", rexplug.Verdict(False, "a\ud800"),
     "returned for document 'op-0' a verdict with the reason 'a\\ud800', which has a lone surrogate and is not valid Unicode"),
    ("filter.judge", rexplug.Verdict(True, score="high"),
     "returned for document 'op-0' a verdict with the score 'high'; expected a finite number"),
    ("filter.judge", rexplug.Verdict(True, score=NAN),
     "returned for document 'op-0' a verdict with the score nan; expected a finite number"),
    ("filter.judge", rexplug.Verdict(True, score=HUGE),
     f"returned for document 'op-0' a verdict with the score {brief(HUGE)}; expected a finite number"),
    ("filter.judge", rexplug.Verdict(True, text=7), "returned for document 'op-0' a verdict with the text 7; expected a str"),
    ("filter.judge", rexplug.Verdict(True, metadata=["a"]),
     "returned for document 'op-0' a verdict with the metadata ['a']; expected a mapping"),
    ("filter.judge", rexplug.Verdict(True, metadata={"a": {(1,): 2}}),
     "returned for document 'op-0' a verdict with the metadata {'a': {(1,): 2}}, which cannot be written as JSON: keys must be "
     "str, int, float, bool or None, not tuple"),
    ("filter.judge_batch", None, "returned None; expected a Verdict per document"),
    ("filter.judge_batch", KEEP, f"returned {KEEP!r}; expected a Verdict per document"),
    ("filter.judge_batch", [KEEP], "returned 1 values for 3 documents; expected a Verdict per document"),
    ("filter.judge_batch", [KEEP] * 4, "returned 4 values for 3 documents; expected a Verdict per document"),
    ("filter.judge_batch", [], "returned 0 values for 3 documents; expected a Verdict per document"),
    ("filter.judge_batch", [KEEP, True, KEEP], "returned True for document 'op-1'; expected a Verdict"),
    ("filter.judge_batch", [KEEP, KEEP, rexplug.Verdict(True, score=NAN)],
     "returned for document 'op-2' a verdict with the score nan; expected a finite number"),
    ("filter.step_name", None, "is None; expected a text"),
    ("filter.step_name", "", "is ''; expected a text"),
    ("filter.fit", None, "returned None; expected a Toy: the filter or scorer to use"),
    ("filter.fit", {"words": []}, "returned {'words': []}; expected a Toy: the filter or scorer to use"),
    # Labellers.
    ("labeller.label", None, "returned None for 2 candidates; expected True, False or None per candidate"),
    ("labeller.label", True, "returned True for 2 candidates; expected True, False or None per candidate"),
    ("labeller.label", {"op-0": True, "op-1": False},
     "returned {'op-0': True, 'op-1': False} for 2 candidates; expected True, False or None per candidate"),
    ("labeller.label", "yn", "returned 'yn' for 2 candidates; expected True, False or None per candidate"),
    ("labeller.label", [True], "returned 1 labels for 2 candidates; expected True, False or None per candidate"),
    ("labeller.label", [], "returned 0 labels for 2 candidates; expected True, False or None per candidate"),
    ("labeller.label", [True, "yes"], "returned 'yes' for document 'op-1'; expected True, False or None per candidate"),
    ("labeller.label", ["True", "False"], "returned 'True' for document 'op-0'; expected True, False or None per candidate"),
    ("labeller.label", [True, 1], "returned 1 for document 'op-1'; expected True, False or None per candidate"),
    ("labeller.label", [None, NAN], "returned nan for document 'op-1'; expected True, False or None per candidate"),
    ("labeller.label", np.array([0.9, 0.1]),
     f"returned {np.float64(0.9)!r} for document 'op-0'; expected True, False or None per candidate"),
    ("labeller.instruction", 7, "returned 7; expected a text or None"),
    ("labeller.own_documents", 7, "returned 7; expected documents or None"),
    ("labeller.own_documents", ["text"], "yielded 'text'; expected a Document"),
    ("labeller.own_documents", [rexplug.Document("op-1", None)], "yielded a document with the text None; expected a str"),
    ("labeller.labelled_ids", "op-1", "returned 'op-1'; expected a frozenset of ids or None"),
    ("labeller.labelled_ids", 7, "returned 7; expected a frozenset of ids or None"),
    ("labeller.labelled_ids", [7], "returned [7]; expected a frozenset of ids or None"),
    ("labeller.inputs", None, "returned None; expected a sequence of pathlib.Path"),
    # Mixing schedules; their messages give the progress.
    ("mixing.weights", None, "returned None; expected source -> weight"),
    ("mixing.weights", [0.5, 0.5], "returned [0.5, 0.5]; expected source -> weight"),
    ("mixing.weights", {"web": "high"}, "returned {'web': 'high'}; expected source -> weight"),
    ("mixing.weights", {"web": None}, "returned {'web': None}; expected source -> weight"),
    ("mixing.weights", {0: 1.0}, "returned {0: 1.0}; expected source -> weight"),
    ("mixing.weights", {}, "returned {}; weights are finite, at least 0 and not all 0"),
    ("mixing.weights", {"web": 0.0}, "returned {'web': 0.0}; weights are finite, at least 0 and not all 0"),
    ("mixing.weights", {"web": NAN}, "returned {'web': nan}; weights are finite, at least 0 and not all 0"),
    ("mixing.weights", {"web": math.inf}, "returned {'web': inf}; weights are finite, at least 0 and not all 0"),
    ("mixing.weights", {"web": -1.0, "shop": 2.0},
     "returned {'web': -1.0, 'shop': 2.0}; weights are finite, at least 0 and not all 0"),
    ("mixing.weights", {"web": 1e308, "shop": 1e308},
     "returned {'web': 1e+308, 'shop': 1e+308}; weights are finite, at least 0 and not all 0"),
    ("mixing.weights", {"web": HUGE}, f"returned {brief({'web': HUGE})}; weights are finite, at least 0 and not all 0"),
    ("mixing.weights", {"web": 1, "wbe": 1}, "names 'wbe'; the sources are web, shop"),
    # Masking policies.
    ("policy.choose", None, "returned None; expected bool [4]"),
    ("policy.choose", [True] * 4, "returned [True, True, True, True]; expected bool [4]"),
    ("policy.choose", ARRAY(3), "returned bool [3]; expected bool [4]"),
    ("policy.choose", ARRAY((4, 1)), "returned bool [4, 1]; expected bool [4]"),
    ("policy.choose", np.zeros(4), "returned float64 [4]; expected bool [4]"),
    ("policy.choose", np.arange(4), "returned int64 [4]; expected bool [4]"),
    ("policy.salient_subset", None, "returned None; expected bool [4]"),
    ("policy.salient_subset", ARRAY(3), "returned bool [3]; expected bool [4]"),
    ("policy.budget", None, "returned None; expected a whole number of at least 0"),
    ("policy.budget", -1, "returned -1; expected a whole number of at least 0"),
    ("policy.budget", 0.3, "returned 0.3; expected a whole number of at least 0"),
    ("policy.budget", NAN, "returned nan; expected a whole number of at least 0"),
    # Salience scorers.
    ("scorer.score", None, "returned None for document 'op-1'; expected uint8 [2]"),
    ("scorer.score", [0, 9], "returned [0, 9] for document 'op-1'; expected uint8 [2]"),
    ("scorer.score", np.zeros(1, np.uint8), "returned uint8 [1] for document 'op-1'; expected uint8 [2]"),
    ("scorer.score", np.zeros((2, 1), np.uint8), "returned uint8 [2, 1] for document 'op-1'; expected uint8 [2]"),
    ("scorer.score", np.zeros(2, np.int64), "returned int64 [2] for document 'op-1'; expected uint8 [2]"),
    ("scorer.score", np.full(2, -1, np.int8), "returned int8 [2] for document 'op-1'; expected uint8 [2]"),
    ("scorer.score", np.full(2, NAN), "returned float64 [2] for document 'op-1'; expected uint8 [2]"),
    ("scorer.explain", None, "returned None for document 'op-1'; expected a sequence of Reason"),
    ("scorer.explain", [(0, 1, "a")], "returned [(0, 1, 'a')] for document 'op-1'; expected a sequence of Reason"),
    ("scorer.explain", [rexplug.Reason(2, 4, "a")],
     f"returned Reason(start=2, end=4, label='a') for document 'op-1'{SPAN}"),
    ("scorer.explain", [rexplug.Reason(1, 1, "a")],
     f"returned Reason(start=1, end=1, label='a') for document 'op-1'{SPAN}"),
    ("scorer.explain", [rexplug.Reason(0.0, 1, "a")],
     f"returned Reason(start=0.0, end=1, label='a') for document 'op-1'{SPAN}"),
    ("scorer.explain", [rexplug.Reason(0, 1, None)],
     f"returned Reason(start=0, end=1, label=None) for document 'op-1'{SPAN}"),
    ("scorer.needed_sources", None, "returned None; expected a sequence of names"),
    ("scorer.needed_sources", "web", "returned 'web'; expected a sequence of names"),
    ("scorer.needed_sources", [7], "returned [7]; expected a sequence of names"),
    ("scorer.fit", None, "returned None; expected a Toy: the filter or scorer to use"),
    # Evaluators.
    ("evaluator.evaluate", None, "returned None; expected an EvaluationResult"),
    ("evaluator.evaluate", {"f1": 0.5}, "returned {'f1': 0.5}; expected an EvaluationResult"),
    ("evaluator.at_budget", None, "returned None; expected an evaluator"),
    ("evaluator.label", None, "is None; expected a text"),
    ("evaluator.label", "../results", f"is '../results'; expected {FILE_NAME}"),
    ("evaluator.label", ".hidden", f"is '.hidden'; expected {FILE_NAME}"),
    ("evaluator.label", "two\nlines", f"is 'two\\nlines'; expected {FILE_NAME}"),
    ("evaluator.label", "\ud800", f"is '\\ud800'; expected {FILE_NAME}"),
    ("evaluator.label", "x" * 201, f"is {brief('x' * 201)}; expected {FILE_NAME}"),
    ("evaluator.needs_held_out", None, "is None; expected True or False"),
    ("evaluator.test_texts", None, "returned None; expected id -> text"),
    ("evaluator.test_texts", ["a"], "returned ['a']; expected id -> text"),
    ("evaluator.test_texts", {"a": None}, "returned {'a': None}; expected id -> text"),
    ("evaluator.why_no_test_texts", 7, "returned 7; expected a text or None"),
    ("evaluator.inputs", None, "returned None; expected a sequence of pathlib.Path"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "returned", "problem"), WRONG)
def test_what_is_returned_is_checked(installed, name, returned, problem):
    with pytest.raises(PluginError) as caught:
        call(name, returning(returned))
    method = name.partition(".")[2]
    is_property = problem.startswith("is ")
    parentheses = "" if is_property else "(0.5)" if name == "mixing.weights" else "()"
    assert str(caught.value) == f"legal 0.1.0: legal.toy.{method}{parentheses} {problem}"


ACCEPTED = [
    # Other types than those of the annotations that mean the same: generators, tuples, numbers of numpy.
    ("source.documents", yielding(DOCUMENTS[0]), [DOCUMENTS[0]]),
    ("source.documents", returning(DOCUMENTS), DOCUMENTS),
    ("source.documents", yielding(rexplug.Unreadable("op-9", "damaged")),
     [rexplug.Document("op-9", "", None, {"rexplug_error": "damaged"})]),
    ("source.documents", yielding(rexplug.Unreadable("op-9", "no term '\ud800'", "a.txt:\ud800")),
     [rexplug.Document("op-9", "", None, {"place": "a.txt:?", "rexplug_error": "no term '?'"})]),
    ("source.num_shards", returning(np.int64(3)), 3),
    ("source.inputs", yielding(Path("a")), [Path("a")]),
    ("source.stamps", returning({Path("a"): (1, 2)}), {"a": [1, 2]}),
    ("source.synthetic", returning(np.True_), True),
    ("filter.judge", returning(rexplug.Verdict(np.False_, "short", np.float32(0.5))),
     rexplug.Verdict(np.False_, "short", np.float32(0.5))),
    ("filter.judge_batch", yielding(KEEP, KEEP, KEEP), [KEEP] * 3),
    ("labeller.label", yielding(True, None), [True, None]),
    ("labeller.label", returning(np.array([True, False])), [True, False]),
    ("labeller.own_documents", yielding(DOCUMENTS[0]), [DOCUMENTS[0]]),
    ("labeller.own_documents", returning(None), []),
    ("labeller.labelled_ids", yielding("op-1"), frozenset({"op-1"})),
    ("mixing.weights", returning({"web": 2, "shop": np.float32(0.5)}), {"web": 2.0, "shop": 0.5}),
    ("policy.budget", returning(np.int32(2)), 2),
    ("scorer.explain", yielding(rexplug.Reason(np.int64(0), 3, "a")), [rexplug.Reason(0, 3, "a")]),
    ("scorer.needed_sources", returning(("web",)), ["web"]),
    ("evaluator.test_texts", returning({7: "a"}), {"7": "a"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "behaviour", "expected"), ACCEPTED)
def test_what_means_the_same_is_accepted(name, behaviour, expected):
    assert call(name, behaviour) == expected


LISTS = (
    "source.inputs", "source.hub_names", "filter.judge_batch", "labeller.label", "labeller.labelled_ids", "scorer.explain",
    "scorer.needed_sources", "source.documents", "labeller.own_documents",
)  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_a_generator_that_fails_is_named_like_the_method(installed, name):
    with pytest.raises(PluginError) as caught:
        call(name, yielding(error=ValueError("bad page")))
    method = name.partition(".")[2]
    first, line = str(caught.value).splitlines()
    assert first == f"legal 0.1.0: legal.toy.{method}() raised ValueError{CALLS[name][2]}: bad page"
    assert line.endswith(", in behaviour: raise error")
