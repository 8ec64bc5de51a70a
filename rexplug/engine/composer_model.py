"""The model as Composer trains it: on packed rows, with logits of masked tokens only."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from composer.models import ComposerModel
from torch import Tensor

from rexplug.engine.tensor_row import concatenate
from rexplug.model.attention import Packing
from rexplug.model.loss import masked_lm_loss
from rexplug.model.packed import forward_packed
from rexplug.model.precision import autocast_of

CPU_MULTIPLE = 64
"""Row lengths on a CPU are multiples of this, so that few shapes occur: products are compiled per shape."""


class PackedMaskedLM(ComposerModel):
    """Masked language modelling on packed rows.

    The loss of a microbatch is the mean over its masked tokens; Composer weighs microbatches by their masked tokens
    (`accumulate_train_batch_on_tokens`), so the gradient is that of the sum over the global batch divided by its
    masked tokens, however it is cut into rows.
    """

    def __init__(
        self, model: Any, num_sources: int, backend: str, loss_kernel: str | None = None, precision: str = "fp32"
    ) -> None:
        super().__init__()
        self.model = model
        self.backend = backend
        self.precision = precision
        self.loss_kernel = loss_kernel
        device = next(model.parameters()).device
        self.totals = torch.zeros(3, num_sources, dtype=torch.float64, device=device)
        """Per source since `reset`: sum of losses, tokens predicted right, masked tokens."""

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The summed loss of the masked tokens of some rows (`loss`), and their number (`num_masked`)."""
        row = concatenate(batch["rows"]).to(self.totals.device)
        tokens = row.token_ids
        if self.backend == "blocks":
            # A CPU does not need rows of one size; most of the padding is cut off.
            tokens = tokens[: -(-sum(row.lengths) // CPU_MULTIPLE) * CPU_MULTIPLE]
        packing = Packing(row.cu_seqlens, len(tokens), self.backend, row.lengths)
        # Composer has no bf16 on a CPU; on a GPU it opens the same context around this one.
        with autocast_of(self.totals.device, self.precision):
            hidden = forward_packed(self.model, tokens, packing, row.masked)
            total, losses, hits = masked_lm_loss(self.model, hidden, row.labels, kernel=self.loss_kernel)
        values = torch.stack([losses, hits, torch.ones_like(losses)]).double()
        # A matrix product, not `index_add_`, whose sums depend on the order of a GPU's threads.
        self.totals += values @ F.one_hot(row.sources, self.totals.shape[1]).double()
        return {"loss": total, "num_masked": row.num_masked}

    def loss(self, outputs: dict[str, Any], batch: Any) -> Tensor:
        """Mean over the masked tokens; 0 for rows without any."""
        loss: Tensor = outputs["loss"] / max(1, outputs["num_masked"])
        return loss

    def reset(self) -> None:
        """Set the totals to zero."""
        self.totals = torch.zeros_like(self.totals)
