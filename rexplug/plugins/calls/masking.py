"""Calls into masking policies: the tokens that they choose in a row, and how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rexplug.components import MaskingPolicy, TokenBatch
from rexplug.plugins.calls.call import PluginCall, require_array, whole_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def choose_tokens(
    policy: MaskingPolicy, row: TokenBatch, progress: float, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """`policy.choose(row, progress, generator)`: the tokens to mask, bool `[num_tokens]`.

    Raises:
        PluginError: the policy raised, or returned another shape or type.
    """
    with PluginCall(policy, "choose", row):
        chosen = policy.choose(row, progress, generator)
    require_array(policy, "choose", chosen, "bool", row.token_ids.shape)
    return chosen


def salient_subset(
    policy: MaskingPolicy, row: TokenBatch, progress: float, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """The tokens that a policy chose by salience, bool `[num_tokens]`."""
    with PluginCall(policy, "salient_subset", row):
        chosen = policy.salient_subset(row, progress, generator)
    require_array(policy, "salient_subset", chosen, "bool", row.token_ids.shape)
    return chosen


def masking_budget(policy: MaskingPolicy, row: TokenBatch, progress: float) -> int:
    """The number of tokens that a policy masks in a row."""
    with PluginCall(policy, "budget", row):
        returned: object = policy.budget(row, progress)
    return whole_number(policy, "budget", returned, at_least=0)
