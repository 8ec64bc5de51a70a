"""Guided, span and whole-word masking policies, and a contrastive salience scorer.

RexBERT uses a Guided MLM whose definition is not known to us. The policy here is our own: salient tokens are masked more
often than others by a factor, at the same rate and up to a share of them.
"""

from __future__ import annotations

import rexplug
from rexplug_guided_mlm.contrastive import Contrastive
from rexplug_guided_mlm.guided import Guided
from rexplug_guided_mlm.policies import Span, WholeWord


@rexplug.hookimpl
def rexplug_masking_policies() -> list[type[rexplug.MaskingPolicy]]:
    """The policies of this plugin."""
    return [Guided, Span, WholeWord]


@rexplug.hookimpl
def rexplug_salience_scorers() -> list[type[rexplug.SalienceScorer]]:
    """The scorers of this plugin."""
    return [Contrastive]
