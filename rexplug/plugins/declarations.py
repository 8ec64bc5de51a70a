"""What components say about themselves (their files, shards, texts, needs), asked with `PluginCall` and checked."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from rexplug.components import (
    Component,
    CorpusFilter,
    CorpusSample,
    Document,
    DocumentSource,
    Evaluator,
    Labeller,
    MaskingPolicy,
    Reason,
    SalienceScorer,
    TokenBatch,
    TokenizedDocument,
)
from rexplug.components.base import components_in
from rexplug.errors import PluginError, brief
from rexplug.io.file_content import files_below
from rexplug.plugins.calls import PluginCall, owner, require_array, require_document

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
FittedT = TypeVar("FittedT", CorpusFilter, SalienceScorer)


def check_component(component: Component) -> None:
    """`component.check()`, if it has this method.

    Raises:
        DataError: what the component needs is not there.
        PluginError: the plugin's method raised something else than a `RexplugError` or `OSError`; so do all functions below.
    """
    check: Callable[[], None] | None = getattr(component, "check", None)
    if check is not None:
        with PluginCall(component, "check"):
            check()


def input_files(component: DocumentSource | Labeller | Evaluator) -> list[Path]:
    """The local files that a component reads: `component.inputs()`."""
    with PluginCall(component, "inputs"):
        paths: list[Any] = list(component.inputs())
    for path in paths:
        if not isinstance(path, Path):
            raise _unexpected(component, "inputs", paths, "a sequence of pathlib.Path")
    return paths


def option_files(components: Iterable[Component | None]) -> list[Path]:
    """The files that options name by their path: word lists, models, tables. Options of options count too.

    Of a folder all files in it count. What a source, labeller or evaluator names in `inputs()` is left out, and so is a folder
    with any such file: the component names the files that it reads. A path that does not exist is left out.
    """
    found: dict[Path, None] = {}
    for component in components_in(components):
        declared: set[Path] = set()
        if isinstance(component, DocumentSource | Labeller | Evaluator):
            declared = set(input_files(component))
        for path in _paths_in(getattr(component, name, None) for name in type(component).model_fields):
            if path in declared or any(path in other.parents for other in declared):
                continue
            if path.is_file():
                found[path] = None
            elif path.is_dir():
                found |= dict.fromkeys(files_below(path))
    return list(found)


def _paths_in(values: Iterable[Any]) -> Iterator[Path]:
    """The paths among values, their collections and their sections; components are left to `components_in`."""
    for value in values:
        if isinstance(value, Path):
            yield value
        elif isinstance(value, Mapping):
            yield from _paths_in(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            yield from _paths_in(value)
        elif isinstance(value, BaseModel) and not isinstance(value, Component):
            yield from _paths_in(getattr(value, name, None) for name in type(value).model_fields)


def file_versions(source: DocumentSource) -> dict[str, list[Any]]:
    """File or address -> its size and version: `source.stamps()`."""
    with PluginCall(source, "stamps"):
        stamps: Any = source.stamps()
    if not isinstance(stamps, Mapping) or not all(
        isinstance(stamp, list | tuple) and stamp for stamp in stamps.values()
    ):
        raise _unexpected(source, "stamps", stamps, "file -> [size, modification time]")
    return {str(path): list(stamp) for path, stamp in stamps.items()}


def count_shards(source: DocumentSource) -> int:
    """The number of shards of a source, at least 1: `source.num_shards()`."""
    with PluginCall(source, "num_shards"):
        returned: Any = source.num_shards()
    try:
        count = operator.index(returned)
    except TypeError:
        count = 0
    if count < 1:
        raise _unexpected(source, "num_shards", returned, "a whole number of at least 1")
    return count


def step_name(corpus_filter: CorpusFilter) -> str:
    """What statistics call a filter."""
    return _text_property(corpus_filter, "step_name")


def evaluator_label(evaluator: Evaluator) -> str:
    """The name of an evaluator's result."""
    return _text_property(evaluator, "label")


def _text_property(component: Component, name: str) -> str:
    with PluginCall(component, name):
        value: Any = getattr(component, name)
    if not isinstance(value, str) or not value:
        raise PluginError(f"{owner(component)}{component.name}.{name} is {brief(value)}; expected a text")
    return value


def is_synthetic(source: DocumentSource) -> bool:
    """Whether a program generated the texts of a source."""
    with PluginCall(source, "synthetic"):
        return bool(source.synthetic)


def test_texts(evaluator: Evaluator) -> dict[str, str]:
    """Id -> text of what an evaluator reports on."""
    with PluginCall(evaluator, "test_texts"):
        texts: Any = evaluator.test_texts()
    if not isinstance(texts, Mapping) or not all(isinstance(text, str) for text in texts.values()):
        raise _unexpected(evaluator, "test_texts", texts, "id -> text")
    return {str(key): text for key, text in texts.items()}


def why_no_test_texts(evaluator: Evaluator) -> str | None:
    """Why an evaluator has no such texts; None if it has some."""
    with PluginCall(evaluator, "why_no_test_texts"):
        reason: Any = evaluator.why_no_test_texts()
    if reason is not None and not isinstance(reason, str):
        raise _unexpected(evaluator, "why_no_test_texts", reason, "a text or None")
    return reason


def labeller_instruction(labeller: Labeller) -> str | None:
    """A labeller's prompt for a language model; None if it has none."""
    with PluginCall(labeller, "instruction"):
        text: Any = labeller.instruction()
    if text is not None and not isinstance(text, str):
        raise _unexpected(labeller, "instruction", text, "a text or None")
    return text


def own_documents(labeller: Labeller) -> Iterator[Document] | None:
    """A labeller's own documents; None if it has none. The iterator raises like `calls.read_documents`."""
    with PluginCall(labeller, "own_documents"):
        documents: Any = labeller.own_documents()
    if documents is None:
        return None
    if not isinstance(documents, Iterable):
        raise _unexpected(labeller, "own_documents", documents, "documents or None")
    return _own_documents(labeller, documents)


def _own_documents(labeller: Labeller, documents: Iterable[Document]) -> Iterator[Document]:
    with PluginCall(labeller, "own_documents"):
        for document in documents:
            require_document(labeller, "own_documents", document)
            yield document


def labelled_ids(labeller: Labeller) -> frozenset[str] | None:
    """The ids of the documents that a labeller can label; None for any document."""
    with PluginCall(labeller, "labelled_ids"):
        ids: Any = labeller.labelled_ids()
    if ids is not None and (isinstance(ids, str) or not isinstance(ids, Iterable)):
        raise _unexpected(labeller, "labelled_ids", ids, "a frozenset of ids or None")
    return None if ids is None else frozenset(ids)


def needed_sources(scorer: SalienceScorer) -> list[str]:
    """The sources that a scorer learns from."""
    with PluginCall(scorer, "needed_sources"):
        names: Any = scorer.needed_sources()
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise _unexpected(scorer, "needed_sources", names, "a sequence of names")
    return [str(name) for name in names]


def explain_salience(scorer: SalienceScorer, document: TokenizedDocument) -> list[Reason]:
    """Why spans of a document are salient, in order."""
    with PluginCall(scorer, "explain", document):
        reasons: list[Any] = list(scorer.explain(document))
    if not all(isinstance(reason, Reason) for reason in reasons):
        raise _unexpected(scorer, "explain", reasons, f"a sequence of Reason for document '{document.id}'")
    return reasons


def salient_subset(
    policy: MaskingPolicy, row: TokenBatch, progress: float, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """The tokens that a policy chose by salience, bool `[num_tokens]`."""
    with PluginCall(policy, "salient_subset", row):
        chosen = policy.salient_subset(row, progress, generator)
    require_array(policy, "salient_subset", chosen, "bool", row.token_ids.shape, "")
    return chosen


def masking_budget(policy: MaskingPolicy, row: TokenBatch, progress: float) -> int:
    """The number of tokens that a policy masks in a row."""
    with PluginCall(policy, "budget", row):
        returned: Any = policy.budget(row, progress)
    try:
        return operator.index(returned)
    except TypeError:
        raise _unexpected(policy, "budget", returned, "a whole number") from None


def fit_component(component: FittedT, sample: CorpusSample) -> tuple[FittedT, dict[str, Any]]:
    """The filter or scorer that `component.fit(sample)` returns, and its recipe entry."""
    with PluginCall(component, "fit"):
        fitted: Any = component.fit(sample)
    if not isinstance(fitted, type(component)):
        raise _unexpected(component, "fit", fitted, f"a {type(component).__name__}")
    with PluginCall(component, "fit"):
        return fitted, fitted.dump()


def require_picklable(component: Component) -> None:
    """Check that a component can be sent to worker processes."""
    with PluginCall(component, "__getstate__", "when it was pickled for the worker processes"):
        pickle.dumps(component)


def _unexpected(component: Component, method: str, returned: object, expected: str) -> PluginError:
    return PluginError(f"{owner(component)}{component.name}.{method}() returned {brief(returned)}; expected {expected}")


def all_input_files(components: Sequence[DocumentSource | Labeller | Evaluator]) -> list[Path]:
    """The local files that several components read."""
    return [path for component in components for path in input_files(component)]
