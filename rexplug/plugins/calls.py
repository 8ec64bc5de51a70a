"""Calls into components: names component and input when a plugin raises, and checks what a method returns.

    with PluginCall(labeller, "label", f"on {len(candidates)} candidates"):
        labels = labeller.label(candidates, context)

An exception that a plugin's own code raises becomes a `PluginError`:

    legal 0.1.0: legal.has_citation.judge() raised ValueError on document 'op-0003': invalid citation
      /home/me/legal.py:12, in judge: return Verdict(parse(document.text))

What the core's own components raise is a mistake of rexplug and keeps its traceback. `RexplugError` passes, because a plugin
raises it on purpose; `OSError` and `MemoryError` pass, because executors try again after them and a full disk has a message
of its own. Python shows the note that these exceptions get under their traceback.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rexplug.components import (
    Candidate,
    Component,
    CorpusFilter,
    Document,
    DocumentSource,
    EvaluationContext,
    EvaluationResult,
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
from rexplug.errors import PluginError, RexplugError, brief
from rexplug.plugins.hookspecs import GROUP

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CORE = "rexplug"


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
        if not isinstance(error, Exception) or isinstance(error, RexplugError):
            return
        what, on = f"{self._component.name}.{self._method}()", _described(self._subject)
        if _package(self._component) == _CORE or isinstance(error, OSError | MemoryError):
            error.add_note(f"raised by {what}{on}")
            return
        text = f": {error}" if str(error) else ""
        lines = [f"{owner(self._component)}{what} raised {type(error).__name__}{on}{text}"]
        lines += _own_lines(self._component, trace)
        raise PluginError("\n".join(lines)) from error


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
        PluginError: the source raised something else than a `RexplugError` or `OSError`.
    """
    with PluginCall(source, "documents", shard):
        yield from source.documents(shard)


def judge_documents(component: CorpusFilter, documents: Sequence[Document]) -> list[Verdict]:
    """`component.judge_batch(documents)`: a verdict per document, in their order.

    Raises:
        PluginError: the filter raised, or did not return a `Verdict` per document.
    """
    if type(component).judge_batch is CorpusFilter.judge_batch:
        return [judge_document(component, document) for document in documents]  # names the document that fails
    with PluginCall(component, "judge_batch", documents):
        verdicts = list(component.judge_batch(documents))
    if len(verdicts) != len(documents) or not all(isinstance(verdict, Verdict) for verdict in verdicts):
        raise PluginError(
            f"{owner(component)}{component.name}.judge_batch() returned {len(verdicts)} values, or other values than verdicts, "
            f"for {len(documents)} documents; expected a Verdict per document"
        )
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
    return verdict


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
    _require_array(policy, "choose", chosen, "bool", row.token_ids.shape, "")
    return chosen


def score_document(scorer: SalienceScorer, document: TokenizedDocument) -> NDArray[np.uint8]:
    """`scorer.score(document)`: salience, uint8 `[num_tokens]`.

    Raises:
        PluginError: the scorer raised, or returned another shape or type.
    """
    with PluginCall(scorer, "score", document):
        values = scorer.score(document)
    _require_array(scorer, "score", values, "uint8", document.token_ids.shape, f" for document '{document.id}'")
    return values


def _require_array(
    component: Component, method: str, values: Any, dtype: str, shape: tuple[int, ...], what: str
) -> None:
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
        PluginError: the evaluator raised, a metric is not finite, or the main metric is missing.
    """
    with PluginCall(evaluator, "evaluate"):
        result: object = evaluator.evaluate(context)
    where = f"{owner(evaluator)}{evaluator.name}"
    if not isinstance(result, EvaluationResult):
        raise PluginError(f"{where}.evaluate() returned {brief(result)}; expected an EvaluationResult")
    for name, metric in result.metrics.items():
        if not math.isfinite(metric.value):
            raise PluginError(f"{where}: the metric '{name}' is {metric.value}")
    if result.main not in result.metrics:
        raise PluginError(
            f"{where}: the main metric '{result.main}' is not among {', '.join(result.metrics) or 'its metrics (none)'}"
        )
    return result
