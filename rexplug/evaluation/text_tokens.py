"""The tokens of a text by a model's tokenizer, with the words and the number of bytes of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.text.words import word_starts


def words_of_characters(text: str) -> NDArray[np.int64]:
    """The number of the word that each character belongs to, `[len(text)]`, -1 for white space; the same for every tokenizer.

    Words are runs of letters and digits; every other character is a word by itself.
    """
    places, spaces = np.arange(len(text)), _spaces(text)
    starts = word_starts(text, np.stack([places, places + 1], 1)) & ~spaces
    return np.where(spaces, -1, np.cumsum(starts) - 1)


@dataclass(frozen=True)
class TextTokens:
    """The tokens of a text that a language model can predict: all except special tokens and white space at the end.

    Attributes:
        row: `[n]`, all token ids of the text, special tokens included.
        positions: `[m]`, the positions of these tokens in `row`.
        first_character: `[m]`, the first character of each, of those that are not white space if it has any.
        words: `[m, 2]`, the first and the last word of each; a token of white space belongs to the word after it, as in other
            tokenizers the blank before a word belongs to the word's first token.
        num_bytes: `[m]`, bytes of each in UTF-8, white space left out. Where several tokens divide a character, each has an
            equal share.
    """

    row: NDArray[np.int64]
    positions: NDArray[np.int64]
    first_character: NDArray[np.int64]
    words: NDArray[np.int64]
    num_bytes: NDArray[np.float64]

    @classmethod
    def of(cls, text: str, words: NDArray[np.int64], tokenizer: Any, limit: int) -> TextTokens:
        """Tokenize a text.

        Args:
            text: the text, not empty.
            words: the word of each character, `[len(text)]`.
            tokenizer: a fast tokenizer of transformers.
            limit: the text is cut at this many tokens.
        """
        encoded = tokenizer(text, truncation=True, max_length=limit, return_offsets_mapping=True)
        row = np.array(encoded["input_ids"], np.int64)
        offsets = np.array(encoded["offset_mapping"], np.int64).reshape(-1, 2)
        spaces, places = _spaces(text), np.arange(len(text))
        # For each character, the first one from there on that is not white space, and the last such one before it.
        following = np.append(np.where(spaces, len(text), places), len(text))
        following = np.minimum.accumulate(following[::-1])[::-1]
        before = np.maximum.accumulate(np.append(-1, np.where(spaces, -1, places)))
        first, last = following[offsets[:, 0]], before[offsets[:, 1]]
        first_characters = np.where(first > last, offsets[:, 0], first)
        last = np.maximum(first, last)
        special = np.isin(row, [token for token in tokenizer.all_special_ids if token != tokenizer.unk_token_id])
        positions = np.flatnonzero((offsets[:, 0] < offsets[:, 1]) & (first < len(text)) & ~special)
        of_tokens = words[np.stack([first[positions], last[positions]], 1)]
        num_bytes = _num_bytes(text, spaces, offsets[positions])
        return cls(row, positions, first_characters[positions], of_tokens, num_bytes)

    def of_word(self, word: int) -> NDArray[np.int64]:
        """The numbers of the tokens of a word, in order; none if the text was cut before it."""
        return np.flatnonzero((self.words[:, 0] <= word) & (self.words[:, 1] >= word))

    def masked(self, tokens: NDArray[np.int64], mask: int) -> NDArray[np.int64]:
        """A copy of `row` with a mask token in the place of these tokens, which are given by number."""
        row = self.row.copy()
        row[self.positions[tokens]] = mask
        return row

    def ids(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """The ids of these tokens, which are given by number."""
        return self.row[self.positions[tokens]]


def _spaces(text: str) -> NDArray[np.bool_]:
    return np.fromiter((character.isspace() for character in text), np.bool_, len(text))


def _num_bytes(text: str, spaces: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Bytes of each token `[m]` by the characters that it covers, `offsets` `[m, 2]`."""
    sizes = np.fromiter((len(character.encode("utf-8", "replace")) for character in text), np.float64, len(text))
    sizes[spaces] = 0
    edges = np.zeros(len(text) + 1)
    np.add.at(edges, offsets[:, 0], 1)
    np.add.at(edges, offsets[:, 1], -1)
    sizes /= np.maximum(np.cumsum(edges)[:-1], 1)
    total = np.append(0, np.cumsum(sizes))
    return np.asarray(total[offsets[:, 1]] - total[offsets[:, 0]], np.float64)
