"""The model as Composer trains it: one packed row at a time, logits on masked tokens only."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from composer.models import ComposerModel
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from rexplug.batches import IGNORED
from rexplug.model.attention import Packing, forward_packed

LOGITS = 2**26
"""Logits held at a time; more masked tokens are taken in pieces whose logits are computed again for the gradient."""


class PackedMaskedLM(ComposerModel):
    """Masked language modelling on packed rows.

    The loss of a row is the mean over its masked tokens; Composer weighs rows by their masked tokens
    (`accumulate_train_batch_on_tokens`), so the gradient is that of the sum over the global batch divided by its
    masked tokens, however it is cut into rows.
    """

    def __init__(self, model: Any, num_sources: int, backend: str) -> None:
        super().__init__()
        self.model = model
        self.backend = backend
        self.totals = torch.zeros(3, num_sources, dtype=torch.float64)
        """Per source since `reset`: sum of losses, tokens predicted right, masked tokens."""

    def forward(self, batch: dict[str, Any]) -> Tensor:
        """Losses of the masked tokens of one row, `[num_masked]`."""
        row = batch["rows"][0]
        packing = Packing(row["borders"], len(row["token_ids"]), self.backend)
        hidden = forward_packed(self.model, row["token_ids"], row["position_ids"], packing)
        places = row["masked"]
        labels = row["labels"][places]
        losses, hits = self._predict(hidden[places], labels)
        source_of = row["source_of"][places]
        with torch.no_grad():
            for line, values in enumerate((losses.detach(), hits, torch.ones_like(losses))):
                counted = torch.zeros(self.totals.shape[1], dtype=torch.float64, device=values.device)
                counted.index_add_(0, source_of, values.double())
                self.totals[line] += counted.cpu()
        return losses

    def loss(self, outputs: Tensor, batch: Any) -> Tensor:
        """Mean over the row's masked tokens; 0 for a row that has none (it holds nothing but special tokens)."""
        return outputs.sum() / max(1, len(outputs))

    def reset(self) -> None:
        """Begin to count anew."""
        self.totals.zero_()

    def _predict(self, hidden: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        assert int((labels == IGNORED).sum()) == 0
        size = max(1, LOGITS // self.model.config.vocab_size)
        if len(labels) <= size:
            return self._piece(hidden, labels)
        pieces = [
            checkpoint(self._piece, h, y, use_reentrant=False)
            for h, y in zip(hidden.split(size), labels.split(size), strict=True)
        ]
        return torch.cat([loss for loss, _ in pieces]), torch.cat([hit for _, hit in pieces])

    def _piece(self, hidden: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.model.decoder(self.model.head(hidden))
        losses = F.cross_entropy(logits.float(), labels, reduction="none")
        return losses, (logits.detach().argmax(-1) == labels).float()
