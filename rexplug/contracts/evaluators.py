"""Checks an evaluator: on tiny encoders and on BM25, by the calls and with the context of a run."""

from __future__ import annotations

import copy
import pickle
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from rexplug.components import Document, EvaluationResult, Evaluator
from rexplug.contracts.made_up import plain_documents, write_tiny_encoder
from rexplug.contracts.results import result_breaches
from rexplug.errors import NotApplicable
from rexplug.plugins.calls import owner
from rexplug.plugins.declarations import evaluator_label, input_files, test_texts, why_no_test_texts
from rexplug.plugins.files import loaded_files, unpickle

_BUDGET = "quick"
_HELD_OUT = 40
"""Documents of each of two sources that an evaluator finds held out."""
_ENCODERS = {"a tiny encoder": {"vocabulary": 600, "seed": 0}, "another tiny encoder": {"vocabulary": 320, "seed": 1}}
"""The first is what results are compared on; the second has other tokens, which must not change what is measured."""


def check_evaluator(evaluator: Evaluator, *, held_out: Mapping[str, Iterable[Document]] | None = None) -> None:
    """Check an evaluator on two tiny encoders of random weights and on BM25, by the calls and with the context of a run.

    The result must be the same twice and its parts agree with one another: confidence intervals hold their metrics, scores of items
    give them, items mark characters that their texts have, JSON can store tables and examples. Every model must be measured on the
    same items. What is reported on must be named in `test_texts`, or `why_no_test_texts` say why not. It runs at the budget `quick`;
    the first call takes some seconds, since it imports torch and makes the encoders.

    Args:
        evaluator: the evaluator; its data must be on this machine.
        held_out: source -> documents that the context has as held out; made-up ones if left out.

    Raises:
        AssertionError: with a line for each breach.
        NotApplicable: the evaluator does not apply to a masked language model either.
    """
    breaches = [f"{owner(evaluator)}{evaluator.name}: {breach}" for breach in evaluator_breaches(evaluator, held_out)]
    assert not breaches, "\n".join(dict.fromkeys(breaches))


def evaluator_breaches(
    evaluator: Evaluator,
    held_out: Mapping[str, Iterable[Document]] | None = None,
    other_process: Executor | None = None,
) -> Iterator[str]:
    """What is wrong with an evaluator, a sentence each, without its name.

    Args:
        evaluator: the evaluator.
        held_out: source -> documents; made-up ones if left out.
        other_process: evaluates it there too.

    Raises:
        NotApplicable: it does not apply to a masked language model.
        RexplugError: it cannot be evaluated.
    """
    yield from _undeclared(evaluator)
    given = {name: list(documents) for name, documents in (held_out or plain_documents(_HELD_OUT)).items()}
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
        yield f"the same model gives another result the second time: {again}"
    elif other_process is not None:
        data = pickle.dumps((evaluator, first_name, given))
        elsewhere = other_process.submit(_measured_elsewhere, data, loaded_files()).result()
        if elsewhere is not None and (difference := _difference(first, elsewhere)) is not None:
            yield f"the same model gives another result in another process: {difference}"


def _undeclared(evaluator: Evaluator) -> Iterator[str]:
    """What an evaluator does not say about itself."""
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

    with tiny_context(model, held_out) as context:
        return run_evaluator(evaluator.at_budget(_BUDGET), context, _BUDGET)


@contextmanager
def tiny_context(model: str, held_out: Mapping[str, Sequence[Document]]) -> Iterator[Any]:
    """A context as the harness makes it (`rexplug.evaluation.harness.Context`), with an empty folder."""
    from rexplug.evaluation.harness import Context, EvaluationData

    with tempfile.TemporaryDirectory() as folder:
        yield Context(_model(model), EvaluationData(held_out, seed=17), Path(folder))


@cache
def _model(name: str) -> Any:
    from rexplug.evaluation.models import ModelSpec

    if name not in _ENCODERS:
        return ModelSpec(name, name).load()
    with tempfile.TemporaryDirectory() as folder:
        write_tiny_encoder(Path(folder), **_ENCODERS[name])
        return ModelSpec(name, folder).load()


def _measured_elsewhere(data: bytes, files: dict[str, str]) -> EvaluationResult | None:
    """The result in another process; None if the evaluator's class cannot be imported there, as one that a test defines."""
    try:
        evaluator, model, held_out = unpickle(data, files)
    except (ImportError, AttributeError):
        return None
    return measured(evaluator, model, held_out)


def _other_items(first_name: str, first: EvaluationResult, model: str, result: EvaluationResult) -> Iterator[str]:
    """Whether two models were measured on other items."""
    for metric in first.scores.keys() & result.scores.keys():
        one, other = first.scores[metric], result.scores[metric]
        if set(one.ids) != set(other.ids):
            yield f"the items of '{metric}' on {model} are others than those on {first_name}; choose them by the seed alone"


def _difference(first: EvaluationResult, other: EvaluationResult) -> str | None:
    """The first thing in which two results differ, in words; None if they are the same."""
    for name, metric in first.metrics.items():
        if name not in other.metrics:
            return f"the metric '{name}' is missing"
        if (one := _rounded(asdict(metric))) != (two := _rounded(asdict(other.metrics[name]))):
            field = next(field for field in one if one[field] != two[field])
            what = f"'{name}'" if field == "value" else f"`{field}` of '{name}'"
            return f"{what} is {one[field]}, then {two[field]}"
    if new := sorted(other.metrics.keys() - first.metrics.keys()):
        return f"the metric '{new[0]}' is new"
    for part in ("scores", "items", "tables", "examples", "notes"):
        if _rounded(_plain(getattr(first, part))) != _rounded(_plain(getattr(other, part))):
            return f"its {part} differ"
    return None


def _plain(value: Any) -> Any:
    """Dataclasses as mappings, at any depth."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value


def _rounded(value: Any) -> Any:
    """Numbers rounded to six digits, which differ in the last bits with the order of sums."""
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if hasattr(value, "tolist"):
        return _rounded(value.tolist())
    return float(f"{value:.6g}") if isinstance(value, float) else value
