"""MinHash signatures, byte for byte those of datatrove's first stage, in a fraction of its time.

The second stage, which finds equal buckets in sorted files, is datatrove's own.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.io.atomic import replacing
from rexplug.recipe.schema import MinHash
from rexplug.text.words import split_words_and_marks

_PRIME = np.uint64((1 << 61) - 1)
_ROWS = 1024
"""Shingles that are hashed at a time; this bounds the memory for a document of any length."""
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)?")


def config(options: MinHash, seed: int) -> Any:
    """The options as a configuration of datatrove."""
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.hashing import HashConfig

    return MinhashConfig(
        n_grams=options.words, num_buckets=options.buckets, hashes_per_bucket=options.hashes,
        hash_config=HashConfig(precision=64), seed=seed % 2**31,
    )  # fmt: skip


class SignatureWriter:
    """Collects the signatures of a shard's documents; `write` sorts and writes them, one file per bucket."""

    def __init__(self, folder: Path, number: int, options: MinHash, seed: int) -> None:
        from datatrove.pipeline.dedup import MinhashDedupSignature

        from rexplug.corpus.datatrove.word_tokenizer import RegexWordTokenizer

        self.folder, self.number, self.options = folder, number, options
        stage = MinhashDedupSignature(str(folder), config=config(options, seed), language=RegexWordTokenizer())
        self._a, self._b = stage.parameters
        self._signatures: list[NDArray[np.uint64]] = []
        self._rows: list[int] = []
        self._num_documents = 0

    def add(self, text: str) -> None:
        """Compute the signature of the next document; one with fewer words than a shingle has none."""
        hashes = shingles(text, self.options.words)
        if len(hashes):
            self._signatures.append(self._signature(hashes))
            self._rows.append(self._num_documents)
        self._num_documents += 1

    def _signature(self, shingle_hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """`[buckets * hashes]` the smallest value of each hash function over all shingles."""
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
        return lowest

    def write(self) -> None:
        """Write the signatures to `bucket_BBB/NNNNN.minhash.sig`."""
        width = self.options.hashes
        all_ = np.array(self._signatures, np.uint64).reshape(-1, self.options.buckets, width)
        rows = np.array(self._rows, np.uint32)
        kind = np.dtype([("sig", "<u8", (width,)), ("row", "<u4")])
        for bucket in range(self.options.buckets):
            signatures = all_[:, bucket]
            columns: list[NDArray[Any]] = [signatures[:, place] for place in reversed(range(width))]
            order = np.lexsort([rows, *columns])
            records = np.zeros(len(rows), kind)
            records["sig"], records["row"] = signatures[order], rows[order]
            path = self.folder / f"bucket_{bucket:03d}" / f"{self.number:05d}.minhash.sig"
            with replacing(path) as temporary:
                temporary.write_bytes(records.tobytes())


def shingles(text: str, words: int) -> NDArray[np.uint64]:
    """The distinct hashes of all runs of `words` words of the simplified text."""
    import xxhash

    parts = split_words_and_marks(simplified(text))
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


def simplified(text: str) -> str:
    """datatrove's `simplify_text`: lower case, numbers as 0, no punctuation, no diacritics, single blanks."""
    lower = text.lower()
    if lower.isascii():
        return " ".join(_NUMBER.sub("0", lower).translate(_ascii()).split())
    from datatrove.utils.text import NUMBERS_PATTERN

    plain = _punctuation().sub(" ", NUMBERS_PATTERN.sub("0", lower)).strip()
    if not plain.isascii():
        plain = _BEYOND_ASCII.sub(_without_marks, unicodedata.normalize("NFD", plain))
    return plain.strip()


@cache
def _ascii() -> dict[int, str]:
    from datatrove.utils.text import PUNCTUATION

    return {ord(sign): " " for sign in PUNCTUATION if sign.isascii()}


@cache
def _punctuation() -> re.Pattern[str]:
    from datatrove.utils.text import PUNCTUATION

    return re.compile(f"[{re.escape(PUNCTUATION)}\\s]+")


def _without_marks(match: re.Match[str]) -> str:
    return "".join(sign for sign in match.group() if unicodedata.category(sign) != "Mn")
