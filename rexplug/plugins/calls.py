"""Calls into components: names component and input when a plugin raises, and checks what a method returns.

    with PluginCall(labeller, "label", f"on {len(candidates)} candidates"):
        labels = labeller.label(candidates, context)

An exception that a plugin's own code raises becomes a `PluginError`:

    legal 0.1.0: legal.has_citation.judge() raised ValueError on document 'op-0003': invalid citation
      /home/me/legal.py:12, in judge: return Verdict(parse(document.text))

So does `SystemExit`: a library that calls `sys.exit()` must not end a run with an exit code of its own. What the core's own
components raise is a mistake of rexplug and keeps its traceback. `RexplugError` passes, because a plugin raises it on purpose;
`OSError` and `MemoryError` pass, because executors try again after them and a full disk has a message of its own. Python shows
the note that these exceptions get under their traceback; `plugin_at_fault` finds it where nobody tries again.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from numbers import Real
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rexplug.components import (
    Candidate,
    Component,
    CorpusFilter,
    Document,
    DocumentSource,
    EvaluatedItem,
    EvaluationContext,
    EvaluationResult,
    Evaluator,
    Labeller,
    LabellingContext,
    MaskingPolicy,
    Metric,
    MixingSchedule,
    ReportSection,
    SalienceScorer,
    Shard,
    TokenBatch,
    TokenizedDocument,
    Unreadable,
    Verdict,
)
from rexplug.errors import PluginError, RexplugError, brief, error_text
from rexplug.plugins.hookspecs import GROUP

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CORE = "rexplug"
_CORE_NOTE, _PLUGIN_NOTE = "raised by ", "raised by the plugin's "
"""What the notes of exceptions that pass begin with."""


class PluginCall:
    """Context of one call of a component's method; see the module's documentation.

    Args:
        component: the component.
        method: the name of the method.
        subject: what it is called on. Documents, shards, rows and progress are described; a text is used as it is and begins
            with its preposition. It is described only if the call fails, so that a call that works costs under a microsecond.
    """

    __slots__ = ("_component", "_method", "_subject")

    def __init__(self, component: Component, method: str, subject: object = "") -> None:
        self._component, self._method, self._subject = component, method, subject

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception | SystemExit) or isinstance(error, RexplugError):
            return
        what, on = f"{self._component.name}.{self._method}()", _described(self._subject)
        is_core = _package(self._component) == _CORE
        if isinstance(error, OSError | MemoryError) or (is_core and isinstance(error, Exception)):
            error.add_note(
                f"{_CORE_NOTE if is_core else _PLUGIN_NOTE}{'' if is_core else owner(self._component)}{what}{on}"
            )
            return
        if is_core:
            return
        message = error_text(error)
        text = f": {message}" if message else ""
        lines = [f"{owner(self._component)}{what} raised {type(error).__name__}{on}{text}"]
        lines += _own_lines(self._component, trace)
        raise PluginError("\n".join(lines)) from error


def plugin_at_fault(error: BaseException) -> PluginError | None:
    """The message for an `OSError` or `MemoryError` that a plugin's code raised and nobody handled; None for any other error."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, str) and note.startswith(_PLUGIN_NOTE):
            message = error_text(error)
            return PluginError(
                f"{note.removeprefix(_PLUGIN_NOTE)}: {type(error).__name__}{f': {message}' if message else ''}"
            )
    return None


def owner(component: Component) -> str:
    """`legal 0.1.0: ` for a component of an installed plugin, else an empty text."""
    version = None if _package(component) == _CORE else _version(component.name.partition(".")[0])
    return f"{component.name.partition('.')[0]} {version}: " if version else ""


@cache
def _version(plugin: str) -> str | None:
    """The version of the distribution that a plugin was installed with."""
    return next(
        (point.dist.version for point in entry_points(group=GROUP) if point.name == plugin and point.dist), None
    )


def _package(component: Component) -> str:
    return type(component).__module__.partition(".")[0]


def _described(subject: object) -> str:
    """The input of a call as it follows the name of an exception, e.g. ` on document 'op-0003'`."""
    if isinstance(subject, Document | TokenizedDocument):
        return f" on document '{subject.id}'"
    if isinstance(subject, Shard):
        return f" on shard {subject.index + 1} of {subject.count}"
    if isinstance(subject, TokenBatch):
        return f" on a row of {len(subject.token_ids):,} tokens"
    if isinstance(subject, float):
        return f" at progress {subject:g}"
    if isinstance(subject, Sequence) and subject and isinstance(subject[0], Document):
        return f" on {len(subject):,} documents, '{subject[0].id}' to '{subject[-1].id}'"
    return f" {subject}" if subject else ""


def _own_lines(component: Component, trace: TracebackType | None) -> list[str]:
    """The lines of a traceback that are in the plugin's own package or module."""
    lines = []
    for frame, number in traceback.walk_tb(trace):
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == _package(component):
            (summary,) = traceback.StackSummary.extract([(frame, number)])
            lines.append(f"  {summary.filename}:{summary.lineno}, in {summary.name}: {summary.line}")
    return lines


def read_documents(source: DocumentSource, shard: Shard) -> Iterator[Document]:
    """Yield the documents of `source.documents(shard)`.

    Raises:
        PluginError: the source raised something else than a `RexplugError` or `OSError`, or yields something else than documents.
    """
    with PluginCall(source, "documents", shard):
        for document in source.documents(shard):
            if isinstance(document, Unreadable):
                yield _unreadable(source, document)
                continue
            require_document(source, "documents", document)
            yield document


def _unreadable(source: DocumentSource, record: Unreadable) -> Document:
    """The document that stands for a record that a source could not read."""
    for field in ("id", "reason", "place"):
        if not isinstance(value := getattr(record, field), str):
            raise PluginError(
                f"{owner(source)}{source.name}.documents() yielded an Unreadable with the {field} {brief(value)}; expected a str"
            )
    return record.document()


def require_document(component: Component, method: str, document: object) -> None:
    """Check what a component yields as a document.

    Raises:
        PluginError: it is not a `Document`, or a field of it has another type than it should.
    """
    if not isinstance(document, Document):
        raise PluginError(
            f"{owner(component)}{component.name}.{method}() yielded {brief(document)}; expected a Document"
        )
    if type(document.id) is str and type(document.text) is str and type(document.metadata) is dict and not document.url:
        return  # nearly all documents; the rest is slower
    for field, kind in (("id", str), ("text", str), ("url", str | None), ("metadata", Mapping)):
        value = getattr(document, field)
        if not isinstance(value, kind):
            expected = {"url": "a str or None", "metadata": "a mapping"}.get(field, "a str")
            raise PluginError(
                f"{owner(component)}{component.name}.{method}() yielded a document with the {field} {brief(value)}; expected "
                f"{expected}"
            )


def judge_documents(component: CorpusFilter, documents: Sequence[Document]) -> list[Verdict]:
    """`component.judge_batch(documents)`: a verdict per document, in their order.

    Raises:
        PluginError: the filter raised, or did not return a `Verdict` per document.
    """
    if type(component).judge_batch is CorpusFilter.judge_batch:
        return [judge_document(component, document) for document in documents]  # names the document that fails
    with PluginCall(component, "judge_batch", documents):
        verdicts = list(component.judge_batch(list(documents)))  # a copy, since a filter may empty its list
    if len(verdicts) != len(documents) or not all(isinstance(verdict, Verdict) for verdict in verdicts):
        raise PluginError(
            f"{owner(component)}{component.name}.judge_batch() returned {len(verdicts)} values, or other values than verdicts, "
            f"for {len(documents)} documents; expected a Verdict per document"
        )
    for document, verdict in zip(documents, verdicts, strict=True):
        _require_fields(component, "judge_batch", verdict, document)
    return verdicts


def judge_document(component: CorpusFilter, document: Document) -> Verdict:
    """The checked verdict of `component.judge(document)`.

    Raises:
        PluginError: the filter raised, or did not return a `Verdict`.
    """
    with PluginCall(component, "judge", document):
        verdict: object = component.judge(document)
    if not isinstance(verdict, Verdict):
        raise PluginError(
            f"{owner(component)}{component.name}.judge() returned {brief(verdict)} for document '{document.id}'; expected a "
            "Verdict"
        )
    _require_fields(component, "judge", verdict, document)
    return verdict


def _require_fields(component: CorpusFilter, method: str, verdict: Verdict, document: Document) -> None:
    """Check the fields of a verdict; text that is not valid Unicode could not be written."""
    score, reason, text = verdict.score, verdict.reason, verdict.text
    if (
        score is None
        and text is None
        and verdict.metadata is None
        and (verdict.keep or (type(reason) is str and reason.isascii()))
    ):
        return  # nearly all verdicts
    problem = ""
    if score is not None and not isinstance(score, Real):
        problem = f"the score {brief(score)}; expected a number"
    if verdict.metadata is not None and not isinstance(verdict.metadata, Mapping):
        problem = f"the metadata {brief(verdict.metadata)}; expected a mapping"
    for name, value in (("reason", reason), ("text", text)):
        if value is not None and not isinstance(value, str):
            problem = f"the {name} {brief(value)}; expected a str"
        elif value is not None and not value.isascii() and not _is_unicode(value):
            problem = f"the {name} {brief(value)}, which has a lone surrogate and is not valid Unicode"
    if problem:
        raise PluginError(
            f"{owner(component)}{component.name}.{method}() returned for document '{document.id}' a verdict with {problem}"
        )


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def label_candidates(
    labeller: Labeller, candidates: Sequence[Candidate], context: LabellingContext
) -> list[bool | None]:
    """`labeller.label(candidates, context)`: a label per candidate, in their order.

    Raises:
        PluginError: the labeller raised, or did not return True, False or None per candidate.
    """
    with PluginCall(labeller, "label", f"on {len(candidates):,} candidates"):
        labels = list(labeller.label(candidates, context))
    if len(labels) != len(candidates) or any(label not in (True, False, None) for label in labels):
        raise PluginError(
            f"{owner(labeller)}{labeller.name}.label() returned {brief(labels)} for {len(candidates):,} candidates; expected "
            "True, False or None per candidate"
        )
    return labels


def mixing_weights(schedule: MixingSchedule, progress: float) -> dict[str, float]:
    """`schedule.weights(progress)`: source -> weight.

    Raises:
        PluginError: the schedule raised, or weights are negative, not finite or all 0.
    """
    with PluginCall(schedule, "weights", float(progress)):
        returned: Mapping[str, Any] = schedule.weights(progress)
        weights = {source: float(weight) for source, weight in returned.items()}
    total = sum(weights.values())
    if not math.isfinite(total) or total <= 0 or min(weights.values()) < 0:
        raise PluginError(
            f"{owner(schedule)}{schedule.name}.weights({progress:g}) returned {brief(dict(returned))}; weights are finite, at "
            "least 0 and not all 0"
        )
    return weights


def choose_tokens(
    policy: MaskingPolicy, row: TokenBatch, progress: float, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """`policy.choose(row, progress, generator)`: the tokens to mask, bool `[num_tokens]`.

    Raises:
        PluginError: the policy raised, or returned another shape or type.
    """
    with PluginCall(policy, "choose", row):
        chosen = policy.choose(row, progress, generator)
    require_array(policy, "choose", chosen, "bool", row.token_ids.shape, "")
    return chosen


def score_document(scorer: SalienceScorer, document: TokenizedDocument) -> NDArray[np.uint8]:
    """`scorer.score(document)`: salience, uint8 `[num_tokens]`.

    Raises:
        PluginError: the scorer raised, or returned another shape or type.
    """
    with PluginCall(scorer, "score", document):
        values = scorer.score(document)
    require_array(scorer, "score", values, "uint8", document.token_ids.shape, f" for document '{document.id}'")
    return values


def require_array(
    component: Component, method: str, values: Any, dtype: str, shape: tuple[int, ...], what: str
) -> None:
    """Check the type and shape of an array that a method returned.

    Raises:
        PluginError: it has another one.
    """
    if getattr(values, "dtype", None) == dtype and values.shape == shape:
        return
    is_array = hasattr(values, "dtype") and hasattr(values, "shape")
    shown = f"{values.dtype} {list(values.shape)}" if is_array else brief(values)
    raise PluginError(
        f"{owner(component)}{component.name}.{method}() returned {shown}{what}; expected {dtype} {list(shape)}"
    )


def evaluate_model(evaluator: Evaluator, context: EvaluationContext) -> EvaluationResult:
    """The checked result of `evaluator.evaluate(context)`.

    Raises:
        NotApplicable: the model cannot do what is measured.
        PluginError: the evaluator raised, a metric is not finite, the main metric is missing, or an item is none.
    """
    with PluginCall(evaluator, "evaluate"):
        result: object = evaluator.evaluate(context)
    where = f"{owner(evaluator)}{evaluator.name}"
    if not isinstance(result, EvaluationResult):
        raise PluginError(f"{where}.evaluate() returned {brief(result)}; expected an EvaluationResult")
    if not isinstance(result.metrics, Mapping):
        raise PluginError(f"{where}: the metrics are {brief(result.metrics)}; expected name -> Metric")
    for name, metric in result.metrics.items():
        value = getattr(metric, "value", metric)
        if not isinstance(metric, Metric) or not isinstance(value, Real) or not math.isfinite(value):
            raise PluginError(f"{where}: the metric '{name}' is {brief(value)}; expected a Metric with a finite value")
    if result.main not in result.metrics:
        raise PluginError(
            f"{where}: the main metric '{result.main}' is not among {', '.join(result.metrics) or 'its metrics (none)'}"
        )
    for name in result.headlines:
        if name not in result.metrics:
            raise PluginError(
                f"{where}: '{name}' of its headlines is not among its metrics: {', '.join(result.metrics)}"
            )
    for section in result.sections:
        if not isinstance(section, ReportSection):
            raise PluginError(f"{where}: one of the sections is {brief(section)}; expected a ReportSection")
    for item in result.items:
        if not isinstance(item, EvaluatedItem):
            raise PluginError(f"{where}: one of the items is {brief(item)}; expected an EvaluatedItem")
        if not isinstance(item.score, Real) or not math.isfinite(item.score):
            raise PluginError(
                f"{where}: the score of the item '{item.id}' is {brief(item.score)}; expected a finite number"
            )
    return result
