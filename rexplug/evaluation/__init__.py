"""The harness that evaluators run in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rexplug.evaluation.harness import evaluate

__all__ = ["evaluate"]


def __getattr__(name: str) -> Any:
    # The evaluators beside it are imported whenever plugins are listed, and must not bring torch along.
    if name == "evaluate":
        from rexplug.evaluation.harness import evaluate

        return evaluate
    raise AttributeError(name)
