"""What changes when a phase resumes with another recipe: jumps of the learning rate and of the mixture."""

from __future__ import annotations

from rexplug.batches import BatchStream
from rexplug.engine.checkpoints import CheckpointState
from rexplug.plugins.calls import mixing_weights
from rexplug.recipe.schema import Phase

_NOTICEABLE = 0.005
"""A source's share must change by more than this to be reported."""


def shares_at(stream: BatchStream, tokens: int) -> dict[str, float]:
    """Each source's share of the batch after `tokens` of a phase, by the mixing schedule."""
    weights = mixing_weights(stream.mixing, min(1.0, tokens / stream.total_tokens))
    total = sum(weights.values())
    return {name: weights.get(name, 0.0) / total for name in stream.sources}


def jumps(phase: Phase, stream: BatchStream, state: CheckpointState) -> list[str]:
    """Warnings for a phase that resumes from one of its own checkpoints with another recipe than it was saved with.

    The usual case is a phase that is lengthened after its learning rate fell: learning rate and mixture are then those of an
    earlier point of the schedule, far from where it stopped.
    """
    if state.tokens >= phase.tokens:
        return []
    warnings = []
    before, now = state.learning_rate, phase.learning_rate_at(state.tokens)
    if before is not None and abs(now - before) > 1e-6 * phase.learning_rate.peak:
        advice = (
            "; this undoes what the decay gained. Add a phase of its own, or resume from a checkpoint before the decay"
        )
        rises_again = now > before and state.tokens > phase.learning_rate.warmup
        warnings.append(
            f"phase '{phase.name}' resumes after {state.tokens:,} tokens with a learning rate of {now:.3g}, but stopped at "
            f"{before:.3g}{advice if rises_again else ''}"
        )
    shares = shares_at(stream, state.tokens)
    moved = [
        f"'{name}' has {shares.get(name, 0.0):.1%} of the tokens instead of {share:.1%}"
        for name, share in state.shares.items()
        if abs(shares.get(name, 0.0) - share) > _NOTICEABLE
    ]
    if moved:
        warnings.append(f"phase '{phase.name}' resumes with another mixture than it stopped with: {', '.join(moved)}")
    return warnings
