"""Calls into corpus filters: their verdicts on documents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rexplug.components import CorpusFilter, Document, Verdict
from rexplug.errors import PluginError, brief
from rexplug.plugins.calls.call import PluginCall, as_list, is_bool, is_finite, owner, text_property, unexpected


def step_name(corpus_filter: CorpusFilter) -> str:
    """The name of a filter in statistics."""
    return text_property(corpus_filter, "step_name")


def judge_documents(component: CorpusFilter, documents: Sequence[Document]) -> list[Verdict]:
    """`component.judge_batch(documents)`: a verdict per document, in their order.

    Raises:
        PluginError: the filter raised, or did not return a `Verdict` per document.
    """
    if type(component).judge_batch is CorpusFilter.judge_batch:
        return [judge_document(component, document) for document in documents]  # names the document that fails
    with PluginCall(component, "judge_batch", documents):
        returned: object = component.judge_batch(list(documents))  # a copy, since a filter may empty its list
    verdicts = as_list(component, "judge_batch", returned, "a Verdict per document", subject=documents)
    if len(verdicts) != len(documents):
        raise PluginError(
            f"{owner(component)}{component.name}.judge_batch() returned {len(verdicts)} values for {len(documents)} documents; "
            "expected a Verdict per document"
        )
    for document, verdict in zip(documents, verdicts, strict=True):
        _require_verdict(component, "judge_batch", verdict, document)
    return verdicts


def judge_document(component: CorpusFilter, document: Document) -> Verdict:
    """The checked verdict of `component.judge(document)`.

    Raises:
        PluginError: the filter raised, or did not return a `Verdict`.
    """
    with PluginCall(component, "judge", document):
        verdict: object = component.judge(document)
    return _require_verdict(component, "judge", verdict, document)


def _require_verdict(component: CorpusFilter, method: str, verdict: object, document: Document) -> Verdict:
    """Check the fields of a verdict; text that is not valid Unicode could not be written."""
    if not isinstance(verdict, Verdict):
        raise unexpected(component, method, verdict, "a Verdict", f"for document '{document.id}'")
    keep, score, reason, text = verdict.keep, verdict.score, verdict.reason, verdict.text
    if (
        score is None
        and text is None
        and verdict.metadata is None
        and (keep is True or (keep is False and type(reason) is str and reason.isascii()))
    ):
        return verdict  # nearly all verdicts
    problem = "" if is_bool(keep) else f"keep={brief(keep)}; expected True or False"
    if score is not None and not is_finite(score):
        problem = f"the score {brief(score)}; expected a finite number"
    if verdict.metadata is not None and not isinstance(verdict.metadata, Mapping):
        problem = f"the metadata {brief(verdict.metadata)}; expected a mapping"
    elif verdict.metadata is not None and (why := _why_unwritable(verdict.metadata)):
        problem = f"the metadata {brief(verdict.metadata)}, which cannot be written as JSON: {why}"
    for name, value in (("reason", reason), ("text", text)):
        if value is not None and not isinstance(value, str):
            problem = f"the {name} {brief(value)}; expected a str"
        elif value is not None and not value.isascii() and not _is_unicode(value):
            problem = f"the {name} {brief(value)}, which has a lone surrogate and is not valid Unicode"
    if problem:
        raise PluginError(
            f"{owner(component)}{component.name}.{method}() returned for document '{document.id}' a verdict with {problem}"
        )
    return verdict


def _why_unwritable(metadata: Mapping[str, object]) -> str:
    """Why metadata cannot be stored with a document; empty if they can."""
    try:
        json.dumps(dict(metadata), default=str)
    except (TypeError, ValueError, RecursionError) as error:
        return str(error)
    return ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
