"""Components of plugins are tried on made-up data before a run starts."""

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import pytest
from toy_plugin import DOCUMENTS, raising, returning, toy, yielding

import rexplug
from rexplug.batches.policies import RandomMasking
from rexplug.errors import DataError, NotApplicable
from rexplug.pipeline.preflight import trials
from rexplug.pipeline.preflight.trials import trial_problems
from rexplug.recipe.curation import Audit, Relevance


class Undeclared(RandomMasking):
    def choose(self, batch, progress, generator):
        return batch.channels["word_start"] > 0


class Special(RandomMasking):
    def choose(self, batch, progress, generator):
        return np.ones(len(batch.token_ids), np.bool_)


class Broken(RandomMasking):
    def choose(self, batch, progress, generator):
        raise ZeroDivisionError("division by zero")


class Guided(RandomMasking):
    """Reads the channel of its scorer without naming it."""

    scorer: Annotated[rexplug.SalienceScorer, rexplug.Use()]

    def choose(self, batch, progress, generator):
        return rexplug.random_tokens(
            batch.maskable & (batch.channels["salience"] < 300), self.budget(batch, progress), generator
        )


class Fails(rexplug.CorpusFilter):
    name: ClassVar[str] = "toy.fails"

    def judge(self, document):
        return rexplug.Verdict(document.text.split()[9] != "")


class NoVerdict(rexplug.CorpusFilter):
    name: ClassVar[str] = "toy.no_verdict"

    def judge(self, document):
        return True


class NeedsMuch(Fails):
    """Cannot learn from a few made-up documents, which says nothing about a corpus."""

    error: ClassVar[type[Exception]] = ValueError

    def fit(self, corpus):
        if sum(1 for documents in corpus.documents.values() for _ in documents) < 1000:
            raise self.error("needs at least 1000 documents")
        return self


class SaysSo(NeedsMuch):
    error = DataError


class ReturnsNothing(Fails):
    def fit(self, corpus):
        self.judge(next(iter(corpus.documents["web"])))


class Locks(rexplug.CorpusFilter):
    """Cannot be sent to worker processes after its first verdict."""

    name: ClassVar[str] = "toy.locks"

    def judge(self, document):
        self.__dict__["lock"] = threading.Lock()
        return rexplug.Verdict(True)


class Scores(rexplug.SalienceScorer):
    name: ClassVar[str] = "toy.scores"
    kind_of_result: str = "uint8"

    def score(self, document):
        return np.zeros(len(document.token_ids), self.kind_of_result)


def masked_by(recipe, policy):
    phase = recipe.phases[0].model_copy(update={"masking": policy})
    return recipe.model_copy(update={"phases": (phase,)})


def filtered_by(recipe, *filters):
    (name, source) = next(iter(recipe.sources.items()))
    return recipe.model_copy(update={"sources": {name: source.model_copy(update={"filters": filters})}}), name


def test_shipped_components_are_not_tried(recipe):
    assert list(trial_problems(recipe())) == []


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        (Undeclared(), "random reads the channel 'word_start', which its `channels` does not name"),
        (Special(), "random.choose() chose a special or padding token, which is never masked"),
    ],
)
def test_a_policy_that_cannot_mask(recipe, policy, problem):
    assert list(trial_problems(masked_by(recipe(), policy))) == [f"phases.anneal.masking: {problem}"]


def test_a_policy_has_the_channel_of_its_scorer(recipe):
    policy = Guided(scorer=Scores())
    assert policy.row_channels == ("salience",)
    assert list(trial_problems(masked_by(recipe(), policy))) == []


def test_a_scorer_that_returns_another_type(recipe):
    (problem,) = trial_problems(masked_by(recipe(), Guided(scorer=Scores(kind_of_result="float32"))))
    assert problem == (
        "phases.anneal.masking: toy.scores.score() returned float32 [44] for document 'made-up-1'; expected uint8 [44]"
    )


def test_filters_are_tried(recipe):
    one, name = filtered_by(recipe(), Fails(), NoVerdict(), NeedsMuch(), ReturnsNothing(), SaysSo())
    first, second, third = trial_problems(one)
    assert first.splitlines()[0] == (
        f"sources.{name}.filters.0: toy.fails.judge() raised IndexError on document 'made-up-2': list index out of range"
    )
    assert second == (
        f"sources.{name}.filters.1: toy.no_verdict.judge() returned True for document 'made-up-1'; expected a Verdict"
    )
    assert third == (
        f"sources.{name}.filters.3: toy.fails.fit() returned None; expected a ReturnsNothing: the filter or scorer to use"
    )


class Moves(rexplug.CorpusFilter):
    """Goes to another folder."""

    name: ClassVar[str] = "toy.moves"

    def judge(self, document):
        os.chdir("/")
        return rexplug.Verdict(True)


def test_a_trial_ends_in_the_folder_where_it_began(recipe, tmp_path, monkeypatch):
    one, _ = filtered_by(recipe(), Moves())
    monkeypatch.chdir(tmp_path)
    assert list(trial_problems(one)) == []
    assert Path.cwd() == tmp_path


def test_a_filter_that_cannot_be_sent_to_workers(recipe):
    one, name = filtered_by(recipe(), Locks())
    assert first_lines(trial_problems(one)) == [
        f"sources.{name}.filters.0: toy.locks.__getstate__() raised TypeError when it was pickled for the worker processes: "
        "cannot pickle '_thread.lock' object"
    ]


def test_a_policy_whose_code_fails_is_shown_with_its_own_lines(recipe):
    base = recipe()
    phase = base.phases[0].model_copy(update={"masking": Broken()})
    (problem,) = trial_problems(base.model_copy(update={"phases": (phase,)}))
    first, line = problem.splitlines()
    assert first == (
        "phases.anneal.masking: random.choose() raised ZeroDivisionError on a row of 96 tokens: division by zero"
    )
    assert line.startswith(f"  {__file__}:")
    assert line.endswith(', in choose: raise ZeroDivisionError("division by zero")')


def test_shards_of_sources_are_counted(recipe):
    base = recipe()
    (name,) = list(base.sources)[:1]
    source = toy(rexplug.DocumentSource, num_shards=returning(0))
    assert list(trial_problems(base.model_copy(update={"sources": {name: source}}))) == [
        f"sources.{name}: legal.toy.num_shards() returned 0; expected a whole number of at least 1"
    ]


def mixed_by(recipe, weights):
    schedule = toy(rexplug.MixingSchedule, weights=lambda self, progress: weights(progress))
    phase = recipe.phases[0].model_copy(update={"mixing": schedule})
    return first_lines(trial_problems(recipe.model_copy(update={"phases": (phase,)})))


def test_mixing_schedules_are_asked_at_many_points(recipe):
    assert mixed_by(recipe(), lambda progress: {"web": 1, "shop": progress}) == []
    assert mixed_by(recipe(), lambda progress: {"web": 1 / (0.35 - progress)}) == [
        "phases.anneal.mixing: legal.toy.weights() raised ZeroDivisionError at progress 0.35: float division by zero"
    ]
    assert mixed_by(recipe(), lambda progress: {"web": 1, "shop": 0.6 - progress}) == [
        "phases.anneal.mixing: legal.toy.weights(0.65) returned {'web': 1, 'shop': -0.050000000000000044}; weights are finite, at "
        "least 0 and not all 0"
    ]
    assert mixed_by(recipe(), lambda progress: {"web": 1, **({"shop": 1} if progress > 0.5 else {})}) == [
        "phases.anneal.mixing: legal.toy.weights(0.55) names web, shop, but weights(0) web; name the same sources at any progress"
    ]
    assert mixed_by(recipe(), lambda progress: {"web": 1, "shpo": 1}) == [
        "phases.anneal.mixing: legal.toy.weights(0) names 'shpo'; the sources are web, shop"
    ]


def labelled_by(recipe, labeller, audit=None):
    relevance = Relevance(labels=labeller, audit=audit and Audit(labels=audit))
    return list(trial_problems(recipe().model_copy(update={"relevance": relevance})))


def first_lines(problems):
    return [problem.splitlines()[0] for problem in problems]


def test_labellers_label_two_made_up_candidates(recipe):
    seen = []

    def label(self, candidates, context):
        seen.append([(candidate.source, candidate.document.id) for candidate in candidates])
        assert context.folder.is_dir()
        return [True] * len(candidates)

    assert labelled_by(recipe, toy(rexplug.Labeller, label=label)) == []
    assert seen == [[("web", "made-up-1"), ("web", "made-up-2")]]
    assert labelled_by(recipe, toy(rexplug.Labeller, label=returning(["yes", "no"]))) == [
        "relevance.labels: legal.toy.label() returned 'yes' for document 'made-up-1'; expected True, False or None per candidate"
    ]
    good, bad = toy(rexplug.Labeller, label=label), toy(rexplug.Labeller, label=raising(KeyError("made-up-1")))
    assert first_lines(labelled_by(recipe, good, audit=bad)) == [
        "relevance.audit.labels: legal.toy.label() raised KeyError on 2 candidates: 'made-up-1'"
    ]
    assert labelled_by(recipe, toy(rexplug.Labeller, label=returning([True]), instruction=returning(7))) == [
        "relevance.labels: legal.toy.instruction() returned 7; expected a text or None"
    ]


@pytest.mark.parametrize(
    ("members", "ids"),
    [
        ({"own_documents": yielding(*DOCUMENTS)}, ["op-0", "op-1"]),
        ({"labelled_ids": returning(frozenset({"b", "a", "c"}))}, ["a", "b"]),
        ({"labelled_ids": returning(frozenset({"a"}))}, ["a"]),
    ],
)
def test_a_labeller_gets_documents_that_it_can_label(recipe, members, ids):
    seen = []

    def label(self, candidates, context):
        seen.extend(candidate.document.id for candidate in candidates)
        return [None] * len(candidates)

    assert labelled_by(recipe, toy(rexplug.Labeller, label=label, **members)) == []
    assert seen == ids


def test_a_labeller_that_refuses_made_up_documents_has_no_problem(recipe):
    assert labelled_by(recipe, toy(rexplug.Labeller, label=raising(DataError("made-up-1 has no rating")))) == []


def test_a_labeller_that_asks_a_service_is_tried_up_to_the_connection(recipe):
    attempts = []

    def ask(attempt):
        attempts.append(attempt)
        try:
            socket.create_connection(("192.0.2.1", 80), timeout=60)  # a documentation address, which nobody answers
        except Exception:
            return ask(attempt + 1) if attempt < 3 else None

    def label(self, candidates, context):
        ask(0)
        return

    assert labelled_by(recipe, toy(rexplug.Labeller, label=label)) == []
    assert attempts == [0]

    def label_in_thread(self, candidates, context):
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(ask, 0)
        return ["no" if answer.exception() else "yes"]  # wrong, but only because the service did not answer

    assert labelled_by(recipe, toy(rexplug.Labeller, label=label_in_thread)) == []
    assert attempts == [0, 0]


def test_a_component_with_large_files_is_not_run(recipe, tmp_path, monkeypatch):
    path = tmp_path / "labels.csv"
    path.write_bytes(b"x" * 100)
    members = {"inputs": returning([tmp_path]), "label": returning(None), "labelled_ids": returning(7)}
    assert len(labelled_by(recipe, toy(rexplug.Labeller, **members))) == 1
    monkeypatch.setattr(trials, "LARGEST_INPUT", 99)
    assert labelled_by(recipe, toy(rexplug.Labeller, **members)) == []


def measured_by(recipe, *overrides, **members):
    base = recipe(*overrides)
    evaluator = toy(rexplug.Evaluator, **members)
    return first_lines(trial_problems(base.model_copy(update={"evaluators": (evaluator,)})))


def result(value):
    return rexplug.EvaluationResult({"f1": rexplug.Metric(value)}, "f1")


def test_evaluators_measure_a_made_up_encoder(recipe):
    def evaluate(self, context):
        documents = [document for of_source in context.held_out.values() for document in of_source]
        assert len({document.id for document in documents}) == len(documents) >= 12
        vectors = context.encoder.encode([document.text for document in documents])
        assert vectors.shape == (len(documents), 256)
        assert vectors.dtype == np.float32
        np.testing.assert_array_equal(vectors[:1], context.encoder.encode([documents[0].text]))
        assert context.folder.is_dir()
        return result(float(np.abs(vectors).mean()))

    held_out = "curation.held_out=0.1"
    assert measured_by(recipe, held_out, evaluate=evaluate) == []
    assert (
        measured_by(recipe, "curation.held_out=0", evaluate=lambda self, context: result(len(context.held_out))) == []
    )
    assert measured_by(recipe, evaluate=returning(result(float("nan")))) == [
        "evaluators.0 (legal.toy): legal.toy: the metric 'f1' is nan; expected a Metric with a finite value"
    ]
    assert measured_by(recipe, evaluate=raising(IndexError("list index out of range"))) == [
        "evaluators.0 (legal.toy): legal.toy.evaluate() raised IndexError on a made-up encoder: list index out of range"
    ]
    assert measured_by(recipe, test_texts=returning(["text"])) == [
        "evaluators.0 (legal.toy): legal.toy.test_texts() returned ['text']; expected id -> text"
    ]
    assert measured_by(recipe, at_budget=returning(None)) == [
        "evaluators.0 (legal.toy): legal.toy.at_budget() returned None; expected an evaluator"
    ]
    assert measured_by(recipe, evaluate=lambda self, context: context.encoder.encode("one text")) == [
        "evaluators.0 (legal.toy): legal.toy.evaluate() raised TypeError on a made-up encoder: encode() was given 'one text'; "
        "expected a sequence of texts"
    ]


@pytest.mark.parametrize("error", [DataError("fewer than 100 documents"), NotApplicable("no head")])
def test_an_evaluator_that_refuses_the_made_up_encoder_has_no_problem(recipe, error):
    assert measured_by(recipe, evaluate=raising(error)) == []


@pytest.mark.parametrize(
    "use",
    [
        lambda context: context.encoder.tokenizer("text"),
        lambda context: context.encoder.predict_masked([], []),
        lambda context: context.encoder.token_log_probs([], [], []),
        lambda context: context.encoder.encode(["text"] * 3000),
        lambda context: context.retrieval(rexplug.RetrievalCollection("t", {"d": "a"}, {"q": "b"}, {"q": {"d": 1}})),
    ],
)
def test_an_evaluator_is_tried_up_to_where_it_needs_a_model(recipe, use):
    def evaluate(self, context):
        try:
            use(context)
        except Exception as error:
            raise AssertionError("the trial goes on") from error
        raise AssertionError("the trial goes on")

    assert measured_by(recipe, evaluate=evaluate) == []


def test_a_task_for_the_harness_is_checked(recipe):
    collection = rexplug.RetrievalCollection("statutes", {"d": "a"}, {"q": "b"}, {"q": {"e": 1}})
    assert measured_by(recipe, evaluate=lambda self, context: context.retrieval(collection)) == [
        "evaluators.0 (legal.toy): legal.toy.evaluate() raised ValueError on a made-up encoder: task 'statutes': the query 'q' has "
        "the document 'e', which is not in the corpus"
    ]
