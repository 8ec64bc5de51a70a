"""Warnings about options that are allowed, but outside what published encoders were trained with or of no practical use."""

from __future__ import annotations

from collections.abc import Iterator

from rexplug.recipe.schema import Phase, Recipe

HIGHEST_PEAK = 1e-2
"""Three times the highest published peak (3e-3, Ettin); runs above it are known to diverge."""
LOWEST_PEAK = 1e-7
"""Below it a step changes most weights by less than the precision of fp32."""
HIGHEST_DECAY = 1e-2
"""Weights halve in 69 steps; published values of a fully decoupled decay are 1e-5 to 3e-4."""
_THETAS = (100.0, 1e8)
_MOST_MASKED = 0.8


def recipe_notes(recipe: Recipe) -> tuple[str, ...]:
    """What `check` and `run` print about a recipe's options, each with its path."""
    return tuple(f"phases.{phase.name}.{note}" for phase in recipe.phases for note in _notes(phase))


def _notes(phase: Phase) -> Iterator[str]:
    peak, decay = phase.learning_rate.peak, phase.optimizer.weight_decay
    if peak > HIGHEST_PEAK:
        yield (
            f"learning_rate.peak: {peak:g} is {peak / 3e-3:,.0f} times the highest of a published encoder (3e-3); "
            "expect the loss to diverge"
        )
    if peak < LOWEST_PEAK:
        yield f"learning_rate.peak: at {peak:g} the weights hardly change; published encoders used 2.5e-4 to 3e-3"
    if decay > HIGHEST_DECAY:
        yield (
            f"optimizer.weight_decay: every step at the peak multiplies the weights by {1 - decay:g}, since this decay is not "
            "scaled by the learning rate; published values are 1e-5 to 3e-4"
        )
    for name, theta in (("global_theta", phase.rope.global_theta), ("local_theta", phase.rope.local_theta)):
        if theta is not None and not _THETAS[0] <= theta <= _THETAS[1]:
            yield f"rope.{name}: {theta:g} is far from published values (10,000 to 1,000,000)"
    rates = [phase.masking.rate.at(at) for at in (0.0, 1.0)]
    if max(rates) > _MOST_MASKED:
        yield f"masking.rate: {max(rates):.0%} of the tokens are masked, which leaves little to infer them from"
    if max(rates) == 0:
        yield "masking.rate: 0 masks one token of a row, so that almost nothing is learnt"
    if phase.batch_tokens > phase.tokens:
        yield f"batch_tokens: a batch of {phase.batch_tokens:,} is more than the phase has ({phase.tokens:,}): it is one step"
    for name, every in (
        ("evaluate_every", phase.evaluate_every), ("checkpoints.every_tokens", phase.checkpoints.every_tokens),
    ):  # fmt: skip
        if every is not None and every < phase.batch_tokens < phase.tokens:
            yield f"{name}: {every:,} tokens are less than a batch ({phase.batch_tokens:,}): it happens at every step"
