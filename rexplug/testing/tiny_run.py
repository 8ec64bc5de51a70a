"""A whole run of a recipe in seconds: few documents, few tokens, a tiny model."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rexplug import api
from rexplug.api.arguments import path_of, strings_of, whole_number
from rexplug.api.folders import StrPath
from rexplug.errors import RexplugError

if TYPE_CHECKING:
    from rexplug.api import Run
    from rexplug.recipe import Recipe
    from rexplug.recipe.schema import Phase

_CONTEXT = 128
"""Longest sample of a tiny run, in tokens."""
_BATCH = 4 * _CONTEXT
_VOCABULARY = 600
_HELD_OUT = 0.2
"""Smallest share of held-out documents: of so few documents, the usual 2 % would be none."""


def run_tiny(
    recipe: Recipe | StrPath,
    *,
    folder: StrPath | None = None,
    overrides: str | Sequence[str] = (),
    documents: int = 100,
    tokens: int = 4096,
    until: str | None = None,
) -> Run:
    """Run a recipe from its sources to the report in seconds, in this process: a test that the parts of a plugin work together.

    Components, curation, phases and evaluators are those of the recipe. Changed are the sizes: at most `documents` of each source,
    of which a fifth or more is held out; a trained tokenizer of 600 tokens and a model of size nano, also where the recipe names
    checkpoints; phases of `tokens` with samples of up to 128; one worker; evaluators at the budget `quick`. Loggers and baselines
    other than `bm25` and `tfidf` are left out. The first call takes longer, since it imports what trains.

    Args:
        recipe: what `rexplug.load_recipe` returns, or a path, a name or YAML text that it reads.
        folder: the run directory; a temporary one, removed when the process ends, if left out.
        overrides: `dotted.path=value`, as in `rexplug.load_recipe`; only for a recipe that is not loaded yet.
        documents: documents that are read of each source, before filters.
        tokens: length of each phase.
        until: stop after this stage, e.g. `tokenize` or `train.pretrain`.

    Returns:
        The run: `status`, `corpus`, `metrics`, `evaluations`, `load_model()` and so on.

    Raises:
        RexplugError: as `rexplug.run`; what a plugin's code does wrong names the plugin, the method and the input.
    """
    from rexplug.recipe import Recipe

    if not isinstance(recipe, Recipe):
        loaded = api.load_recipe(recipe, overrides)
    elif strings_of("overrides", overrides):
        raise RexplugError("overrides are for a recipe that is not loaded yet; give them to rexplug.load_recipe")
    else:
        loaded = recipe
    small = _small(
        loaded, whole_number("documents", documents, at_least=1), whole_number("tokens", tokens, at_least=_BATCH)
    )
    root = _temporary() if folder is None else path_of("folder", folder)
    with _own_measurements():
        return api.run(small, run_dir=root, until=until)


def _small(recipe: Recipe, documents: int, tokens: int) -> Recipe:
    """The recipe with the sizes of a tiny run."""
    from rexplug.evaluation.lexical import LEXICAL_KINDS
    from rexplug.recipe.schema import Executor, Model, Recipe, Tokenizer

    curation = recipe.curation
    changed = {
        "sources": {
            name: source.model_copy(update={"limit": min(source.limit or documents, documents), "sample": None})
            for name, source in recipe.sources.items()
        },
        "relevance": recipe.relevance and recipe.relevance.model_copy(update={"documents": documents, "pool": None}),
        "curation": curation.model_copy(update={"executor": Executor(), "held_out": max(curation.held_out, _HELD_OUT)}),
        "tokenizer": Tokenizer(use="train", vocabulary=_VOCABULARY),
        "model": Model(size="nano"),
        "phases": tuple(_small_phase(phase, tokens) for phase in recipe.phases),
        "evaluation": recipe.evaluation.model_copy(update={"budget": "quick"}),
        "baselines": tuple(model for model in recipe.baselines if model.model.rpartition("=")[2] in LEXICAL_KINDS),
        "loggers": (),
    }
    values = {name: getattr(recipe, name) for name in Recipe.model_fields}
    return Recipe.model_validate({**values, **changed})


def _small_phase(phase: Phase, tokens: int) -> Phase:
    from rexplug.recipe.schema import Checkpoints, LearningRate, LossGuard, Phase

    rate = phase.learning_rate
    changed = {
        "tokens": tokens,
        "context": min(phase.context, _CONTEXT),
        "min_tokens": 0,
        "batch_tokens": _BATCH,
        "batch_warmup": None,
        "microbatch_tokens": None,
        "learning_rate": LearningRate(
            peak=rate.peak,
            schedule=rate.schedule,
            warmup=rate.warmup * tokens // phase.tokens,
            decay=None if rate.decay is None else rate.decay * tokens // phase.tokens,
            final=rate.final,
        ),
        "checkpoints": Checkpoints(),
        "average": 1,
        "loss_guard": LossGuard(),
        "evaluate_every": None,
    }
    return Phase.model_validate({**{name: getattr(phase, name) for name in Phase.model_fields}, **changed})


def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="rexplug-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / "run"


@contextmanager
def _own_measurements() -> Iterator[None]:
    """Neither read nor write the user's measurement history: tiny runs would distort the plans of real ones."""
    before = os.environ.get("REXPLUG_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["REXPLUG_CACHE"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["REXPLUG_CACHE"]
            else:
                os.environ["REXPLUG_CACHE"] = before
