"""Calls into labellers: the labels of candidates, and the documents that a labeller has or can label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rexplug.components import Candidate, Document, Labeller, LabellingContext
from rexplug.errors import PluginError
from rexplug.plugins.calls.call import PluginCall, as_list, is_bool, list_of, owner, unexpected
from rexplug.plugins.calls.sources import require_document


def label_candidates(
    labeller: Labeller, candidates: Sequence[Candidate], context: LabellingContext
) -> list[bool | None]:
    """`labeller.label(candidates, context)`: a label per candidate, in their order.

    Raises:
        PluginError: the labeller raised, or did not return True, False or None per candidate.
    """
    subject, expected = f"on {len(candidates):,} candidates", "True, False or None per candidate"
    with PluginCall(labeller, "label", subject):
        returned: object = labeller.label(list(candidates), context)  # a copy, since a labeller may empty its list
    what = f"for {len(candidates):,} candidates"
    labels = as_list(labeller, "label", returned, expected, subject=subject, what=what)
    if len(labels) != len(candidates):
        raise PluginError(
            f"{owner(labeller)}{labeller.name}.label() returned {len(labels):,} labels {what}; expected {expected}"
        )
    for label, candidate in zip(labels, candidates, strict=True):
        if label is not None and not is_bool(label):
            raise unexpected(labeller, "label", label, expected, f"for document '{candidate.document.id}'")
    return [None if label is None else bool(label) for label in labels]


def labeller_instruction(labeller: Labeller) -> str | None:
    """A labeller's prompt for a language model; None if it has none."""
    with PluginCall(labeller, "instruction"):
        text: Any = labeller.instruction()
    if text is not None and not isinstance(text, str):
        raise unexpected(labeller, "instruction", text, "a text or None")
    return text


def own_documents(labeller: Labeller) -> Iterator[Document] | None:
    """A labeller's own documents; None if it has none. The iterator raises like `read_documents`."""
    with PluginCall(labeller, "own_documents"):
        documents: Any = labeller.own_documents()
    if documents is None:
        return None
    if not isinstance(documents, Iterable):
        raise unexpected(labeller, "own_documents", documents, "documents or None")
    return _own_documents(labeller, documents)


def _own_documents(labeller: Labeller, documents: Iterable[Document]) -> Iterator[Document]:
    with PluginCall(labeller, "own_documents"):
        for document in documents:
            require_document(labeller, "own_documents", document)
            yield document


def labelled_ids(labeller: Labeller) -> frozenset[str] | None:
    """The ids of the documents that a labeller can label; None for any document."""
    with PluginCall(labeller, "labelled_ids"):
        returned: object = labeller.labelled_ids()
    if returned is None:
        return None
    return frozenset(list_of(labeller, "labelled_ids", returned, str, "a frozenset of ids or None"))
