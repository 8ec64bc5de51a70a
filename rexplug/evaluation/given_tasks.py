"""Checks of the tasks that evaluators give to the harness: types of texts and labels, and ids that exist.

The code of evaluators gives them, so Python's own exceptions are raised: `PluginCall` adds the evaluator's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from numbers import Integral, Real

from rexplug.components import (
    Example,
    ExampleTask,
    FineTuning,
    FineTuningTask,
    RetrievalCollection,
    TaggedText,
    TaggingTask,
)
from rexplug.errors import brief
from rexplug.plugins.calls.call import is_finite


def require_collection(collection: object) -> None:
    """Check a retrieval task.

    Raises:
        ValueError: it is not a `RetrievalCollection`, a text is of another type, or relevance, dev or candidates name ids that do
            not exist.
    """
    if not isinstance(collection, RetrievalCollection):
        raise ValueError(f"retrieval() was given {brief(collection)}; expected a RetrievalCollection")
    _raise_first(collection.name, _collection_problems(collection))


def require_examples(task: object, *, degrees: bool = False, pairs: bool = False) -> None:
    """Check labelled examples.

    Args:
        task: the task.
        degrees: whether labels are degrees of similarity.
        pairs: whether examples are pairs of texts.

    Raises:
        ValueError: it is not an `ExampleTask`, or a text or label is of another type.
    """
    if not isinstance(task, ExampleTask):
        raise ValueError(f"the harness was given {brief(task)}; expected an ExampleTask")
    _raise_first(task.name, _example_problems(task, degrees=degrees, pairs=pairs))


def require_tagged(task: object) -> None:
    """Check tagged texts.

    Raises:
        ValueError: it is not a `TaggingTask`, or a span is outside its text or overlaps another one.
    """
    if not isinstance(task, TaggingTask):
        raise ValueError(f"tagging() was given {brief(task)}; expected a TaggingTask")
    _raise_first(task.name, _tag_problems(task))


def require_task(task: object, tuning: object) -> None:
    """Check an evaluator's own fine-tuning task and its budget.

    Raises:
        ValueError: they are not a `FineTuningTask` and a `FineTuning`, or the task has no examples.
    """
    if not isinstance(task, FineTuningTask):
        raise ValueError(f"fine_tune() was given {brief(task)}; expected a FineTuningTask")
    if not isinstance(tuning, FineTuning):
        raise ValueError(f"fine_tune() was given the tuning {brief(tuning)}; expected a FineTuning")
    num_examples: object = task.num_examples
    if not isinstance(num_examples, Integral) or num_examples < 1:
        raise ValueError(
            f"task '{type(task).__name__}': num_examples is {brief(num_examples)}; expected a whole number of at least 1"
        )


def _raise_first(name: str, problems: Iterator[str]) -> None:
    problem = next(problems, None)
    if problem is not None:
        raise ValueError(f"task '{name}': {problem}")


def _collection_problems(collection: RetrievalCollection) -> Iterator[str]:
    for field in ("corpus", "queries"):
        texts = getattr(collection, field)
        if not isinstance(texts, Mapping) or not texts:
            yield f"'{field}' is {brief(texts)}; expected id -> text of at least one"
            return
        for key, text in texts.items():
            if not isinstance(key, str) or not isinstance(text, str):
                yield f"'{field}' has {brief(key)}: {brief(text)}; expected id -> text"
    for query, grades in collection.relevance.items():
        if query not in collection.queries:
            yield f"'relevance' has the query {brief(query)}, which is not among the queries"
        yield from _grade_problems(f"the query {brief(query)}", grades, collection.corpus)
    for text, grades in collection.dev.items():
        yield from _grade_problems(f"the dev query {brief(text)}", grades, collection.corpus)
    for query, documents in (collection.candidates or {}).items():
        missing = next((document for document in documents if document not in collection.corpus), None)
        if missing is not None:
            yield f"the query {brief(query)} has the candidate {brief(missing)}, which is not in the corpus"
    for pair in collection.training:
        if len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            yield f"'training' has {brief(pair)}; expected a query and a relevant text"


def _grade_problems(of: str, grades: Mapping[str, int], corpus: Mapping[str, str]) -> Iterator[str]:
    for document, grade in grades.items():
        if document not in corpus:
            yield f"{of} has the document {brief(document)}, which is not in the corpus"
        if not isinstance(grade, Integral):
            yield f"{of} has the grade {brief(grade)} for {brief(document)}; expected a whole number"


def _example_problems(task: ExampleTask, *, degrees: bool, pairs: bool) -> Iterator[str]:
    for split, example in _members(task):
        if not isinstance(example, Example):
            yield f"'{split}' has {brief(example)}; expected an Example"
        elif not isinstance(example.text, str):
            yield f"'{split}' has the text {brief(example.text)}; expected a str"
        elif pairs and not isinstance(example.second, str):
            yield f"'{split}' has the second text {brief(example.second)}; expected a str"
        elif degrees and not is_finite(example.label):
            yield f"'{split}' has the label {brief(example.label)}; expected a degree of similarity, a finite number"
        elif not isinstance(example.label, str | Real):
            yield f"'{split}' has the label {brief(example.label)}; expected a class or a degree"


def _tag_problems(task: TaggingTask) -> Iterator[str]:
    for split, tagged in _members(task):
        if not isinstance(tagged, TaggedText) or not isinstance(tagged.text, str):
            yield f"'{split}' has {brief(tagged)}; expected a TaggedText"
            continue
        spans = sorted(tagged.spans)
        for start, end, label in spans:
            if not 0 <= start < end <= len(tagged.text) or not isinstance(label, str):
                yield f"'{split}' has the span {brief((start, end, label))} in a text of {len(tagged.text):,} characters"
        if any(first[1] > second[0] for first, second in pairwise(spans)):
            yield f"'{split}' has overlapping spans: {brief(spans)}"


def _members(task: ExampleTask | TaggingTask) -> Iterator[tuple[str, object]]:
    for split in ("train", "dev", "test"):
        members: Sequence[object] | Iterable[object] = getattr(task, split)
        for member in members:
            yield split, member
