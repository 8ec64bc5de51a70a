"""Tries the methods of a component on made-up inputs: results must not depend on earlier calls, their order, or the process."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rexplug.batches.trial_rows import random_row
from rexplug.components import (
    Candidate,
    Component,
    CorpusFilter,
    CorpusSample,
    Document,
    DocumentSource,
    Evaluator,
    Labeller,
    LabellingContext,
    MaskingPolicy,
    MixingSchedule,
    SalienceScorer,
    Shard,
    TokenBatch,
    TokenizedDocument,
    Verdict,
)
from rexplug.contracts.components import (
    check_document_source,
    check_masking_policy,
    check_mixing_schedule,
    require_order,
)
from rexplug.contracts.evaluators import evaluator_breaches
from rexplug.contracts.made_up import plain_documents, tokenizers, unusual_documents
from rexplug.contracts.other_process import call_elsewhere
from rexplug.plugins.calls import (
    choose_tokens,
    component_from_entry,
    count_shards,
    explain_salience,
    fit_component,
    judge_document,
    judge_documents,
    label_candidates,
    labelled_ids,
    labeller_instruction,
    mixing_weights,
    needed_sources,
    own_documents,
    read_documents,
    score_document,
)
from rexplug.progress import Silent

_PROGRESS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_MOST_DOCUMENTS = 50
"""Documents of a shard that are compared."""


@dataclass(frozen=True)
class Trial:
    """A method of a component and the inputs that it is tried on."""

    method: Callable[[Any, Sequence[Any]], list[Any]]
    """Returns a result per input; a function of a module, since it is sent to another process."""
    inputs: Sequence[Any]
    described: Callable[[Any], str]
    """An input as it ends a sentence: `on a text`, `at progress 0.5`."""
    in_bulk: Callable[[Any, Sequence[Any]], list[Any]] | None = None
    """Another method, whose results must be the same."""


def trial_breaches(component: Component, other_process: Executor, folder: Path) -> Iterator[str]:
    """Call a component's methods on made-up data; yields what is wrong in a sentence each, and raises what they raise.

    Args:
        component: the component.
        other_process: tries it too.
        folder: an empty folder for what the component writes.
    """
    if _learns(component):
        component, breaches = _fitted(component, folder)
        yield from breaches
    if isinstance(component, MaskingPolicy):
        check_masking_policy(component)
        check_masking_policy(component, num_tokens=9)
    elif isinstance(component, MixingSchedule):
        check_mixing_schedule(component, sources=mixing_weights(component, 0.0))
    elif isinstance(component, DocumentSource):
        count_shards(component)
        check_document_source(component)
    elif isinstance(component, Evaluator):
        yield from evaluator_breaches(component, other_process=other_process)
        return
    for trial in _trials(component, folder):
        yield from same_everywhere(component, trial, other_process)


def needs_more(component: Component) -> bool:
    """Whether made-up data may not be enough for a component: it learns, asks a service or measures on data of its own."""
    return isinstance(component, Labeller | Evaluator) or _learns(component)


def _learns(component: Component) -> bool:
    if isinstance(component, CorpusFilter):
        return type(component).fit is not CorpusFilter.fit
    return isinstance(component, SalienceScorer) and type(component).fit is not SalienceScorer.fit


def _trials(component: Component, folder: Path) -> Iterator[Trial]:
    if isinstance(component, CorpusFilter):
        yield Trial(_verdicts, unusual_documents(), _text_of, in_bulk=_verdicts_in_bulk)
    elif isinstance(component, SalienceScorer):
        for tokenized in tokenizers():
            yield Trial(_salience, [tokenized(document) for document in unusual_documents()], _text_of)
    elif isinstance(component, Labeller):
        labeller_instruction(component)
        yield Trial(_labels, [(folder, document) for document in _documents_to_label(component)], _text_of_pair)
    elif isinstance(component, MaskingPolicy):
        generator = np.random.default_rng(1)
        rows = [random_row(component, 64 + 8 * number, generator) for number in range(4)]
        yield Trial(_chosen, [(row, progress) for row in rows for progress in (0.0, 0.5, 1.0)], _row)
    elif isinstance(component, MixingSchedule):
        yield Trial(_weights, _PROGRESS, lambda progress: f"at progress {progress:g}")
    elif isinstance(component, DocumentSource):
        yield Trial(
            _documents, [Shard(index, 3) for index in range(3)], lambda shard: f"on shard {shard.index + 1} of 3"
        )


def _fitted(component: Any, folder: Path) -> tuple[Any, list[str]]:
    """A filter or scorer that has learnt from made-up documents, and what is wrong with how it did."""
    corpus: dict[str, list[Document]] = dict(plain_documents(60))
    if isinstance(component, SalienceScorer):
        for name, documents in zip(needed_sources(component), corpus.values(), strict=False):
            corpus = {**corpus, name: documents}
    fitted, entry = fit_component(component, CorpusSample(corpus, folder, 17))
    read = component_from_entry(component, entry)
    breaches = []
    if read != fitted:
        breaches.append(
            f"{component.name}.fit() returned a component whose options do not hold what it learnt; a run writes the options and "
            "reads them again"
        )
    return read, breaches


def _documents_to_label(labeller: Labeller) -> list[Document]:
    """The labeller's own documents, or made-up ones with ids that it can label."""
    own = own_documents(labeller)
    if own is not None:
        return list(islice(own, _MOST_DOCUMENTS))
    documents = [document for document in unusual_documents() if document.text.strip()]
    documents += [document for of_source in plain_documents(5).values() for document in of_source]
    ids = labelled_ids(labeller)
    if ids is None:
        return documents
    return [replace(document, id=known) for document, known in zip(documents, sorted(ids), strict=False)]


def _verdicts(component: Any, documents: Sequence[Document]) -> list[Any]:
    """The verdict on each document, one by one."""
    return [_decided(judge_document(component, document)) for document in documents]


def _verdicts_in_bulk(component: Any, documents: Sequence[Document]) -> list[Any]:
    return [_decided(verdict) for verdict in judge_documents(component, documents)]


def _decided(verdict: Verdict) -> Verdict:
    """The verdict; without its reason if the document is kept, since that reason is not used."""
    return replace(verdict, reason="") if verdict.keep else verdict


def _salience(component: Any, documents: Sequence[TokenizedDocument]) -> list[Any]:
    """The salience of the tokens of each document and its reasons."""
    results = []
    for document in documents:
        scores, reasons = score_document(component, document).tolist(), explain_salience(component, document)
        require_order(component, reasons, document.text)
        results.append((scores, reasons))
    return results


def _labels(component: Any, documents: Sequence[tuple[Path, Document]]) -> list[Any]:
    """The label of each document; answers that cost money or time are in the folder, where they are found again."""
    context = LabellingContext(documents[0][0] if documents else Path(), 17, Silent())
    return list(label_candidates(component, [Candidate("made-up", document) for _, document in documents], context))


def _chosen(component: Any, rows: Sequence[tuple[TokenBatch, float]]) -> list[Any]:
    """The tokens that a policy chooses of each row."""
    return [
        np.flatnonzero(choose_tokens(component, row, progress, np.random.default_rng(5))).tolist()
        for row, progress in rows
    ]


def _weights(component: Any, progress: Sequence[float]) -> list[Any]:
    """The weights at each progress."""
    return [mixing_weights(component, at) for at in progress]


def _documents(component: Any, shards: Sequence[Shard]) -> list[Any]:
    """The first documents of each shard."""
    return [list(islice(read_documents(component, shard), _MOST_DOCUMENTS)) for shard in shards]


def _text_of(document: Document | TokenizedDocument) -> str:
    return f"on {document.text[:40]!r}"


def _text_of_pair(pair: tuple[Path, Document]) -> str:
    return _text_of(pair[1])


def _row(row: tuple[TokenBatch, float]) -> str:
    return f"on a row of {len(row[0].token_ids)} tokens at progress {row[1]:g}"


def same_everywhere(component: Component, trial: Trial, other_process: Executor) -> Iterator[str]:
    """Whether results are the same a second time, in reverse order, in bulk, after pickling and in another process."""
    method, inputs = trial.method, trial.inputs
    before = copy.deepcopy(inputs) if isinstance(component, CorpusFilter | Labeller) else None
    first = method(component, inputs)
    if before is not None:
        for one, given in zip(before, inputs, strict=True):
            if one != given:
                yield f"{component.name} changes the document that it is given, {trial.described(one)}"
                return
    others: dict[str, Callable[[], list[Any]]] = {
        "a second time": lambda: method(component, inputs),
        "in reverse order": lambda: method(component, inputs[::-1])[::-1],
        "after pickling": lambda: method(pickle.loads(pickle.dumps(component)), inputs),
    }
    if trial.in_bulk is not None:
        in_bulk = trial.in_bulk
        others["in bulk"] = lambda: in_bulk(component, inputs)
    for how, results in others.items():
        if breach := _difference(component, how, trial, first, results()):
            yield breach
            return
    elsewhere = call_elsewhere(other_process, method, component, inputs[::-1])
    if elsewhere is not None and (
        breach := _difference(component, "in another process", trial, first, elsewhere[::-1])
    ):
        yield breach


def _difference(
    component: Component, how: str, trial: Trial, first: Sequence[Any], results: Sequence[Any]
) -> str | None:
    """The first input on which results differ, in a sentence; None if there is none."""
    for given, one, other in zip(trial.inputs, first, results, strict=True):
        if one != other:
            return f"{component.name} gives a different result {how} {trial.described(given)}: {_shown(one, other)}"
    return None


def _shown(one: Any, other: Any) -> str:
    """Two results from a little before where they begin to differ."""
    first, second = repr(one), repr(other)
    at = next((at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), 0)
    start = at - 30 if at > 60 else 0
    dots = "..." if start else ""
    return f"{dots}{first[start : start + 100]}, then {dots}{second[start : start + 100]}"
