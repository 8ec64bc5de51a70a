"""Texts in which whole words are masked, and which of the words a model's predictions restore."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class MaskedText:
    """A tokenized text whose chosen words are replaced by mask tokens.

    Attributes:
        token_ids: `[n]`, special tokens and mask tokens included.
        positions: `[m]`, the positions of the mask tokens.
        word_of: `[m]`, the number of the word that each masked token belongs to.
        truth: `[m]`, the original token ids at `positions`.
    """

    token_ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    word_of: NDArray[np.int64]
    truth: NDArray[np.int64]

    def restored(self, predicted: NDArray[np.int64], num_words: int) -> list[bool]:
        """Per word whether all its tokens are predicted correctly; a word beyond the cut of the text is not restored.

        Args:
            predicted: `[m]`, the predicted token ids.
            num_words: how many words were masked.
        """
        correct = np.zeros(num_words, bool)
        correct[self.word_of] = True
        correct[self.word_of[predicted != self.truth]] = False
        return [bool(word) for word in correct]


def mask_words(text: str, words: Sequence[tuple[int, int]], tokenizer: Any, limit: int) -> MaskedText:
    """Mask every token that shares a character with one of `words`.

    Args:
        text: the text.
        words: first character and end of each word, in order.
        tokenizer: a fast tokenizer of transformers.
        limit: the text is cut at this many tokens.
    """
    encoded = tokenizer(text, truncation=True, max_length=limit, return_offsets_mapping=True)
    token_ids = np.array(encoded["input_ids"], np.int64)
    positions: list[int] = []
    word_of: list[int] = []
    number = 0
    for position, (start, end) in enumerate(encoded["offset_mapping"]):
        while number < len(words) and words[number][1] <= start:
            number += 1
        if number < len(words) and start < words[number][1] and end > words[number][0]:
            positions.append(position)
            word_of.append(number)
    masked = np.array(positions, np.int64)
    truth = token_ids[masked]
    token_ids[masked] = tokenizer.mask_token_id
    return MaskedText(token_ids, masked, np.array(word_of, np.int64), truth)


def document_generator(seed: int, document_id: str) -> np.random.Generator:
    """A generator that depends on the seed and the document alone, so that every model sees the same masked words."""
    key = hashlib.blake2b(f"{seed}/{document_id}".encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(key, "little"))
