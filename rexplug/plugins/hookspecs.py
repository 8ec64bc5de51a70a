"""The hook points: one per kind of component, without arguments, each returning classes.

A plugin is a module (or object) under the entry-point group `rexplug` that implements some of these functions,
marked with `rexplug.hookimpl`. Hooks are asked once; the recipe names the classes it wants; the engine calls them.
"""

from __future__ import annotations

import pluggy

from rexplug.components import (
    CorpusFilter,
    DocumentSource,
    Evaluator,
    Labeller,
    MaskingPolicy,
    MixingSchedule,
    SalienceScorer,
)

hookspec = pluggy.HookspecMarker("rexplug")
hookimpl = pluggy.HookimplMarker("rexplug")


@hookspec
def rexplug_document_sources() -> list[type[DocumentSource]]:  # type: ignore[empty-body]
    """Classes that yield documents, named under `sources` in a recipe."""


@hookspec
def rexplug_corpus_filters() -> list[type[CorpusFilter]]:  # type: ignore[empty-body]
    """Classes that keep or drop documents, named under `filters` of a source."""


@hookspec
def rexplug_labellers() -> list[type[Labeller]]:  # type: ignore[empty-body]
    """Classes that say which documents are relevant, named under `relevance` in a recipe; a classifier learns from them."""


@hookspec
def rexplug_mixing_schedules() -> list[type[MixingSchedule]]:  # type: ignore[empty-body]
    """Classes that say which share of the tokens each source has, named under `mixing` of a phase."""


@hookspec
def rexplug_masking_policies() -> list[type[MaskingPolicy]]:  # type: ignore[empty-body]
    """Classes that choose the tokens to mask, named under `masking` of a phase."""


@hookspec
def rexplug_salience_scorers() -> list[type[SalienceScorer]]:  # type: ignore[empty-body]
    """Classes that score how much each token matters, named as an option of a masking policy."""


@hookspec
def rexplug_evaluators() -> list[type[Evaluator]]:  # type: ignore[empty-body]
    """Classes that measure a model, named under `evaluators` in a recipe."""


KINDS: dict[
    str, type[DocumentSource | CorpusFilter | Labeller | MixingSchedule | MaskingPolicy | SalienceScorer | Evaluator]
] = {
    "rexplug_document_sources": DocumentSource,
    "rexplug_corpus_filters": CorpusFilter,
    "rexplug_labellers": Labeller,
    "rexplug_mixing_schedules": MixingSchedule,
    "rexplug_masking_policies": MaskingPolicy,
    "rexplug_salience_scorers": SalienceScorer,
    "rexplug_evaluators": Evaluator,
}
"""Hook name -> the class that everything it returns must subclass."""
