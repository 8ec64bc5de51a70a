"""The cross entropy of logits on a CPU, a few rows at a time: they stay in the cache from the softmax to the gradient.

Shapes: m tokens, V rows of the embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor

_PIECE = 2**18
"""Logits of a piece; two of them in fp32 (2 MiB) are about a core's cache."""
_RARE = 1e-30
"""Below this a probability in fp32 has too few digits for its logarithm."""


def cross_entropy(
    logits: Tensor, labels: Tensor, *, with_gradient: bool, sums: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The loss of each token, and whether its label is the most probable token.

    Args:
        logits: `[m, V]` in fp32 or bf16; further rows are ignored. With `with_gradient` they become the gradient
            of the summed loss, computed in fp32 and then rounded to their number format.
        labels: true ids, `[m]`.
        with_gradient: whether the gradient is wanted.
        sums: what the gradient's sum over tokens is added to, before it is rounded: fp32, `[V]`.

    Returns:
        `[m]` in fp32 and bool.
    """
    num = len(labels)
    losses, hits = torch.empty(num), torch.empty(num, dtype=torch.bool)
    of_piece = _in_fp32 if logits.dtype == torch.float32 else _in_bf16
    rows = max(1, _PIECE // logits.shape[1])
    for first in range(0, num, rows):
        part = slice(first, min(first + rows, num))
        losses[part], hits[part], gradient = of_piece(logits[part], labels[part], with_gradient)
        if gradient is not None:
            logits[part].copy_(gradient)
            if sums is not None:
                sums += gradient.sum(0)
    if with_gradient:
        logits[num:] = 0
    return losses, hits


def _in_fp32(logits: Tensor, labels: Tensor, with_gradient: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    at_labels = (torch.arange(len(labels)), labels)
    log_probabilities = torch.log_softmax(logits, -1)
    label_log_probabilities = log_probabilities[at_labels]
    hits = label_log_probabilities >= log_probabilities.amax(-1)
    if not with_gradient:
        return -label_log_probabilities, hits, None
    gradient = log_probabilities.exp_()
    gradient[at_labels] -= 1
    return -label_log_probabilities, hits, gradient


def _in_bf16(logits: Tensor, labels: Tensor, with_gradient: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """One exponential for each logit instead of two."""
    at_labels = (torch.arange(len(labels)), labels)
    exact = logits.float()
    probabilities = torch.softmax(exact, -1)
    label_probabilities = probabilities[at_labels]
    hits = label_probabilities >= probabilities.amax(-1)
    losses = -label_probabilities.log()
    rare = label_probabilities < _RARE
    if rare.any():
        losses[rare] = torch.logsumexp(exact[rare], -1) - exact[at_labels][rare]
    if not with_gradient:
        return losses, hits, None
    probabilities[at_labels] = label_probabilities - 1
    return losses, hits, probabilities
