"""The RoPE thetas of a model: read, changed from phase to phase, and warned of."""

from __future__ import annotations

from typing import Any

from rexplug.errors import DataError
from rexplug.model.config_file import layer_kinds_of, thetas_of
from rexplug.model.family import DEFAULT_FAMILY
from rexplug.model.layers import set_theta


def set_rope(model: Any, *, global_theta: float | None, local_theta: float | None) -> None:
    """Change the RoPE thetas of a live model and of its config; None leaves one as it is.

    Raises:
        DataError: it has no layers of that kind.
    """
    for kind, theta in (("global", global_theta), ("local", local_theta)):
        if theta is None:
            continue
        if kind not in layer_kinds_of(model.config):
            raise DataError(f"rope.{kind}_theta: the model has no {kind} layers; leave it out")
        set_theta(model, kind, float(theta))


def thetas(model: Any) -> dict[str, float]:
    """The RoPE thetas of a model's `global` and `local` layers."""
    return thetas_of(model.config)


def theta_warnings(
    before: dict[str, float], *, global_theta: float | None, local_theta: float | None, context: int, phase: str
) -> list[str]:
    """Warnings about the thetas of a phase that starts from a trained model with the thetas `before`.

    A model with fresh weights has learnt no distances, so there is nothing to warn of.
    """
    practice, warnings = DEFAULT_FAMILY.rope, []
    if global_theta is not None and global_theta < before["global"]:
        warnings.append(
            f"phase '{phase}' lowers rope.global_theta from {before['global']:,.0f} to {global_theta:,.0f}: what the model "
            "learnt of long distances is lost"
        )
    if local_theta is not None and local_theta != before["local"]:
        warnings.append(
            f"phase '{phase}' changes rope.local_theta from {before['local']:,.0f} to {local_theta:,.0f}: local layers must "
            "learn their distances again; leave it out to keep the checkpoint's"
        )
    now = before["global"] if global_theta is None else global_theta
    if context >= practice.long_context and now <= practice.start:
        warnings.append(
            f"phase '{phase}' reads {context:,} tokens at the global theta {now:,.0f} of short contexts; "
            f"{practice.source} raise it to {practice.long_theta:,.0f} (rope: {{global_theta: {practice.long_theta:.0f}}})"
        )
    return warnings
