"""Masking that looks where the vertical's meaning is: guided, span and whole-word policies, a contrastive scorer.

RexBERT uses a Guided MLM whose definition is not known to us. What stands here is our own: a share of an exact mask
budget goes to salient spans, masked whole, and the rest is random.
"""

from __future__ import annotations

import rexplug
from rexplug_guided_mlm.contrastive import Contrastive
from rexplug_guided_mlm.policies import Guided, Span, WholeWord


@rexplug.hookimpl
def rexplug_masking_policies() -> list[type[rexplug.MaskingPolicy]]:
    """The policies of this plugin."""
    return [Guided, Span, WholeWord]


@rexplug.hookimpl
def rexplug_salience_scorers() -> list[type[rexplug.SalienceScorer]]:
    """The scorers of this plugin."""
    return [Contrastive]
