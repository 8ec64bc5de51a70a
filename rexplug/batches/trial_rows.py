"""Made-up rows, on which masking policies are tried before they are trained with."""

from __future__ import annotations

import numpy as np

from rexplug.components import MaskingPolicy, TokenBatch


def random_row(
    policy: MaskingPolicy, num_tokens: int, generator: np.random.Generator, *, salient: float = 0.2
) -> TokenBatch:
    """A row of two samples of random tokens with the channels that a policy reads; as in training, its arrays are read-only.

    Args:
        policy: reads no other channels than `word_start` and `salience`.
        num_tokens: length of the row; the first and the last token of each sample are not maskable.
        generator: draws the tokens.
        salient: share of the maskable tokens that are salient.
    """
    maskable = np.ones(num_tokens, np.bool_)
    cu_seqlens = np.array([0, num_tokens // 3, num_tokens])
    maskable[cu_seqlens[:-1]] = maskable[cu_seqlens[1:] - 1] = False
    values = {
        "word_start": (generator.random(num_tokens) < 0.7).astype(np.uint8),
        "salience": np.where(generator.random(num_tokens) < salient, 255, 0).astype(np.uint8) * maskable,
    }
    channels = {name: values[name] for name in policy.row_channels}
    row = TokenBatch(generator.integers(10, 1000, num_tokens), cu_seqlens, maskable, channels)
    for array in (row.token_ids, row.cu_seqlens, row.maskable, *channels.values()):
        array.flags.writeable = False
    return row
