"""The hook points: one per kind of component, without arguments, each returning classes.

A plugin is a module (or object) under the entry-point group `rexplug`, or a file that a recipe names. It lists its classes in
`COMPONENTS`, or implements some of these functions, marked with `rexplug.hookimpl`. A hook is called once, when plugins are loaded;
the recipe names the classes that it uses, and the engine calls their methods directly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pluggy

from rexplug.components import (
    Component,
    CorpusFilter,
    DocumentSource,
    Evaluator,
    Labeller,
    MaskingPolicy,
    MixingSchedule,
    SalienceScorer,
)

GROUP = "rexplug"
"""The entry-point group of plugins, and the name of the pluggy project."""
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)
"""The decorator that marks a function of a plugin as the implementation of a hook; `COMPONENTS` needs none."""


@dataclass(frozen=True)
class Hook:
    """A hook point: its name, the base class of everything that it returns, and where recipes name such a component."""

    name: str
    kind: type[Component]
    description: str


HOOKS = (
    Hook(
        "rexplug_document_sources", DocumentSource,
        "Classes that yield documents, named under `sources` in a recipe.",
    ),
    Hook(
        "rexplug_corpus_filters", CorpusFilter,
        "Classes that keep or drop documents, named under `filters` of a source.",
    ),
    Hook(
        "rexplug_labellers", Labeller,
        "Classes that label documents as relevant or not, named under `relevance` in a recipe; a classifier learns from the "
        "labels.",
    ),
    Hook(
        "rexplug_mixing_schedules", MixingSchedule,
        "Classes that set each source's share of the tokens, named under `mixing` of a phase.",
    ),
    Hook(
        "rexplug_masking_policies", MaskingPolicy,
        "Classes that choose the tokens to mask, named under `masking` of a phase.",
    ),
    Hook(
        "rexplug_salience_scorers", SalienceScorer,
        "Classes that score how much each token matters, named as an option of a masking policy.",
    ),
    Hook(
        "rexplug_evaluators", Evaluator,
        "Classes that measure a model, named under `evaluators` in a recipe.",
    ),
)  # fmt: skip
"""Every hook point, in the order in which documents and listings show them. A new kind of component is a line here."""

KINDS: dict[str, type[Component]] = {hook.name: hook.kind for hook in HOOKS}
"""Hook name -> the base class of everything that it returns."""


def specifications() -> ModuleType:
    """The hook points as pluggy takes them: a module with a marked function per hook."""
    module = ModuleType("rexplug_hooks")
    vars(module).update({hook.name: _specification(hook) for hook in HOOKS})
    return module


def _specification(hook: Hook) -> Callable[[], Any]:
    def specification() -> None: ...  # pluggy reads its name and calls the implementations

    specification.__name__ = specification.__qualname__ = hook.name
    specification.__doc__ = hook.description
    marked: Callable[[], Any] = hookspec(specification)
    return marked
