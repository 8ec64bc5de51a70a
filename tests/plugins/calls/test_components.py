"""What components say about themselves where a plugin leaves the defaults, what they learn, and how they reach other processes."""

import threading
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import pytest
from toy_plugin import DOCUMENTS, ROW, raising, returning, toy, yielding

import rexplug
from rexplug.errors import PluginError
from rexplug.plugins import calls

SAMPLE = rexplug.CorpusSample({}, Path(), 0)


def test_what_the_defaults_say():
    source, labeller, corpus_filter = toy(rexplug.DocumentSource), toy(rexplug.Labeller), toy(rexplug.CorpusFilter)
    scorer, policy, evaluator = toy(rexplug.SalienceScorer), toy(rexplug.MaskingPolicy), toy(rexplug.Evaluator)
    assert calls.all_input_files([source, labeller]) == []
    assert calls.file_versions(source) == {}
    assert calls.count_shards(source) == 1
    assert calls.is_synthetic(source) is False
    assert calls.hub_names(source) == []
    assert calls.foreign_classes(source) == []
    assert calls.own_documents(labeller) is None
    assert calls.labelled_ids(labeller) is None
    assert calls.labeller_instruction(labeller) is None
    assert calls.needed_sources(scorer) == []
    assert calls.masking_budget(policy, ROW, 0.0) == 1
    assert not calls.salient_subset(policy, ROW, 0.0, np.random.default_rng(0)).any()
    assert calls.step_name(corpus_filter) == calls.evaluator_label(evaluator) == "legal.toy"
    assert calls.needs_held_out(evaluator) is False
    assert calls.evaluator_at_budget(evaluator, "quick") == evaluator
    assert calls.fit_component(corpus_filter, SAMPLE) == (corpus_filter, corpus_filter.dump())


def test_own_documents_of_a_labeller_are_checked_one_by_one():
    stream = calls.own_documents(toy(rexplug.Labeller, own_documents=yielding(DOCUMENTS[0], {"id": "op-2"})))
    assert next(stream) == DOCUMENTS[0]
    with pytest.raises(PluginError) as caught:
        next(stream)
    assert str(caught.value) == "legal.toy.own_documents() yielded {'id': 'op-2'}; expected a Document"


def test_documents_are_read_lazily_and_a_failure_in_the_middle_names_the_shard():
    source = toy(rexplug.DocumentSource, documents=yielding(DOCUMENTS[0], error=ValueError("bad page")))
    stream = calls.read_documents(source, rexplug.Shard(0, 2))
    assert next(stream) == DOCUMENTS[0]
    with pytest.raises(PluginError) as caught:
        next(stream)
    assert str(caught.value).splitlines()[0] == ("legal.toy.documents() raised ValueError on shard 1 of 2: bad page")


def test_an_error_of_the_consumer_is_not_blamed_on_the_source():
    stream = calls.read_documents(toy(rexplug.DocumentSource, documents=returning(DOCUMENTS)), rexplug.Shard(0, 1))
    with pytest.raises(ZeroDivisionError):
        for _ in stream:
            raise ZeroDivisionError


@pytest.mark.parametrize(
    ("base", "method", "call"),
    [
        (rexplug.CorpusFilter, "judge_batch", calls.judge_documents),
        (rexplug.Labeller, "label", lambda one, batch: calls.label_candidates(one, batch, None)),
    ],
)
def test_a_component_that_empties_its_list_loses_no_document(base, method, call):
    def empty(self, documents, *others):
        documents.clear()
        return []

    batch = list(DOCUMENTS)
    with pytest.raises(PluginError, match=rf"^legal\.toy\.{method}\(\) returned 0 "):
        call(toy(base, **{method: empty}), batch)
    assert batch == DOCUMENTS


class Words(rexplug.CorpusFilter):
    """A filter with a component as an option."""

    name: ClassVar[str] = "legal.words"
    words: tuple[str, ...] = ()
    inner: Annotated[rexplug.CorpusFilter, rexplug.Use()] | None = None
    at_most: int = 3

    judge = returning(rexplug.Verdict(True))

    def fit(self, corpus):
        return self.model_copy(update={"words": ("a",), "at_most": len(corpus.documents)})


def test_what_a_component_learnt_is_made_again_from_its_options():
    fitted, entry = calls.fit_component(Words(inner=Words()), SAMPLE)
    assert fitted.words == ("a",)
    assert calls.component_from_entry(Words(inner=Words()), entry) == fitted


@pytest.mark.parametrize(
    ("update", "problem"),
    [
        (
            {"at_most": "three"},
            "legal.words.fit() raised ValidationError when the fitted component was made again from its options, as later runs do: "
            "1 validation error for Words",
        ),
        (
            {"words": ("a", object)},
            "legal.words.dump() raised PydanticSerializationError: Unable to serialize unknown type: <class 'type'>",
        ),
        (
            {"words": {"a", "b"}},
            "legal.words.fit() returned a component whose option 'words' is a set, whose order changes from process to process; make "
            "it a tuple, in an order of its own: tuple(sorted(...))",
        ),
        (
            {"words": ("\ud800",)},
            "legal.words.dump() returned {'use': 'legal.words', 'words': ['\\ud800'], 'inner': None, 'at_most': 3}; expected options "
            "that JSON can store",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_what_a_component_learnt_but_cannot_keep(update, problem):
    unkept = type("Words", (Words,), {"fit": lambda self, corpus: self.model_copy(update=update)})()
    with pytest.raises(PluginError) as caught:
        calls.fit_component(unkept, SAMPLE)
    assert str(caught.value).splitlines()[0] == problem


class Locked(rexplug.CorpusFilter):
    """A filter that keeps a lock, which no other process can get."""

    name = "legal.toy"
    judge = raising(AssertionError("not part of the test"))

    def check(self):
        self.__dict__["lock"] = threading.Lock()


def test_a_component_that_cannot_be_pickled():
    corpus_filter = Locked()
    calls.require_picklable(corpus_filter)
    corpus_filter.check()
    with pytest.raises(PluginError) as caught:
        calls.require_picklable(corpus_filter)
    assert str(caught.value) == (
        "legal.toy.__getstate__() raised TypeError when it was pickled for the worker processes: cannot pickle "
        "'_thread.lock' object"
    )
