"""MinHash signatures, value for value those of datatrove's first stage, in a fraction of its time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.deduplicate.normalize import simplified
from rexplug.recipe.schema import MinHash
from rexplug.text.words import has_unspaced, split_words, split_words_and_marks

_PRIME = np.uint64((1 << 61) - 1)
_ROWS = 1024
"""Shingles that are hashed at a time; this bounds the memory for a document of any length."""
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
_LETTERS = 4
"""Letters in a shingle of a text in a script without spaces that has fewer words than a shingle."""
_FINISH = np.uint64(0xBF58476D1CE4E5B9)


def config(options: MinHash, seed: int) -> Any:
    """The options as a configuration of datatrove."""
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.hashing import HashConfig

    return MinhashConfig(
        n_grams=options.words, num_buckets=options.buckets, hashes_per_bucket=options.hashes,
        hash_config=HashConfig(precision=64), seed=seed % 2**31,
    )  # fmt: skip


class Signatures:
    """Computes the signatures of documents one after the other and keeps a key of 128 bits for each bucket of each."""

    def __init__(self, options: MinHash, seed: int) -> None:
        from datatrove.pipeline.dedup import MinhashDedupSignature

        from rexplug.corpus.datatrove.word_tokenizer import RegexWordTokenizer

        self.options = options
        stage = MinhashDedupSignature(".", config=config(options, seed), language=RegexWordTokenizer())
        self._a, self._b = stage.parameters
        self._keys: list[NDArray[np.uint64]] = []
        self._rows: list[int] = []
        self._num_documents = 0

    def add(self, text: str) -> None:
        """Compute the keys of the next document; one without shingles has none."""
        hashes = shingles(simplified(text, self.options.numbers), self.options.words)
        if len(hashes):
            self._keys.append(bucket_keys(self.signature(hashes)))
            self._rows.append(self._num_documents)
        self._num_documents += 1

    def signature(self, shingle_hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """`[buckets, hashes]` the smallest value of each hash function over all shingles."""
        lowest = np.full(self._a.shape[1], np.iinfo(np.uint64).max, np.uint64)
        for start in range(0, len(shingle_hashes), _ROWS):
            values = shingle_hashes[start : start + _ROWS, None] * self._a
            values += self._b
            # The remainder by 2 ** 61 - 1 without a division: the upper bits count once more.
            upper = values >> np.uint64(61)
            values &= _PRIME
            values += upper
            np.subtract(values, _PRIME, out=values, where=values >= _PRIME)
            np.minimum(lowest, values.min(axis=0), out=lowest)
        return lowest.reshape(self.options.buckets, self.options.hashes)

    def keys(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """The rows of the documents that have a signature, and their keys, `[num_rows, buckets, 2]`."""
        rows = np.array(self._rows, np.int64)
        return rows, np.array(self._keys, np.uint64).reshape(-1, self.options.buckets, 2)


def bucket_keys(signature: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """`[..., 2]` a key of 128 bits for the hashes of a bucket, `[..., hashes]`: equal where all of them are."""
    halves = []
    for factor in _MIX:
        value = np.zeros(signature.shape[:-1], np.uint64)
        for place in range(signature.shape[-1]):
            value = (value ^ signature[..., place]) * factor
            value ^= value >> np.uint64(29)
        value = value * _FINISH
        halves.append(value ^ (value >> np.uint64(32)))
    return np.stack(halves, axis=-1)


def shingles(simplified_text: str, words: int) -> NDArray[np.uint64]:
    """The distinct hashes of all runs of `words` words of a simplified text, sorted.

    A text with fewer words has none; if it is in a script without spaces, runs of letters take their place.
    """
    import xxhash

    parts = split_words_and_marks(simplified_text)
    if len(parts) < words and has_unspaced(simplified_text):
        parts, words = list("".join(split_words(simplified_text))), _LETTERS
    if len(parts) < words:
        return np.zeros(0, np.uint64)
    joined = " ".join(parts).encode()
    sizes = np.fromiter(map(len, parts), np.int64, len(parts)) if joined.isascii() else _sizes(parts)
    ends = np.cumsum(sizes + 1) - 1
    starts = ends - sizes
    last, hashed = ends[words - 1 :].tolist(), xxhash.xxh64_intdigest
    hashes = [hashed(joined[start:end]) for start, end in zip(starts.tolist(), last, strict=False)]
    return np.unique(np.array(hashes, np.uint64))


def _sizes(parts: list[str]) -> NDArray[np.int64]:
    return np.fromiter((len(part.encode()) for part in parts), np.int64, len(parts))
