"""A model as it is traced for ONNX: token ids in, token vectors and logits out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class EncoderOutputs(torch.nn.Module):
    """The outputs `names` of a model of transformers for padded rows: `last_hidden_state`, and `logits` of its masked-LM head.

    The encoder runs once for both: a hook takes its token vectors on their way to the head, which families name differently.
    """

    def __init__(self, model: Any, *names: str) -> None:
        super().__init__()
        self.model = model
        self._names = names
        # torch.onnx.export puts the model back into this module's mode, and in training dropout is active.
        self.eval()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """The outputs in the order of `names`, each `[n, length, ...]`.

        Args:
            input_ids: token ids, `[n, length]`.
            attention_mask: 1 for tokens, 0 for padding, `[n, length]`.
            token_type_ids: which of two texts each token belongs to, `[n, length]`; left out for models without.
        """
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        if self._names == ("last_hidden_state",):
            return (self.model.base_model(**inputs).last_hidden_state,)
        states: list[Tensor] = []

        def take(_module: Any, _inputs: Any, output: Any) -> None:
            states.append(output.last_hidden_state)

        hook = self.model.base_model.register_forward_hook(take)
        try:
            found = {"logits": self.model(**inputs).logits, "last_hidden_state": states[-1]}
        finally:
            hook.remove()
        return tuple(found[name] for name in self._names)
