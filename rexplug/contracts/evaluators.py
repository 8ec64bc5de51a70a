"""Checks an evaluator: on tiny encoders and on BM25, by the calls and with the context of a run.

PYTEST_DONT_REWRITE: an assertion's message is complete; pytest would add the values that were compared.
"""

from __future__ import annotations

import atexit
import copy
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexplug.components import Budget, Document, EvaluationContext, EvaluationResult, Evaluator
from rexplug.contracts.made_up import plain_documents, write_tiny_encoder
from rexplug.contracts.other_process import call_elsewhere
from rexplug.contracts.results import result_breaches
from rexplug.errors import NotApplicable, PluginError
from rexplug.plugins.calls import (
    evaluator_at_budget,
    evaluator_label,
    input_files,
    owner,
    test_texts,
    why_no_test_texts,
)

if TYPE_CHECKING:
    from rexplug.evaluation.harness import Context
    from rexplug.evaluation.models import Model

_BUDGET: Budget = "quick"
_HELD_OUT = 40
"""Held-out documents of each of two sources."""
_ENCODERS = {"a tiny encoder": (600, 0), "another tiny encoder": (320, 1)}
"""Name -> size of the vocabulary and seed of the weights. Results are compared on the first; the second has other tokens, which
must not change what is measured."""


def check_evaluator(evaluator: Evaluator, *, held_out: Mapping[str, Iterable[Document]] | None = None) -> None:
    """Check an evaluator on two tiny encoders of random weights and on BM25, by the calls and with the context of a run.

    The result must be the same twice, and its parts must agree: confidence intervals contain their metrics, the scores of items
    give the metrics, items mark characters within their texts, JSON can store tables and examples. Every model must be measured on
    the same items. `test_texts` must name what is reported on, or `why_no_test_texts` say why it does not. The budget is `quick`.
    The first call takes some seconds more, since it imports torch and makes the encoders.

    Args:
        evaluator: the evaluator; its data must be on this machine.
        held_out: source -> documents that the context has as held out; made-up ones if left out.

    Raises:
        AssertionError: with a line for each breach.
        NotApplicable: the evaluator does not apply to a masked language model either.
    """
    breaches: list[str] = []
    try:
        for breach in evaluator_breaches(evaluator, held_out):
            breaches.append(breach)
    except PluginError as error:
        breaches.append(str(error))
    assert not breaches, "\n".join(dict.fromkeys(breaches))


def evaluator_breaches(
    evaluator: Evaluator,
    held_out: Mapping[str, Iterable[Document]] | None = None,
    other_process: Executor | None = None,
) -> Iterator[str]:
    """What is wrong with an evaluator, a sentence each.

    Args:
        evaluator: the evaluator.
        held_out: source -> documents; made-up ones if left out.
        other_process: evaluates it there too.

    Raises:
        PluginError: a method raised, or a result breaks the contract.
        NotApplicable: it does not apply to a masked language model.
    """
    where = f"{owner(evaluator)}{evaluator.name}"
    for breach in _breaches(evaluator, _held_out(held_out), other_process):
        yield f"{where}: {breach}"


def _breaches(evaluator: Evaluator, given: dict[str, list[Document]], other_process: Executor | None) -> Iterator[str]:
    yield from _undeclared(evaluator)
    before = copy.deepcopy(given)
    first_name, other_name = _ENCODERS
    first = measured(evaluator, first_name, given)
    yield from result_breaches(evaluator, first)
    for model in (other_name, "bm25"):
        try:
            result = measured(evaluator, model, given)
        except NotApplicable:
            continue
        yield from (f"on {model}: {breach}" for breach in result_breaches(evaluator, result))
        yield from _other_items(first_name, first, model, result)
    if given != before:
        yield "it changes the documents that the context holds"
        given = before
    again = _difference(first, measured(evaluator, first_name, given))
    if again is not None:
        yield f"the same model gives a different result the second time: {again}"
    elif other_process is not None:
        elsewhere = call_elsewhere(other_process, measured, evaluator, first_name, given)
        if elsewhere is not None and (difference := _difference(first, elsewhere)) is not None:
            yield f"the same model gives a different result in another process: {difference}"


def _undeclared(evaluator: Evaluator) -> Iterator[str]:
    """What is missing or wrong in what an evaluator declares: label, files, test texts."""
    evaluator_label(evaluator)
    for path in input_files(evaluator):
        if not path.exists():
            yield f"inputs() names {path}, which does not exist"
    if test_texts(evaluator):
        return
    if type(evaluator).test_texts is Evaluator.test_texts and (
        type(evaluator).why_no_test_texts is Evaluator.why_no_test_texts
    ):
        yield (
            "test_texts() names no texts; return those that the evaluator reports on, so that decontamination keeps them out of "
            "training, or say in why_no_test_texts() why there are none"
        )
    elif not why_no_test_texts(evaluator):
        yield "test_texts() names no texts, and why_no_test_texts() gives no reason"


def measured(evaluator: Evaluator, model: str, held_out: Mapping[str, Sequence[Document]]) -> EvaluationResult:
    """The result of an evaluator on a tiny encoder, or on `bm25`.

    Raises:
        NotApplicable: the model cannot do what is measured.
        PluginError: the evaluator raised, or its result breaks the contract.
    """
    from rexplug.evaluation.harness import run_evaluator

    with _context(model, held_out) as context:
        return run_evaluator(evaluator_at_budget(evaluator, _BUDGET), context, _BUDGET)


def made_up_context() -> AbstractContextManager[EvaluationContext]:
    """The context that evaluators are checked with: the first tiny encoder and made-up documents."""
    return _context(next(iter(_ENCODERS)), _held_out(None))


@contextmanager
def _context(model: str, held_out: Mapping[str, Sequence[Document]]) -> Iterator[Context]:
    """A context as the harness makes it, with an empty folder."""
    from rexplug.evaluation.harness import Context, EvaluationData

    with tempfile.TemporaryDirectory() as folder:
        yield Context(_model(model), EvaluationData(held_out, seed=17), Path(folder))


def _held_out(given: Mapping[str, Iterable[Document]] | None) -> dict[str, list[Document]]:
    return {name: list(documents) for name, documents in (given or plain_documents(_HELD_OUT)).items()}


@cache
def _model(name: str) -> Model:
    from rexplug.evaluation.models import ModelSpec

    if name not in _ENCODERS:
        return ModelSpec(name, name).load()
    folder = tempfile.mkdtemp(prefix="rexplug-tiny-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    vocabulary, seed = _ENCODERS[name]
    write_tiny_encoder(Path(folder), vocabulary=vocabulary, seed=seed)
    return ModelSpec(name, folder).load()


def _other_items(first_name: str, first: EvaluationResult, model: str, result: EvaluationResult) -> Iterator[str]:
    """Whether two models were measured on different items; other metrics than these may be of tokens, which differ."""
    for metric in (first.main, *first.headlines):
        if metric not in first.scores or metric not in result.scores:
            continue
        one, other = first.scores[metric], result.scores[metric]
        if set(one.ids) != set(other.ids):
            yield f"the items of '{metric}' on {model} differ from those on {first_name}; choose them by the seed alone"


def _difference(first: EvaluationResult, other: EvaluationResult) -> str | None:
    """The first thing in which two results differ, in words; None if they are the same."""
    for name, metric in first.metrics.items():
        if name not in other.metrics:
            return f"the metric '{name}' is missing"
        if (one := _rounded(metric)) != (two := _rounded(other.metrics[name])):
            field = next(field for field in one if one[field] != two[field])
            what = f"'{name}'" if field == "value" else f"`{field}` of '{name}'"
            return f"{what} is {one[field]}, then {two[field]}"
    if new := sorted(other.metrics.keys() - first.metrics.keys()):
        return f"the metric '{new[0]}' is new"
    for part in ("scores", "items", "tables", "examples", "notes"):
        if _rounded(getattr(first, part)) != _rounded(getattr(other, part)):
            return f"its {part} differ"
    without_figures = [
        [(section.title, section.text, section.table) for section in result.sections] for result in (first, other)
    ]
    return "its sections differ" if _rounded(without_figures[0]) != _rounded(without_figures[1]) else None


def _rounded(value: Any) -> Any:
    """Dataclasses as mappings, at any depth, and numbers with six digits: the last bits depend on the order of sums."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if hasattr(value, "tolist"):
        return _rounded(value.tolist())
    return float(f"{value:.6g}") if isinstance(value, float) else value
