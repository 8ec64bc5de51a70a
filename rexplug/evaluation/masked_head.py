"""Predictions of a masked-LM head of any model family from last hidden states: the best tokens, or probabilities of given ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_MAX_LOGITS = 2**26
"""Logits that are computed at once: those of every position over the whole vocabulary would be gigabytes."""
_CANDIDATES = 16
"""Tokens beside the `top` ones whose logits in bf16 are computed again in fp32: bf16 has eight bits, so many are equal."""


def has_masked_head(model: Any) -> bool:
    """Whether a model of transformers has a masked-LM head."""
    return hasattr(model, "get_output_embeddings") and model.get_output_embeddings() is not None


def head_logits(model: Any, hidden: Tensor) -> Tensor:
    """Logits `[n, vocabulary]` of a masked-LM head of any family for last hidden states `[n, hidden]`.

    Families name the parts of their heads differently, but all apply them in the forward pass of the whole model. That
    runs here on one token, and a hook puts `hidden` in the place of the encoder's last hidden states: the encoder's output
    keeps the other fields that the family reads, such as Longformer's `global_attentions`.
    """

    def replace(_module: Any, _inputs: Any, output: Any) -> Any:
        output.last_hidden_state = hidden[None]
        return output

    with model.base_model.register_forward_hook(replace):
        output = model(input_ids=torch.zeros((1, 1), dtype=torch.long, device=hidden.device))
    logits: Tensor = output.logits[0]
    return logits


def log_probs(
    model: Any, hidden: Tensor, targets: Tensor, autocast: Callable[[], AbstractContextManager[None]]
) -> Tensor:
    """Natural logarithm of the probability of each target by a masked-LM head, `[m]`; its logits are fp32.

    Args:
        model: the model with its head.
        hidden: last hidden states `[m, hidden]`, fp32.
        targets: a token id for each state, `[m]`.
        autocast: makes the context of the head's products, except that with the vocabulary.
    """
    vocabulary = model.get_output_embeddings().weight.shape[0]

    def of(chunk: Tensor, ids: Tensor) -> Tensor:
        if _has_own_head(model):
            with autocast():
                features: Tensor = model.head(chunk)
            logits = F.linear(features.float(), model.decoder.weight, model.decoder.bias)
        else:
            logits = head_logits(model, chunk).float()
        return logits.gather(-1, ids[:, None])[:, 0] - logits.logsumexp(-1)

    size = max(1, _MAX_LOGITS // vocabulary)
    return torch.cat([of(*chunk) for chunk in zip(hidden.split(size), targets.split(size), strict=True)])


def _has_own_head(model: Any) -> bool:
    """Whether the head is a ModernBERT's, whose parts can be called one by one."""
    return hasattr(model, "decoder") and hasattr(model, "head")


def best_tokens(model: Any, hidden: Tensor, top: int, autocast: Callable[[], AbstractContextManager[None]]) -> Tensor:
    """The `top` most probable tokens by a masked-LM head, best first, `[m, top]`.

    Args:
        model: the model with its head.
        hidden: last hidden states `[m, hidden]`, fp32.
        top: tokens per state.
        autocast: makes the context of the head's products. With bf16 in it, the best by logits in bf16 are ranked by fp32.
    """
    vocabulary = model.get_output_embeddings().weight.shape[0]

    def best(chunk: Tensor) -> Tensor:
        if not _has_own_head(model):
            # The head's parts have other names in every family: products of a whole head are left in fp32.
            return head_logits(model, chunk).topk(top, -1).indices
        decoder = model.decoder
        with autocast():
            features: Tensor = model.head(chunk)
            logits: Tensor = decoder(features)
        if logits.dtype == torch.float32:
            return logits.topk(top, -1).indices
        candidates = logits.topk(min(top + _CANDIDATES, vocabulary), -1).indices
        exact = torch.bmm(F.embedding(candidates, decoder.weight), features.float()[:, :, None])[..., 0]
        if decoder.bias is not None:
            exact = exact + decoder.bias[candidates]
        return candidates.gather(-1, exact.topk(top, -1).indices)

    values_of_state = max(vocabulary, (top + _CANDIDATES) * hidden.shape[1])
    return torch.cat([best(chunk) for chunk in hidden.split(max(1, _MAX_LOGITS // values_of_state))])
