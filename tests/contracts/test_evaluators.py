"""`check_evaluator`: evaluators that keep their contract pass, and each breach is reported in a sentence."""

import re
from typing import ClassVar

import numpy as np
import pytest

import rexplug
from rexplug.evaluation.geometry import EmbeddingGeometry
from rexplug.evaluation.recovery import MaskedRecovery
from rexplug.evaluation.validation_loss import ValidationLoss
from rexplug.testing import check_evaluator

pytestmark = (
    pytest.mark.slow
)  # the first imports torch and makes two encoders; each of the others takes a tenth of a second
TEXTS = {
    str(number): f"The clerk approved permit {number} of the {word} market." for number, word in enumerate("abcdefgh")
}
CALLS = []


def result(values, metric=None, **options):
    """A result whose metric is the mean of the values."""
    ids = options.pop("ids", list(TEXTS))
    mean = float(np.mean(values))
    return rexplug.EvaluationResult(
        {"length": metric or rexplug.Metric(mean, min(values), max(values), len(values))},
        main=options.pop("main", "length"),
        scores=options.pop("scores", {"length": rexplug.Scores(ids, [values])}),
        **options,
    )


def lengths(context):
    return [float(length) for length in np.linalg.norm(context.encoder.encode(list(TEXTS.values())), axis=1)]


class Lengths(rexplug.Evaluator):
    """The mean length of embeddings."""

    name: ClassVar[str] = "toy.lengths"

    def evaluate(self, context):
        """Measure."""
        return result(lengths(context), items=[rexplug.EvaluatedItem(key, text, 1.0) for key, text in TEXTS.items()])

    def test_texts(self):
        """All texts."""
        return TEXTS


class HeldOut(Lengths):
    """The share of held-out documents in which every word is predicted; what a lexical baseline cannot do."""

    def evaluate(self, context):
        """Measure."""
        ids = [document.id for documents in context.held_out.values() for document in documents]
        predicted = context.encoder.predict_masked([np.array([1, 4, 2])] * len(ids), [np.array([1])] * len(ids))
        return result([float(len(tokens)) for tokens in predicted], ids=ids)

    def test_texts(self):
        """None."""
        return {}

    def why_no_test_texts(self):
        """They are held out."""
        return "it measures on documents that the run holds out"


@pytest.mark.parametrize("evaluator", [Lengths(), HeldOut()], ids=lambda evaluator: type(evaluator).__name__)
def test_an_evaluator_that_keeps_its_contract(evaluator):
    check_evaluator(evaluator)


@pytest.mark.parametrize(
    "evaluator", [MaskedRecovery(documents=8), ValidationLoss(documents=8), EmbeddingGeometry(documents=8)]
)
def test_evaluators_of_the_core(evaluator):
    check_evaluator(evaluator)


def test_documents_can_be_given():
    own = {"laws": [rexplug.Document("law-1", "Every member who has paid the fee may vote.")]}
    with pytest.raises(AssertionError) as error:
        check_evaluator(broken(lambda context: 1 / 0 if list(context.held_out) == ["laws"] else None), held_out=own)
    assert "toy.broken.evaluate() raised ZeroDivisionError: division by zero" in str(error.value)


def broken(measure, **methods):
    """An evaluator that measures with a function of the context."""
    body = {
        "__doc__": "Broken.",
        "__module__": __name__,
        "name": "toy.broken",
        "__annotations__": {"name": ClassVar[str]},
        "evaluate": lambda self, context: measure(context),
        **{name: (lambda self, method=method: method()) for name, method in methods.items()},
    }
    return type("Broken", (Lengths,), body)()


def metric(**values):
    """Measures lengths, and gives this metric."""
    return lambda context: result(lengths(context), rexplug.Metric(**values))


def with_options(**options):
    return lambda context: result(lengths(context), **options)


def with_item(*arguments, **options):
    return with_options(items=[rexplug.EvaluatedItem(*arguments, **options)])


def with_scores(name, ids, values):
    return lambda context: result(lengths(context), scores={name: rexplug.Scores(ids, values)})


def remembers(context):
    CALLS.append(1)
    return result([float(len(CALLS))] * len(TEXTS))


def changes(context):
    next(iter(context.held_out.values())).pop()
    return result(lengths(context))


def chooses_by_the_model(context):
    ids = [str(number) for number in range(len(context.encoder.tokenizer) - 300)]
    return result([1.0] * len(ids), ids=ids)


def by_words(context):
    """What fails on a model without embeddings, in a way that nobody understands."""
    if not hasattr(context.encoder, "activity"):
        raise AttributeError("'LexicalModel' object has no attribute 'dimensions'")
    return result(lengths(context))


BREACHES = {
    "no result": (lambda context: {"length": 1.0}, "toy.broken.evaluate() returned {'length': 1.0}; expected an EvaluationResult"),
    "it fails": (lambda context: {}["texts"], "toy.broken.evaluate() raised KeyError: 'texts'"),
    "it ends the process": (lambda context: exit(3), "toy.broken.evaluate() raised SystemExit: 3"),
    "not a number": (metric(value=float("nan")), "toy.broken: the metric 'length' is nan; expected a Metric with a finite value"),
    "a bare number": (
        lambda context: rexplug.EvaluationResult({"length": 0.5}, main="length"),
        "toy.broken: the metric 'length' is 0.5; expected a Metric with a finite value",
    ),
    "another main metric": (with_options(main="f1"), "toy.broken: the main metric 'f1' is not among length"),
    "an interval upside down": (
        metric(value=1.0, low=2.0, high=0.5),
        "toy.broken: the confidence interval of the metric 'length' is 2 to 0.5; the lower end is the first one",
    ),
    "half an interval": (
        metric(value=1.0, low=0.5),
        "toy.broken: the confidence interval of the metric 'length' has one end only; give `low` and `high`, or neither",
    ),
    "an interval elsewhere": (
        metric(value=1.0, low=70.0, high=80.0),
        "toy.broken: the metric 'length' is 1, outside its confidence interval, 70 to 80",
    ),
    "no interval": (
        lambda context: result([0.5] * len(TEXTS), rexplug.Metric(0.5)),
        "toy.broken: the main metric 'length' has no confidence interval; rexplug.bootstrap_metric computes one from the scores of its "
        "items",
    ),
    "nothing to compare by": (
        lambda context: rexplug.EvaluationResult({"length": rexplug.Metric(1.0)}, main="length"),
        "toy.broken: the main metric 'length' has neither a confidence interval nor scores of its items; without one of them it cannot be "
        "tested whether two models differ",
    ),
    "scores of another metric": (
        lambda context: rexplug.EvaluationResult(
            {"length": rexplug.Metric(1.0, 1.0, 1.0)}, main="length", scores={"f1": rexplug.Scores(["1"], [[1.0]])}
        ),
        "toy.broken: there are scores of 'f1', which is not among its metrics: length",
    ),
    "an id twice": (
        with_scores("length", ["1", "1"], [[1.0, 1.0]]),
        "toy.broken: the scores of 'length' have the same id twice; models are compared by the ids of items",
    ),
    "too few scores": (
        with_scores("length", ["1", "2"], [[1.0]]),
        "toy.broken: the scores of 'length': there are 1 values in a row, but 2 ids",
    ),
    "scores that are not numbers": (
        with_scores("length", ["1", "2"], [[1.0, float("inf")]]),
        "toy.broken: the scores of 'length': 'values' holds a number that is not finite",
    ),
    "percent beside shares": (
        lambda context: result([0.5] * len(TEXTS), rexplug.Metric(50.0, 50.0, 50.0)),
        "toy.broken: the metric 'length' is 50, but the scores of its items give 0.5",
    ),
    "a headline that is missing": (
        with_options(headlines=["f1"]),
        "toy.broken: 'f1' of its headlines is not among its metrics: length",
    ),
    "a direction of nothing": (
        with_options(lower_is_better=["loss"]),
        "toy.broken: 'loss' of its lower_is_better is not among its metrics: length",
    ),
    "items of another type": (
        with_options(items=[("1", "text", 1.0)]),
        "toy.broken: one of the items is ('1', 'text', 1.0); expected an EvaluatedItem",
    ),
    "an item twice": (
        with_options(items=[rexplug.EvaluatedItem("1", "one", 1.0), rexplug.EvaluatedItem("1", "two", 1.0)]),
        "toy.broken: two items have the id '1'; only the first is stored",
    ),
    "an id that is a number": (with_item(1, "one", 1.0), "toy.broken: an item has the id 1 and the text 'one'; expected texts"),
    "a span outside the text": (
        with_item("1", "one", 1.0, predicted_spans=[(0, 9, "brand")]),
        "toy.broken: the item '1' marks the characters 0 to 9 of a text of 3",
    ),
    "an item without a score": (
        with_item("1", "one", None),
        "toy.broken: the score of the item '1' is None; expected a finite number",
    ),
    "rows with other columns": (
        with_options(tables={"by word": [{"word": "a", "share": 1}, {"share": 1}]}),
        "toy.broken: the rows of the table 'by word' have different columns: word, share; and share",
    ),
    "a table without columns": (
        with_options(tables={"by word": [("a", 1)]}),
        "toy.broken: the table 'by word' is [('a', 1)]; expected a sequence of rows, each column -> value",
    ),
    "what JSON cannot store": (
        with_options(tables={"by word": [{"word": {"a"}}]}),
        "toy.broken.evaluate() returned a result that holds {'a'}; expected texts, numbers, lists and mappings",
    ),
    "an example that is a text": (
        with_options(examples=["permit"]),
        "toy.broken: the examples are ['permit']; expected a sequence of mappings",
    ),
    "state between calls": (
        remembers,
        "toy.broken: the same model gives a different result the second time: 'length' is ",
    ),
    "chance": (
        lambda context: result(np.random.default_rng().random(len(TEXTS)).tolist()),
        "toy.broken: the same model gives a different result the second time: 'length' is 0.",
    ),
    "documents of the context": (changes, "toy.broken: it changes the documents that the context holds"),
    "other items for another model": (
        chooses_by_the_model,
        "toy.broken: the items of 'length' on another tiny encoder differ from those on a tiny encoder; choose them by the seed",
    ),
    "a baseline without embeddings": (
        by_words,
        "toy.broken.evaluate() raised AttributeError: 'LexicalModel' object has no attribute 'dimensions'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_reported(breach):
    measure, message = BREACHES[breach]
    with pytest.raises(AssertionError) as error:
        check_evaluator(broken(measure))
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"test_texts": dict}, "toy.broken: test_texts() names no texts, and why_no_test_texts() gives no reason"),
        ({"test_texts": lambda: ["a text"]}, "toy.broken.test_texts() returned ['a text']; expected id -> text"),
        ({"inputs": lambda: ["texts.jsonl"]}, "toy.broken.inputs() returned ['texts.jsonl']; expected a sequence of pathlib.Path"),
    ],
)  # fmt: skip
def test_what_it_says_about_itself(methods, message):
    with pytest.raises(AssertionError, match="^" + re.escape(message)):
        check_evaluator(broken(with_options(), **methods))


class Undeclared(rexplug.Evaluator):
    """Names no texts."""

    name: ClassVar[str] = "toy.undeclared"

    def evaluate(self, context):
        """Measure."""
        return result(lengths(context))


def test_its_texts_are_named():
    with pytest.raises(AssertionError) as error:
        check_evaluator(Undeclared())
    assert str(error.value) == (
        "toy.undeclared: test_texts() names no texts; return those that the evaluator reports on, so that decontamination keeps them "
        "out of training, or say in why_no_test_texts() why there are none"
    )


def test_an_evaluator_that_applies_to_no_encoder():
    def refuse(context):
        raise rexplug.NotApplicable("the model draws no pictures")

    with pytest.raises(rexplug.NotApplicable, match="^the model draws no pictures$"):
        check_evaluator(broken(refuse))
