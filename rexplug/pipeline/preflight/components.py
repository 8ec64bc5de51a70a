"""Checks of loggers, masking policies, scorers and evaluators for mistakes that would otherwise show hours into a run."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from rexplug.components import MaskingPolicy, TokenBatch
from rexplug.errors import PluginError, RexplugError
from rexplug.plugins.declarations import input_files, is_synthetic, needed_sources, step_name
from rexplug.plugins.fingerprint import comes_with_rexplug
from rexplug.recipe import Recipe


def component_problems(recipe: Recipe) -> Iterator[str]:
    """The problems, one text each, with their place in the recipe."""
    for number, logger in enumerate(recipe.loggers):
        if find_spec(logger.use) is None:
            yield f"loggers.{number}: {logger.use} needs the package {logger.use} (pip install {logger.use})"
    for phase in recipe.phases:
        yield from (f"phases.{phase.name}.masking: {problem}" for problem in _policy_problems(phase.masking))
    yield from _property_problems(recipe)
    for scorer in recipe.scorers:
        try:
            names = needed_sources(scorer)
        except PluginError as error:
            yield str(error)
            continue
        for name in names:
            if name not in recipe.sources:
                yield f"{scorer.name}: unknown source '{name}'; the sources are {', '.join(recipe.sources)}"
    yield from _evaluator_problems(recipe)


def _property_problems(recipe: Recipe) -> Iterator[str]:
    """Whether the properties of sources and filters can be read: curation reads them at its end."""
    for name, source in recipe.sources.items():
        try:
            is_synthetic(source)
            for corpus_filter in source.filters:
                step_name(corpus_filter)
        except PluginError as error:
            yield f"sources.{name}: {error}"


def _policy_problems(policy: MaskingPolicy) -> Iterator[str]:
    """Whether a policy gets the channels that it reads, and masks a row of random tokens.

    Policies that ship with rexplug are not tried: the contract tests do that, and `check` need not load numpy.
    """
    if policy.retired:
        yield (
            f"{policy.name} has options of an earlier version, which only describe how a run was masked; load the recipe from its "
            "file (load_recipe) to see what to write instead"
        )
        return
    for channel in policy.channels:
        if channel == "salience" and not policy.scorers:
            yield f"{policy.name} reads the channel 'salience', which only a salience scorer among its options fills; it has none"
            return
        if channel not in ("word_start", "salience"):
            yield f"{policy.name} reads the channel '{channel}'; a policy may read word_start and salience"
            return
    if comes_with_rexplug(policy):
        return
    import numpy as np

    from rexplug.batches.masking import Masker
    from rexplug.tokens.special import SpecialTokens

    size = 96
    cu_seqlens = np.array([0, size // 3, size])
    maskable = np.ones(size, np.bool_)
    maskable[cu_seqlens[:-1]] = maskable[cu_seqlens[1:] - 1] = False
    generator = np.random.default_rng(0)
    values = {"word_start": generator.random(size) < 0.7, "salience": (generator.random(size) < 0.2) & maskable}
    channels = {name: values[name].astype(np.uint8) for name in policy.channels}
    row = TokenBatch(generator.integers(10, 100, size), cu_seqlens, maskable, channels)
    masker = Masker(policy, SpecialTokens(1, 2, 0, 3, 128, frozenset(range(4))))
    try:
        for progress in (0.0, 1.0):
            masker.choose(row, progress, np.random.default_rng(0))
    except RexplugError as error:
        missing = error.__cause__
        if isinstance(missing, KeyError) and missing.args[0] in values:
            yield f"{policy.name} reads the channel {missing}, which its `channels` does not name"
        else:
            yield str(error)


def _evaluator_problems(recipe: Recipe) -> Iterator[str]:
    for index, evaluator in enumerate(recipe.evaluators):
        place = f"evaluators.{index} ({evaluator.name})"
        if evaluator.needs_held_out and not recipe.curation.held_out:
            yield (
                f"{place}: it measures on documents that are held out, but curation.held_out is 0; hold some out "
                "(curation.held_out: 0.01), or give it `texts` of its own"
            )
        sources = getattr(evaluator, "sources", None) if evaluator.needs_held_out else None
        for name in sources if isinstance(sources, tuple) else ():
            if name not in recipe.sources:
                yield f"{place}: unknown source '{name}'; the sources are {', '.join(recipe.sources)}"
        try:
            missing = [path for path in input_files(evaluator) if not path.exists()]
        except PluginError as error:
            yield f"{place}: {error}"
            continue
        except RexplugError:
            continue  # `check_inputs` reports it
        if missing:
            yield f"{place}: {missing[0]} is missing"
