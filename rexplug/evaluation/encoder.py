"""A Hugging Face masked language model as evaluators use it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rexplug.errors import DataError

_BATCH_TOKENS = 8192


class HuggingFaceEncoder:
    """Any encoder folder that `AutoModelForMaskedLM` loads; implements `rexplug.Encoder`.

    Args:
        folder: model and, unless `tokenizer` is given, tokenizer.
        tokenizer: the tokenizer's folder.
    """

    def __init__(self, folder: Path, tokenizer: Path | None = None) -> None:
        from transformers import AutoModelForMaskedLM, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        try:
            self._model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32)
            self._tokenizer = AutoTokenizer.from_pretrained(tokenizer or folder)
        except (OSError, ValueError) as error:
            raise DataError(f"{folder} is no model that can be evaluated: {str(error).splitlines()[0]}") from None
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model.eval().to(self.device)
        self.folder = folder

    @cached_property
    def revision(self) -> str:
        """Hash of the weights."""
        digest = hashlib.sha256()
        for name, values in sorted(self._model.state_dict().items()):
            digest.update(name.encode())
            digest.update(values.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    @property
    def tokenizer(self) -> Any:
        """The tokenizer."""
        return self._tokenizer

    @property
    def max_tokens(self) -> int:
        """Longest input."""
        return int(self._model.config.max_position_embeddings)

    @property
    def num_dimensions(self) -> int:
        """Size of an embedding."""
        return int(self._model.config.hidden_size)

    def encode(self, texts: Sequence[str], max_tokens: int = 512) -> NDArray[np.float32]:
        """Mean-pooled embeddings `[n, hidden]` of the first `max_tokens` tokens of each text."""
        limit = min(max_tokens, self.max_tokens)
        encoded = self._tokenizer(list(texts), truncation=True, max_length=limit)["input_ids"]
        rows = [np.array(row, np.int64) for row in encoded]
        result = np.zeros((len(rows), self.num_dimensions), np.float32)
        for indices, hidden, mask in self._forward(rows):
            weights = mask[..., None].float()
            pooled = (hidden * weights).sum(1) / weights.sum(1)
            result[indices] = pooled.cpu().numpy()
        return result

    def fill(
        self, rows: Sequence[NDArray[np.int64]], positions: Sequence[NDArray[np.int64]], top: int = 1
    ) -> list[NDArray[np.int64]]:
        """The `top` most probable ids at the asked positions of each row, `[len(positions[i]), top]`."""
        result: list[NDArray[np.int64]] = [np.zeros((0, top), np.int64)] * len(rows)
        for indices, hidden, _ in self._forward(rows):
            where = [(line, place) for line, index in enumerate(indices) for place in positions[index]]
            if not where:
                continue
            lines, places = (torch.tensor(each, device=self.device) for each in zip(*where, strict=True))
            best = self._decode(hidden[lines, places]).topk(top, -1).indices.cpu().numpy()
            done = 0
            for index in indices:
                count = len(positions[index])
                result[index] = best[done : done + count]
                done += count
        return result

    def _decode(self, hidden: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            if hasattr(self._model, "decoder") and hasattr(self._model, "head"):
                logits: torch.Tensor = self._model.decoder(self._model.head(hidden))
            else:
                # BERT- and RoBERTa-like models name their head after themselves.
                head = getattr(self._model, "cls", None) or self._model.lm_head
                logits = head(hidden)
        return logits

    def _forward(self, rows: Sequence[NDArray[np.int64]]) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
        """Hidden states of rows of similar length together: (indices, `[b, n, hidden]`, mask `[b, n]`)."""
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        pad = self._tokenizer.pad_token_id
        while order:
            batch = [order.pop()]
            longest = max(1, len(rows[batch[0]]))
            while order and (len(batch) + 1) * longest <= _BATCH_TOKENS:
                batch.append(order.pop())
            tokens = torch.full((len(batch), longest), pad)
            mask = torch.zeros(len(batch), longest, dtype=torch.long)
            for line, index in enumerate(batch):
                row = torch.from_numpy(rows[index])
                tokens[line, : len(row)] = row
                mask[line, : len(row)] = 1
            tokens, mask = tokens.to(self.device), mask.to(self.device)
            with torch.no_grad():
                hidden = self._model.base_model(input_ids=tokens, attention_mask=mask).last_hidden_state
            yield batch, hidden, mask
