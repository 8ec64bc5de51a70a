"""The model as Composer trains it: one packed row at a time, logits on masked tokens only."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from composer.models import ComposerModel
from torch import Tensor

from rexplug.model.attention import Packing, forward_packed
from rexplug.model.loss import masked_lm_loss

CPU_MULTIPLE = 64
"""Row lengths on a CPU are multiples of this, so that few shapes occur: products are compiled per shape."""


class PackedMaskedLM(ComposerModel):
    """Masked language modelling on packed rows.

    The loss of a microbatch is the mean over its masked tokens; Composer weighs microbatches by their masked tokens
    (`accumulate_train_batch_on_tokens`), so the gradient is that of the sum over the global batch divided by its
    masked tokens, however it is cut into rows.
    """

    def __init__(self, model: Any, num_sources: int, backend: str) -> None:
        super().__init__()
        self.model = model
        self.backend = backend
        self.totals = torch.zeros(3, num_sources, dtype=torch.float64)
        """Per source since `reset`: sum of losses, tokens predicted right, masked tokens."""

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The summed loss of the masked tokens of some rows, and their number."""
        row = _joined(batch["rows"])
        tokens = row["token_ids"]
        if self.backend == "blocks":
            # A CPU has no use for rows of one size; most of the padding is cut off.
            tokens = tokens[: -(-int(row["lengths"].sum()) // CPU_MULTIPLE) * CPU_MULTIPLE]
        packing = Packing(row["borders"], len(tokens), self.backend, row["lengths"].tolist())
        hidden = forward_packed(self.model, tokens, packing)
        places = row["masked"]
        total, losses, hits = masked_lm_loss(self.model, hidden[places], row["labels"][places])
        source_of = row["source_of"][places]
        values = torch.stack([losses.double(), hits.double(), torch.ones_like(losses, dtype=torch.float64)])
        counted = torch.zeros(self.totals.shape, dtype=torch.float64, device=values.device)
        counted.index_add_(1, source_of, values)
        self.totals = self.totals.to(values.device) + counted
        return {"loss": total, "num_masked": len(losses)}

    def loss(self, outputs: dict[str, Any], batch: Any) -> Tensor:
        """Mean over the masked tokens; 0 for rows that have none (they hold nothing but special tokens)."""
        loss: Tensor = outputs["loss"] / max(1, outputs["num_masked"])
        return loss

    def reset(self) -> None:
        """Begin to count anew."""
        self.totals = torch.zeros_like(self.totals)


def _joined(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows one behind the other as one row; the padding of all but the last is left out."""
    if len(rows) == 1:
        return rows[0]
    *first, last = rows
    ends = [int(row["lengths"].sum()) for row in first]  # the last border, without asking the device
    starts = [0, *torch.tensor(ends).cumsum(0).tolist()]
    joined: dict[str, Any] = {
        key: torch.cat([*(row[key][:end] for row, end in zip(first, ends, strict=True)), last[key]])
        for key in ("token_ids", "labels", "source_of")
    }
    joined["masked"] = torch.cat([row["masked"] + start for row, start in zip(rows, starts, strict=True)])
    joined["lengths"] = np.concatenate([row["lengths"] for row in rows])
    borders = [row["borders"][1:] + start for row, start in zip(rows, starts, strict=True)]
    joined["borders"] = torch.cat([rows[0]["borders"][:1], *borders])
    return joined
