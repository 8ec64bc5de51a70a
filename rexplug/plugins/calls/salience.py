"""Calls into salience scorers: the scores of tokens, and the reasons for them."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

from rexplug.components import Reason, SalienceScorer, TokenizedDocument
from rexplug.plugins.calls.call import PluginCall, list_of, require_array, unexpected

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def score_document(scorer: SalienceScorer, document: TokenizedDocument) -> NDArray[np.uint8]:
    """`scorer.score(document)`: salience, uint8 `[num_tokens]`.

    Raises:
        PluginError: the scorer raised, or returned another shape or type.
    """
    with PluginCall(scorer, "score", document):
        values = scorer.score(document)
    require_array(scorer, "score", values, "uint8", document.token_ids.shape, f"for document '{document.id}'")
    return values


def explain_salience(scorer: SalienceScorer, document: TokenizedDocument) -> list[Reason]:
    """Why spans of a document are salient, in order."""
    with PluginCall(scorer, "explain", document):
        returned: object = scorer.explain(document)
    expected, what = "a sequence of Reason", f"for document '{document.id}'"
    reasons = list_of(scorer, "explain", returned, Reason, expected, subject=document, what=what)
    for reason in reasons:
        if not _is_span(reason, len(document.text)) or not isinstance(reason.label, str):
            expected = f"0 <= start < end <= {len(document.text):,} and a text as label"
            raise unexpected(scorer, "explain", reason, expected, what)
    return reasons


def _is_span(reason: Reason, length: int) -> bool:
    try:
        return 0 <= operator.index(reason.start) < operator.index(reason.end) <= length
    except TypeError:
        return False


def needed_sources(scorer: SalienceScorer) -> list[str]:
    """The sources that a scorer learns from."""
    with PluginCall(scorer, "needed_sources"):
        returned: object = scorer.needed_sources()
    return list_of(scorer, "needed_sources", returned, str, "a sequence of names")
