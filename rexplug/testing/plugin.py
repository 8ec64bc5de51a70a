"""Checks everything that a plugin offers, in one call."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from pydantic import ValidationError

from rexplug.components import (
    Component,
    CorpusFilter,
    Document,
    DocumentSource,
    MaskingPolicy,
    MixingSchedule,
    SalienceScorer,
    TokenizedDocument,
    Verdict,
)
from rexplug.documented import field_docs
from rexplug.errors import DataError, PluginError, RexplugError, error_text
from rexplug.plugins.calls import (
    check_component,
    explain_salience,
    judge_document,
    judge_documents,
    owner,
    score_document,
)
from rexplug.plugins.discovery import load_plugins, load_with
from rexplug.plugins.files import loaded_files, unpickle
from rexplug.plugins.registry import Registry
from rexplug.testing.contracts import check_document_source, check_masking_policy, check_mixing_schedule

_TEXTS = (
    "The committee met on 12 March 2024 and read the report. It found three errors, and asked for a new draft by Friday.",
    "Section 4.2 says who may vote: every member who has paid the fee of $25.00 in time. Nobody objected. " * 40,
    "x",
    "",
    " \n\t ",
    "Größe: 42 cm × 1,5 m – «Straße» für 1.234,50 €.\r\nZweite Zeile.",
    "東京で新しい法律が施行された。委員会は三つの誤りを見つけた。",
    "صدر القانون الجديد في ١٢ مارس. وجدت اللجنة ثلاثة أخطاء.",
    "👩‍👩‍👧‍👦 emoji 🎉 and a\u0301 combining mark, a nul \x00 and a \u2028 line separator",
    "<p>markup &amp; <b>entities</b></p> {braces} \\backslashes\\ %s %d",
    "word" * 2000,
)
"""Texts that real corpora hold: ordinary, long, empty, of several scripts, with unusual characters."""
_TRIED = (CorpusFilter, SalienceScorer, MaskingPolicy, MixingSchedule, DocumentSource)
"""The kinds of components that are tried; those of other kinds are only loaded."""


def check_plugin(plugin: ModuleType | str | Path, name: str | None = None) -> list[str]:
    """Check that a plugin loads and that its components keep the contracts of their kinds.

    Every class must have a docstring and a documented string under each option. Components that can be made without options, and
    the instances in `EXAMPLES` of the plugin's module, if it has such a list, are tried: filters and scorers on many kinds of text,
    the same after pickling, in reverse order and in another process (which finds state that one call leaves for the next); masking
    policies, mixing schedules and sources as the other functions here do. Labellers and evaluators are not tried, nor are filters
    and scorers that learn from a corpus first.

    Args:
        plugin: the module, the name of an installed plugin, or the path of a file (`./legal.py`).
        name: the plugin's name, if `plugin` is a module that is not installed.

    Returns:
        A line for each component: whether it was tried, and why not.

    Raises:
        AssertionError: with a line for each breach.
    """
    registry, plugin_name, module = _loaded(plugin, name)
    examples: dict[type, list[Component]] = {}
    for example in getattr(module, "EXAMPLES", ()):
        examples.setdefault(type(example), []).append(example)
    breaches: list[str] = []
    lines = []
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other_process:
        for component in [entry.component for entry in registry.entries.values() if entry.plugin == plugin_name]:
            breaches += _undocumented(component)
            outcome = "not tried: it has required options; add one to EXAMPLES"
            try:
                for instance in examples.get(component) or _without_options(component):
                    check_component(instance)
                    breaches += _breaches(instance, other_process)
                    outcome = "tried" if isinstance(instance, _TRIED) else "loaded"
            except PluginError as error:
                breaches.append(str(error))
            except Exception as error:  # what it reads is not on this machine
                outcome = f"not tried: {error if isinstance(error, DataError) else _raised(error)}"
            lines.append(f"{component.name}: {outcome}")
    assert not breaches, "\n".join(dict.fromkeys(breaches))
    return lines


def _loaded(plugin: ModuleType | str | Path, name: str | None) -> tuple[Registry, str, object]:
    """A registry with the plugin, its name, and its module."""
    if isinstance(plugin, ModuleType):
        registry = load_plugins()
        names = [known.name for known in registry.plugins.values() if known.target is plugin]
        name = name or next(iter(names), plugin.__name__.partition(".")[0].removeprefix("rexplug_"))
        if name not in registry.plugins:
            registry = load_plugins({name: plugin})
    else:
        try:
            registry, name = load_with(plugin)
        except PluginError as error:
            raise AssertionError(str(error)) from None
    failures = [failure for failure in registry.failures if failure.plugin == name]
    assert not failures, f"plugin '{name}' did not load: {failures[0].reason}"
    assert name in registry.plugins, f"no plugin is called '{name}'; there are {', '.join(sorted(registry.plugins))}"
    return registry, name, plugin if isinstance(plugin, ModuleType) else registry.plugins[name].target


def _undocumented(component: type[Component]) -> Iterator[str]:
    own = component.__dict__.get("__doc__")
    if not own or not own.strip():
        yield f"{component.name} has no docstring; `rexplug plugins` shows its first line"
    docs = field_docs(component)
    for option in component.model_fields:
        if not docs.get(option, "").strip():
            yield f"{component.name}: the option '{option}' has no documentation; write a string under it"


def _without_options(component: type[Component]) -> list[Component]:
    try:
        return [component()]
    except ValidationError:
        return []


def _breaches(component: Component, other_process: ProcessPoolExecutor) -> Iterator[str]:
    """What a component does wrong, a line each."""
    try:
        again = pickle.loads(pickle.dumps(component))
    except Exception as error:  # what a plugin keeps may refuse to be pickled in any way
        yield f"{component.name} cannot be pickled for worker processes: {error_text(error)}"
        return
    if again != component:
        yield f"{component.name} is not the same after pickling"
    try:
        yield from _trial(component, other_process)
    except (AssertionError, RexplugError) as error:
        yield str(error)
    except Exception as error:  # a plugin's code may raise anything
        yield f"{owner(component)}{component.name} raised {_raised(error)}"


def _raised(error: Exception) -> str:
    return f"{type(error).__name__}: {error_text(error)}"


def _trial(component: Component, other_process: ProcessPoolExecutor) -> Iterator[str]:
    """Call a component's methods on made-up data; raises what they raise."""
    if isinstance(component, CorpusFilter):
        if type(component).fit is CorpusFilter.fit:
            documents = [Document(str(number), text) for number, text in enumerate(_TEXTS)]
            yield from _same_everywhere(component, _verdicts, documents, other_process)
    elif isinstance(component, SalienceScorer):
        if type(component).fit is SalienceScorer.fit:
            for tokenizer in _tokenizers():
                documents_of = [tokenizer(str(number), text) for number, text in enumerate(_TEXTS)]
                yield from _same_everywhere(component, _salience, documents_of, other_process)
    elif isinstance(component, MaskingPolicy):
        check_masking_policy(component)
        check_masking_policy(component, num_tokens=9)
    elif isinstance(component, MixingSchedule):
        check_mixing_schedule(component, sources=component.weights(0.0))
    elif isinstance(component, DocumentSource):
        check_document_source(component)


def _verdicts(component: Any, documents: Sequence[Document]) -> list[Any]:
    """The verdict on each document, one by one."""
    return [_decided(judge_document(component, document)) for document in documents]


def _decided(verdict: Verdict) -> Verdict:
    """A verdict without the reason of one that keeps, which nobody reads."""
    return replace(verdict, reason="") if verdict.keep else verdict


def _salience(component: Any, documents: Sequence[TokenizedDocument]) -> list[Any]:
    """The salience of the tokens of each document, as bytes, and its reasons."""
    return [
        (score_document(component, document).tobytes(), explain_salience(component, document)) for document in documents
    ]


def _same_everywhere(
    component: Component,
    method: Callable[[Any, Sequence[Any]], list[Any]],
    documents: Sequence[Any],
    other_process: ProcessPoolExecutor,
) -> Iterator[str]:
    """Whether results are the same one by one, in bulk, in reverse order, a second time and in another process."""
    first = method(component, documents)
    orders = {
        "a second time": method(component, documents),
        "in reverse order": method(component, documents[::-1])[::-1],
        "after pickling": method(pickle.loads(pickle.dumps(component)), documents),
    }
    if isinstance(component, CorpusFilter):
        orders["in bulk"] = [_decided(verdict) for verdict in judge_documents(component, documents)]
    for how, results in orders.items():
        if breach := _difference(component, how, documents, first, results):
            yield breach
            return
    data = pickle.dumps((component, documents[::-1]))
    elsewhere = other_process.submit(_results, method, data, loaded_files()).result()
    if elsewhere is not None:
        yield from filter(None, [_difference(component, "in another process", documents, first, elsewhere[::-1])])


def _difference(
    component: Component, how: str, documents: Sequence[Any], first: Sequence[Any], results: Sequence[Any]
) -> str | None:
    """The first document on which results differ, in a sentence; None if there is none."""
    for document, one, other in zip(documents, first, results, strict=True):
        if one != other and repr(one) != repr(other):  # a score that is not a number differs from itself
            return f"{component.name} decides otherwise {how} on {document.text[:40]!r}: {_shown(one)}, then {_shown(other)}"
    return None


def _shown(result: Any) -> str:
    return repr(result)[:100]


def _results(method: Callable[..., list[Any]], data: bytes, files: dict[str, str]) -> list[Any] | None:
    """The results in another process; None if the component's class cannot be imported there, as one that a test defines."""
    try:
        component, documents = unpickle(data, files)
    except (ImportError, AttributeError):
        return None
    return method(component, documents)


@cache
def _tokenizers() -> tuple[Callable[[str, str], TokenizedDocument], ...]:
    """Documents tokenized by byte-level BPE, WordPiece and a unigram model."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    texts = [text for text in _TEXTS if text.strip()]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False),
    )
    pieces = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    pieces.normalizer = normalizers.BertNormalizer()
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pieces.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]"], show_progress=False)
    )
    unigram = Tokenizer(models.Unigram())
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.train_from_iterator(
        texts, trainers.UnigramTrainer(vocab_size=200, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    )
    return tuple(_documents_by(tokenizer) for tokenizer in (bpe, pieces, unigram))


def _documents_by(tokenizer: Any) -> Callable[[str, str], TokenizedDocument]:
    def document(document_id: str, text: str) -> TokenizedDocument:
        encoding = tokenizer.encode(text, add_special_tokens=False)
        words = np.array([-1 if word is None else word for word in encoding.word_ids], np.int64)
        ids, offsets = np.array(encoding.ids, np.uint32), np.array(encoding.offsets, np.uint32).reshape(-1, 2)
        starts = np.diff(words, prepend=-2) != 0
        for array in (ids, offsets, starts):
            array.flags.writeable = False
        return TokenizedDocument(document_id, text, ids, offsets, starts)

    return document
