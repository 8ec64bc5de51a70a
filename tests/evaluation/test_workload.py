"""The work that is counted before an evaluator runs is the work that it does."""

from typing import ClassVar

import numpy as np
import pytest

from rexplug import (
    EvaluationResult,
    Evaluator,
    Example,
    ExampleTask,
    FineTuning,
    Metric,
    RetrievalCollection,
    TaggedText,
    TaggingTask,
)
from rexplug.evaluation import EvaluationData
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.geometry import EmbeddingGeometry
from rexplug.evaluation.harness import Context
from rexplug.evaluation.mteb_tasks import Mteb
from rexplug.evaluation.recovery import MaskedRecovery
from rexplug.evaluation.speed import Speed, measure_speed
from rexplug.evaluation.workload import Workload, workload_of

COLOURS = ("red", "blue", "oak", "steel")
TUNING = FineTuning(
    steps=4, batch=8, learning_rates=(1e-3, 3e-3), checkpoints=1, seeds=1, max_tokens=24, dev_examples=10
)


def examples(number, *, pairs=False, degrees=False):
    found = []
    for i in range(24):
        one, two = COLOURS[i % 4], COLOURS[i // 2 % 4]
        label = float(one == two) if degrees else str(int(one == two)) if pairs else one
        found.append(Example(f"the {one} thing {number} {i}", label, f"a {two} thing {number} {i}" if pairs else None))
    return found


class Task(Evaluator):
    """Gives one of the tasks to the harness."""

    name: ClassVar[str] = "toy.task"
    what: str

    def evaluate(self, context):
        if self.what == "similarity":
            parts = [examples(n, pairs=True, degrees=True) for n in range(3)]
            return context.similarity(ExampleTask("t", *parts), TUNING)
        if self.what == "pairs":
            return context.pair_classification(
                ExampleTask("t", *(examples(n, pairs=True) for n in range(3))), TUNING, "1"
            )
        if self.what == "classes":
            return context.classification(ExampleTask("t", *(examples(n) for n in range(3))), TUNING)
        if self.what == "tags":
            parts = [[TaggedText(e.text, [(4, 4 + len(e.label), "colour")]) for e in examples(n)] for n in range(3)]
            return context.tagging(TaggingTask("t", *parts), TUNING)
        corpus = {f"d{i}": f"{colour} thing {i}" for i, colour in enumerate(COLOURS * 5)}
        queries = {f"q{i}": f"{colour}" for i, colour in enumerate(COLOURS)}
        relevance = {f"q{i}": {f"d{i}": 1} for i in range(4)}
        training = [(f"query {i} {COLOURS[i % 4]}", f"{COLOURS[i % 4]} thing {i}") for i in range(30)]
        return context.retrieval(RetrievalCollection("T", corpus, queries, relevance, training=training), TUNING)


@pytest.fixture
def encoder(model_folder):
    return HuggingFaceEncoder(model_folder)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["similarity", "pairs", "classes", "tags", "retrieval"])
def test_fine_tuned_tasks(encoder, tmp_path, what):
    evaluator, data = Task(what=what), EvaluationData({}, 3)
    work = workload_of(evaluator, encoder, data)
    encoder.activity.reset()
    evaluator.evaluate(Context(encoder, data, tmp_path))
    done = encoder.activity
    assert (done.fine_tunes, done.steps) == (work.fine_tunes, work.steps) == (2, 8)
    tested = {"similarity": 48, "pairs": 48, "classes": 24, "tags": 24, "retrieval": 24}[what]
    # Where the fine-tune did not help on dev, the test items are not read again.
    assert done.texts in (work.texts, work.texts - tested)
    assert work.trained == pytest.approx(done.trained_tokens, rel=0.3), "weighted by a little attention"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["similarity", "pairs", "classes", "tags", "retrieval"])
def test_tasks_of_a_model_that_cannot_be_fine_tuned(encoder, tmp_path, what, monkeypatch):
    monkeypatch.setattr(HuggingFaceEncoder, "trainable", False)
    evaluator, data = Task(what=what), EvaluationData({}, 3)
    work = workload_of(evaluator, encoder, data)
    encoder.activity.reset()
    evaluator.evaluate(Context(encoder, data, tmp_path))
    assert (work.texts, work.fine_tunes, work.steps) == (encoder.activity.texts, 0, 0)
    assert work.trained == 0


@pytest.mark.parametrize("evaluator", [MaskedRecovery(published=False), MaskedRecovery(), EmbeddingGeometry()])
def test_evaluators_that_use_the_encoder_themselves(encoder, tmp_path, documents, evaluator):
    data = EvaluationData({"web": documents}, 3)
    work = workload_of(evaluator, encoder, data)
    encoder.activity.reset()
    evaluator.evaluate(Context(encoder, data, tmp_path))
    assert encoder.activity.texts == work.texts > 0
    assert work.read > encoder.activity.tokens
    assert work.steps == 0


class Odd(Evaluator):
    """Does what nobody counts."""

    name: ClassVar[str] = "toy.odd"

    def evaluate(self, context):
        return EvaluationResult({"x": Metric(float(np.mean(context.encoder.embed_rows([])[0])))}, "x")


def test_work_that_is_not_known_is_not_guessed(encoder):
    data = EvaluationData({}, 3)
    assert workload_of(Odd(), encoder, data) is None
    assert workload_of(Mteb(tasks=("NoSuchTask",)), encoder, data) is None


def test_a_model_that_predicts_no_words_has_nothing_to_do(encoder, documents, monkeypatch):
    monkeypatch.setattr(HuggingFaceEncoder, "predicts_words", False)
    assert workload_of(MaskedRecovery(), encoder, EvaluationData({"web": documents}, 3)) == Workload()


def test_speed_is_measured(encoder):
    speed = measure_speed(encoder, training=True)
    assert 0 < speed.trained < 1e9
    assert speed.step_seconds >= 0
    assert measure_speed(encoder, training=False).trained == float("inf")
    assert Speed(100.0, 50.0, 0.5).seconds(Workload(read=200, trained=100, steps=4, seconds=1.0)) == 7.0
