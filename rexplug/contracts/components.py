"""Contract checks for pytest: each raises AssertionError with a sentence that says what the component does wrong.

PYTEST_DONT_REWRITE: an assertion's message is complete; pytest would add the values that were compared.
"""

from __future__ import annotations

import copy
import math
import pickle
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rexplug.batches.trial_rows import random_row
from rexplug.components import (
    Candidate,
    Component,
    CorpusFilter,
    Document,
    DocumentSource,
    Labeller,
    LabellingContext,
    MaskingPolicy,
    MixingSchedule,
    Reason,
    SalienceScorer,
    Shard,
    TokenBatch,
    TokenizedDocument,
)
from rexplug.components.masking_policy import ROW_CHANNELS
from rexplug.plugins.calls import read_documents
from rexplug.progress import Silent
from rexplug.text.words import word_spans


def _require_pickling(component: Component) -> None:
    assert pickle.loads(pickle.dumps(component)) == component, f"{component.name} is not the same after pickling"


def check_document_source(source: DocumentSource, *, shards: Sequence[int] = (1, 2, 3)) -> None:
    """Check that a source yields the same documents, without repetition, for any number of shards, and that ids are distinct.

    Args:
        source: the source.
        shards: the numbers of shards to try.

    Raises:
        AssertionError: it does not.
    """
    _require_pickling(source)
    expected: dict[str, str] | None = None
    for count in shards:
        documents = [d for index in range(count) for d in read_documents(source, Shard(index, count))]
        texts = {document.id: document.text for document in documents}
        assert len(texts) == len(documents), f"{source.name} yields an id twice with {count} shards"
        assert expected is None or texts == expected, f"{source.name} yields different documents with {count} shards"
        expected = texts


def check_corpus_filter(
    component: CorpusFilter,
    *,
    keep: Iterable[Document] = (),
    drop: Iterable[Document] = (),
    change: Iterable[tuple[Document, str]] = (),
) -> None:
    """Check the verdicts of a filter: as stated, with a reason where it drops, the same after pickling and in `judge_batch`.

    Args:
        component: the filter; it must not change the documents that it judges.
        keep: documents that it keeps.
        drop: documents that it drops.
        change: documents that it keeps, with the text that it gives them; that text must be kept unchanged.

    Raises:
        AssertionError: a verdict is different.
    """
    _require_pickling(component)
    again: CorpusFilter = pickle.loads(pickle.dumps(component))
    for expected, documents in ((True, keep), (False, drop)):
        for document in documents:
            before = copy.deepcopy(document)
            verdict = component.judge(document)
            assert document == before, f"{component.name} changed document '{document.id}'"
            word = "kept" if verdict.keep else f"dropped ({verdict.reason})"
            assert verdict.keep is expected, f"{component.name} {word} document '{document.id}'"
            assert verdict.keep or verdict.reason, f"{component.name} dropped document '{document.id}' without a reason"
            assert again.judge(document) == verdict, (
                f"{component.name} judges '{document.id}' differently after pickling"
            )
            assert component.judge_batch([document]) == [verdict], (
                f"{component.name} judges '{document.id}' differently in bulk"
            )
    for document, wanted_text in change:
        verdict = component.judge(document)
        assert verdict.keep, f"{component.name} dropped document '{document.id}' ({verdict.reason})"
        assert verdict.text == wanted_text, f"{component.name} changed document '{document.id}' to {verdict.text!r}"
        second = component.judge(Document(document.id, wanted_text, document.url, document.metadata))
        assert second.keep, f"{component.name} dropped document '{document.id}' the second time ({second.reason})"
        assert second.text in (None, wanted_text), (
            f"{component.name} changed document '{document.id}' again to {second.text!r}"
        )
        assert again.judge(document) == verdict, f"{component.name} changes '{document.id}' differently after pickling"
        assert component.judge_batch([document]) == [verdict], (
            f"{component.name} changes '{document.id}' differently in bulk"
        )


def check_labeller(
    labeller: Labeller,
    *,
    relevant: Iterable[Document] = (),
    irrelevant: Iterable[Document] = (),
    undecided: Iterable[Document] = (),
) -> None:
    """Check the labels of documents: as stated, one for each, the same for any order and after pickling.

    Args:
        labeller: the labeller.
        relevant: documents that it labels True.
        irrelevant: documents that it labels False.
        undecided: documents that it labels None.

    Raises:
        AssertionError: a label is different.
    """
    _require_pickling(labeller)
    again: Labeller = pickle.loads(pickle.dumps(labeller))
    expected = [
        (d, label) for label, documents in ((True, relevant), (False, irrelevant), (None, undecided)) for d in documents
    ]
    for order in (expected, expected[::-1]):
        candidates = [Candidate("check", copy.deepcopy(document)) for document, _ in order]
        with tempfile.TemporaryDirectory() as folder:
            labels = again.label(candidates, LabellingContext(Path(folder), 0, Silent()))
        assert isinstance(labels, list), f"{labeller.name} returned {type(labels).__name__}, not a list"
        assert len(labels) == len(order), f"{labeller.name} returned {len(labels)} labels for {len(order)} documents"
        for (document, label), given, candidate in zip(order, labels, candidates, strict=True):
            assert given is label, f"{labeller.name} labels document '{document.id}' {given!r}, not {label}"
            assert candidate.document == document, f"{labeller.name} changed document '{document.id}'"


def check_mixing_schedule(schedule: MixingSchedule, *, sources: Iterable[str]) -> None:
    """Check that weights are finite, at least 0 and not all 0, and belong to the same known sources at any progress.

    Args:
        schedule: the mixing schedule.
        sources: the sources that it may name.

    Raises:
        AssertionError: they are not.
    """
    _require_pickling(schedule)
    known = set(sources)
    first = set(schedule.weights(0.0))
    for step in range(101):
        progress = step / 100
        weights = schedule.weights(progress)
        assert set(weights) <= known, f"{schedule.name} names unknown sources at {progress}: {set(weights) - known}"
        assert set(weights) == first, f"{schedule.name} names different sources at {progress} than at 0"
        for name, weight in weights.items():
            assert math.isfinite(weight), f"{schedule.name} gives '{name}' {weight} at {progress}"
            assert weight >= 0, f"{schedule.name} gives '{name}' {weight} at {progress}"
        assert sum(weights.values()) > 0, f"{schedule.name} gives every source 0 at {progress}"


def check_salience_scorer(scorer: SalienceScorer, text: str, *, salient: Iterable[str] = ()) -> None:
    """Check a scorer on a text: uint8 per token, the same every time, and reasons in order.

    Args:
        scorer: the salience scorer.
        text: the text.
        salient: the words that must score above 0; all others must score 0.

    Raises:
        AssertionError: a score or a reason is different.
    """
    _require_pickling(scorer)
    spans = _words_and_marks(text)
    document = TokenizedDocument(
        "check", text, np.arange(len(spans), dtype=np.uint32), np.array(spans, np.uint32).reshape(-1, 2),
        np.ones(len(spans), np.bool_),
    )  # fmt: skip
    for array in (document.token_ids, document.offsets, document.word_starts):
        array.flags.writeable = False
    values = scorer.score(document)
    assert values.dtype == np.uint8, f"{scorer.name} returned {values.dtype}, not uint8"
    assert values.shape == (len(spans),), f"{scorer.name} returned shape {values.shape} for {len(spans)} tokens"
    assert (scorer.score(document) == values).all(), f"{scorer.name} scores the same document differently"
    require_order(scorer, scorer.explain(document), text)
    expected = set(salient)
    for (start, end), value in zip(spans, values, strict=True):
        word = text[start:end]
        assert (value > 0) == (word in expected), f"{scorer.name} gives '{word}' {value}"


def require_order(scorer: SalienceScorer, reasons: Iterable[Reason], text: str) -> None:
    """Assert that the reasons of a scorer are in order, do not overlap and lie in the text."""
    last_end = 0
    for reason in reasons:
        assert last_end <= reason.start < reason.end <= len(text), (
            f"{scorer.name} explains characters {reason.start} to {reason.end}, out of order or outside the text"
        )
        last_end = reason.end


def _words_and_marks(text: str) -> list[tuple[int, int]]:
    """The positions of words, and of every other character that is not white space, in order."""
    words = word_spans(text)
    between = set(range(len(text))).difference(*(range(start, end) for start, end in words))
    return sorted([*words, *((at, at + 1) for at in between if not text[at].isspace())])


def check_masking_policy(policy: MaskingPolicy, *, num_tokens: int = 512, seed: int = 0) -> None:
    """Check that a policy masks exactly its budget, no special tokens, and the same tokens for the same generator.

    As in training, the arrays of the row are read-only, and it has only the channels that the policy says it reads.

    Args:
        policy: the masking policy; it is tried at progress 0, 0.5 and 1, on a row with and without salient tokens.
        num_tokens: length of the rows, which are random.
        seed: seed of the rows and of the generator.

    Raises:
        AssertionError: it does not.
    """
    _require_pickling(policy)
    again: MaskingPolicy = pickle.loads(pickle.dumps(policy))
    for share in (0.2, 0.0):
        row = random_row(policy, num_tokens, np.random.default_rng(seed), salient=share)
        for progress in (0.0, 0.5, 1.0):
            chosen = _chosen(policy, row, progress, seed)
            assert chosen.dtype == np.bool_, f"{policy.name} returned {chosen.dtype}, not bool"
            assert chosen.shape == (num_tokens,), f"{policy.name} returned shape {chosen.shape} for {num_tokens} tokens"
            assert not (chosen & ~row.maskable).any(), f"{policy.name} masked a special token"
            budget = policy.budget(row, progress)
            assert chosen.sum() == budget, f"{policy.name} masked {chosen.sum()} tokens instead of {budget}"
            salient = policy.salient_subset(row, progress, np.random.default_rng(seed))
            assert not (salient & ~chosen).any(), (
                f"{policy.name}.salient_subset() has tokens that choose() does not choose"
            )
            same = _chosen(again, row, progress, seed)
            assert (chosen == same).all(), f"{policy.name} chooses differently with the same generator"


def _chosen(policy: MaskingPolicy, row: TokenBatch, progress: float, seed: int) -> NDArray[np.bool_]:
    try:
        return policy.choose(row, progress, np.random.default_rng(seed))
    except KeyError as error:
        if error.args and error.args[0] in ROW_CHANNELS:
            raise AssertionError(
                f"{policy.name} reads the channel {error}, which its `channels` does not name"
            ) from None
        raise
    except ValueError as error:
        if "read-only" in str(error):
            raise AssertionError(f"{policy.name} writes to the row, whose arrays are read-only: {error}") from None
        raise
