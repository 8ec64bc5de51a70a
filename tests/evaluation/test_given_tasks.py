"""Tasks that evaluators give to the harness are checked before a model is used."""

import re

import pytest

from rexplug import Example, ExampleTask, RetrievalCollection, TaggedText, TaggingTask
from rexplug.evaluation.given_tasks import require_collection, require_examples, require_tagged

GOOD = {"corpus": {"d": "a"}, "queries": {"q": "b"}, "relevance": {"q": {"d": 1}}}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"corpus": {}}, "'corpus' is {}; expected id -> text of at least one"),
        ({"corpus": ["a"]}, "'corpus' is ['a']; expected id -> text of at least one"),
        ({"corpus": {"d": None}}, "'corpus' has 'd': None; expected id -> text"),
        ({"queries": {7: "b"}}, "'queries' has 7: 'b'; expected id -> text"),
        ({"relevance": {"r": {"d": 1}}}, "'relevance' has the query 'r', which is not among the queries"),
        ({"relevance": {"q": {"e": 1}}}, "the query 'q' has the document 'e', which is not in the corpus"),
        ({"relevance": {"q": {"d": 0.5}}}, "the query 'q' has the grade 0.5 for 'd'; expected a whole number"),
        ({"dev": {"b": {"e": 1}}}, "the dev query 'b' has the document 'e', which is not in the corpus"),
        ({"candidates": {"q": ["d", "e"]}}, "the query 'q' has the candidate 'e', which is not in the corpus"),
        ({"training": [("b",)]}, "'training' has ('b',); expected a query and a relevant text"),
        ({"training": [("b", None)]}, "'training' has ('b', None); expected a query and a relevant text"),
    ],
)
def test_collections(fields, problem):
    require_collection(
        RetrievalCollection("t", **GOOD, dev={"b": {"d": 1}}, candidates={"q": ["d"]}, training=[("a", "b")])
    )
    with pytest.raises(ValueError, match=f"^task 't': {re.escape(problem)}$"):
        require_collection(RetrievalCollection("t", **{**GOOD, **fields}))


ONE = Example("a", "x", "b")


@pytest.mark.parametrize(
    ("example", "options", "problem"),
    [
        ("a", {}, "'train' has 'a'; expected an Example"),
        (Example(None, "x"), {}, "'train' has the text None; expected a str"),
        (Example("a", None), {}, "'train' has the label None; expected a class or a degree"),
        (Example("a", "x"), {"pairs": True}, "'train' has the second text None; expected a str"),
        (Example("a", "x", "b"), {"degrees": True},
         "'train' has the label 'x'; expected a degree of similarity, a finite number"),
        (Example("a", float("nan"), "b"), {"degrees": True},
         "'train' has the label nan; expected a degree of similarity, a finite number"),
    ],
)  # fmt: skip
def test_examples(example, options, problem):
    require_examples(ExampleTask("t", [ONE], [], [ONE]), pairs=True)
    require_examples(ExampleTask("t", [Example("a", 1, "b")], [], [Example("a", 0.5, "b")]), degrees=True, pairs=True)
    with pytest.raises(ValueError, match=f"^task 't': {re.escape(problem)}$"):
        require_examples(ExampleTask("t", [example], [], [ONE]), **options)


@pytest.mark.parametrize(
    ("tagged", "problem"),
    [
        ("red", "'train' has 'red'; expected a TaggedText"),
        (TaggedText("red", [(0, 4, "c")]), "'train' has the span (0, 4, 'c') in a text of 3 characters"),
        (TaggedText("red", [(1, 1, "c")]), "'train' has the span (1, 1, 'c') in a text of 3 characters"),
        (TaggedText("red", [(0, 2, "c"), (1, 3, "c")]), "'train' has overlapping spans: [(0, 2, 'c'), (1, 3, 'c')]"),
    ],
)
def test_tagged_texts(tagged, problem):
    good = TaggedText("red oak", [(4, 7, "m"), (0, 3, "c")])
    require_tagged(TaggingTask("t", [good], [], [good]))
    with pytest.raises(ValueError, match=f"^task 't': {re.escape(problem)}$"):
        require_tagged(TaggingTask("t", [tagged], [], [good]))


@pytest.mark.parametrize(
    ("require", "task", "problem"),
    [
        (require_collection, {"corpus": {}}, "retrieval() was given {'corpus': {}}; expected a RetrievalCollection"),
        (require_examples, [ONE], f"the harness was given {[ONE]!r}; expected an ExampleTask"),
        (require_tagged, None, "tagging() was given None; expected a TaggingTask"),
    ],
)
def test_tasks_of_another_type(require, task, problem):
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        require(task)
