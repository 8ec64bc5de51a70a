"""Masked-token accuracy by the protocol of bajajra/RexBERT `eval/mlm`, for comparison with published values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.components import Document, Encoder, Scores

_BLOCK = 128
_RATE = 0.15
_SEED = 42
_JOINED = 1000
"""Documents that are joined before the tail that fills no block is dropped."""
_CHARACTERS_PER_TOKEN = 8
"""More than a token has on average, so that a text is not cut shorter than its limit of tokens."""


@dataclass(frozen=True)
class PublishedBlocks:
    """The protocol's 128-token blocks as a model sees them.

    Attributes:
        inputs: `[blocks, 128]`, token ids with masks and random tokens.
        positions: per block the chosen positions.
        truth: `[blocks, 128]`, the original token ids.
    """

    inputs: NDArray[np.int64]
    positions: list[NDArray[np.int64]]
    truth: NDArray[np.int64]

    @classmethod
    def of(
        cls, documents: Sequence[Document], tokenizer: Any, limit: int | None = None, seed: int = _SEED
    ) -> PublishedBlocks:
        """Join texts into blocks and choose 15 % of their tokens; there may be no block.

        Args:
            documents: joined in this order.
            tokenizer: a tokenizer of transformers.
            limit: tokens of a document that are read, which the protocol does not limit (None).
            seed: of the masks; the protocol's is 42.
        """
        joined = [np.zeros((0, _BLOCK), np.int64)]
        for start in range(0, len(documents), _JOINED):
            texts = [
                document.text if limit is None else document.text[: _CHARACTERS_PER_TOKEN * limit]
                for document in documents[start : start + _JOINED]
            ]
            flat = np.concatenate([np.array(ids[:limit], np.int64) for ids in tokenizer(texts)["input_ids"]])
            joined.append(flat[: len(flat) // _BLOCK * _BLOCK].reshape(-1, _BLOCK))
        blocks = np.concatenate(joined)
        generator = np.random.default_rng(seed)
        special = np.isin(blocks, tokenizer.all_special_ids)
        chosen = (generator.random(blocks.shape) < _RATE) & ~special
        kind = generator.random(blocks.shape)
        inputs = np.where(chosen & (kind < 0.8), tokenizer.mask_token_id, blocks)
        random_ids = generator.integers(len(tokenizer), size=blocks.shape)
        inputs = np.where(chosen & (kind >= 0.8) & (kind < 0.9), random_ids, inputs)
        return cls(inputs, [np.flatnonzero(row) for row in chosen], blocks)


def published_accuracy(
    source: str, documents: Sequence[Document], encoder: Encoder, limit: int | None = None, seed: int = _SEED
) -> Mapping[str, Scores]:
    """Accuracy at 1, 3 and 5: texts joined into 128-token blocks, 15 % of the tokens chosen, 80/10/10.

    The protocol's limits are kept: a tenth of the scored positions shows the true token and a tenth a random one, blocks
    mix documents, and targets depend on the tokenizer, so that only models that share one can be compared.

    Args:
        source: first part of the names of the metrics.
        documents: joined in this order.
        encoder: the model under evaluation.
        limit: tokens of a document that are read, which the protocol does not limit (None).
        seed: of the masks; the protocol's is 42.

    Returns:
        Metric -> correct and chosen tokens of each block; empty where the texts fill no block.
    """
    blocks = PublishedBlocks.of(documents, encoder.tokenizer, limit, seed)
    if not len(blocks.inputs):
        return {}
    predictions = encoder.predict_masked(list(blocks.inputs), blocks.positions, 5)
    scores = {}
    for top in (1, 3, 5):
        hits = np.array(
            [
                (predicted[:, :top] == block[chosen_positions][:, None]).any(1).sum()
                for predicted, block, chosen_positions in zip(predictions, blocks.truth, blocks.positions, strict=True)
            ],
            np.float64,
        )
        ids = [str(number) for number in range(len(blocks.inputs))]
        counts = [float(len(chosen_positions)) for chosen_positions in blocks.positions]
        scores[f"{source}.published_acc@{top}"] = Scores(ids, [hits.tolist()], [counts])
    return scores
