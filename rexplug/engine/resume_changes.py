"""What a phase that goes on does otherwise than when it stopped: jumps of the learning rate and of the mixture."""

from __future__ import annotations

from rexplug.batches import BatchStream
from rexplug.engine.checkpoints import State
from rexplug.recipe.schema import Phase
from rexplug.schedules import learning_rate_factor

_NOTICED = 0.005
"""A change of a share below this is none worth a line."""


def learning_rate_at(phase: Phase, tokens: int) -> float:
    """The learning rate of the step after `tokens` of a phase."""
    rate = phase.learning_rate
    return rate.peak * learning_rate_factor(
        tokens, total=phase.tokens, schedule=rate.schedule, warmup=rate.warmup, decay=rate.decay, final=rate.final
    )


def shares_at(stream: BatchStream, tokens: int) -> dict[str, float]:
    """The schedule's shares after `tokens` of a phase."""
    weights = stream.mixing.weights(min(1.0, tokens / stream.total_tokens))
    total = sum(weights.values())
    return {name: weights.get(name, 0.0) / total for name in stream.sources}


def jumps(phase: Phase, stream: BatchStream, state: State) -> list[str]:
    """Warnings for a phase that goes on from one of its own checkpoints with another recipe than it was saved with.

    A phase that is made longer after its learning rate fell is the usual case: rate and mixture are those of the place in
    the longer phase, far from where it stopped.
    """
    if state.tokens >= phase.tokens:
        return []
    found = []
    before, now = state.learning_rate, learning_rate_at(phase, state.tokens)
    if before is not None and abs(now - before) > 1e-6 * phase.learning_rate.peak:
        stirred = (
            "; what settled while it fell is stirred up again. A phase of its own, or a start from a checkpoint before the "
            "fall, loses less"
        )
        fell = now > before and state.tokens > phase.learning_rate.warmup
        found.append(
            f"phase '{phase.name}' goes on after {state.tokens:,} tokens with a learning rate of {now:.3g}, but stopped at "
            f"{before:.3g}{stirred if fell else ''}"
        )
    shares = shares_at(stream, state.tokens)
    moved = [
        f"'{name}' has {shares.get(name, 0.0):.1%} of the tokens in place of {share:.1%}"
        for name, share in state.shares.items()
        if abs(shares.get(name, 0.0) - share) > _NOTICED
    ]
    if moved:
        found.append(f"phase '{phase.name}' goes on with another mixture than it stopped with: {', '.join(moved)}")
    return found
