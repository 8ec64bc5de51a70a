"""The test kit for plugin authors: functions that check a component against the contract of its kind, and tiny runs of recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rexplug.lazy import lazy_names

if TYPE_CHECKING:
    from rexplug.contracts.components import (
        check_corpus_filter,
        check_document_source,
        check_labeller,
        check_masking_policy,
        check_mixing_schedule,
        check_salience_scorer,
    )
    from rexplug.contracts.evaluators import check_evaluator
    from rexplug.contracts.plugin import check_plugin
    from rexplug.testing.tiny_run import run_tiny

__all__ = [
    "check_corpus_filter",
    "check_document_source",
    "check_evaluator",
    "check_labeller",
    "check_masking_policy",
    "check_mixing_schedule",
    "check_plugin",
    "check_salience_scorer",
    "run_tiny",
]

# pytest imports the package in every project where rexplug is installed, for its fixtures.
__getattr__ = lazy_names(
    __name__,
    {
        "rexplug.contracts.components": (
            "check_corpus_filter", "check_document_source", "check_labeller", "check_masking_policy", "check_mixing_schedule",
            "check_salience_scorer",
        ),
        "rexplug.contracts.evaluators": ("check_evaluator",),
        "rexplug.contracts.plugin": ("check_plugin",),
        "rexplug.testing.tiny_run": ("run_tiny",),
    },
)  # fmt: skip
