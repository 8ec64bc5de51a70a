"""The test kit for plugin authors: functions that check a component against the contract of its kind."""

from rexplug.testing.contracts import (
    check_corpus_filter,
    check_document_source,
    check_labeller,
    check_masking_policy,
    check_mixing_schedule,
    check_salience_scorer,
)
from rexplug.testing.plugin import check_plugin

__all__ = [
    "check_corpus_filter",
    "check_document_source",
    "check_labeller",
    "check_masking_policy",
    "check_mixing_schedule",
    "check_plugin",
    "check_salience_scorer",
]
