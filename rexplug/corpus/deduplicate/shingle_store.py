"""The shingles of the candidates of some shards in one file, so that any two documents are compared without reading their texts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from rexplug.corpus.deduplicate.minhash import shingles
from rexplug.corpus.deduplicate.normalize import numbers_in, simplified
from rexplug.corpus.deduplicate.pairs import shard_bounds
from rexplug.io.atomic import replacing
from rexplug.io.tabular import open_parquet, parquet_chunks
from rexplug.recipe.schema import MinHash
from rexplug.text.words import split_words_and_marks

Hashes = NDArray[np.uint64]
_OPEN = 64
"""Files that are open at a time."""
_SHORT = 16
"""Different words of a text that is as long as a title."""


def write_shingles(documents: Sequence[Path], first: int, places: Hashes, options: MinHash, target: Path) -> None:
    """Write the shingles of some documents, and the words that tell them apart.

    Args:
        documents: Parquet files with the column `text`, of shards with consecutive numbers.
        first: number of the first of them.
        places: of the documents, ascending.
        options: how texts are normalised and divided.
        target: all hashes one after the other, then the places, the ends of each document's shingles and words, and the count.
    """
    ends: list[int] = [0]
    with replacing(target) as temporary, temporary.open("wb") as out:
        for text in _texts(documents, first, places):
            plain = simplified(text, options.numbers)
            for hashes in (shingles(plain, options.words), _hashed(_marks(plain, options))):
                out.write(hashes.tobytes())
                ends.append(ends[-1] + len(hashes))
        for values in (places, ends, [len(places)]):
            out.write(np.array(values, np.uint64).tobytes())


def _marks(plain: str, options: MinHash) -> set[str]:
    """The words that distinguish documents.

    A short text without an article number has one more, all its words together: in a title of ten words one more word is
    another product (`white` and `white black`), unless both have the same number.
    """
    if options.differ == "words":
        words = set(split_words_and_marks(plain)).difference(options.ignored)
        if len(words) < _SHORT and not any(map(_is_article_number, words)):
            words.add(" ".join(sorted(words)))
        return words
    return numbers_in(plain) if options.differ == "numbers" else set()


def _is_article_number(word: str) -> bool:
    """Whether a word identifies a product: letters and digits (`gn4113`), or five digits in a row. Units are separate words."""
    digits = sum(map(str.isdigit, word))
    return digits >= 5 or (digits > 0 and len(word) >= 4 and any(map(str.isalpha, word)))


def _hashed(words: set[str]) -> Hashes:
    return np.sort(np.array([xxhash.xxh64_intdigest(word) for word in words], np.uint64))


def _texts(documents: Sequence[Path], first: int, places: Hashes) -> Iterator[str]:
    """The texts at some places; files without any are not read."""
    for number, path in enumerate(documents, first):
        low, high = shard_bounds(places, number, number + 1)
        rows = (places[low:high] & np.uint64(2**32 - 1)).astype(np.int64)
        if len(rows):
            with open_parquet(path) as reader:
                for texts in parquet_chunks(reader, "text", rows):
                    yield from texts.to_pylist()


class _File:
    """The hashes of the candidates of some shards, mapped into memory."""

    def __init__(self, path: Path) -> None:
        self._values = np.memmap(path, "<u8", "r")
        count = int(self._values[-1])
        self._places = np.asarray(self._values[-3 * count - 2 : -2 * count - 2])
        self._ends = np.asarray(self._values[-2 * count - 2 : -1])

    def get(self, place: int) -> tuple[Hashes, Hashes]:
        at = 2 * int(np.searchsorted(self._places, np.uint64(place)))
        start, middle, end = self._ends[at : at + 3].tolist()
        return np.array(self._values[start:middle]), np.array(self._values[middle:end])


class ShingleStore:
    """Reads what `write_shingles` wrote, of a folder with a file for each `size` shards; few files are open at a time."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size
        self._open: OrderedDict[int, _File] = OrderedDict()

    def get(self, place: int) -> tuple[Hashes, Hashes]:
        """The sorted hashes of the shingles, and of the words that tell documents apart, of the document at a place."""
        first = (place >> 32) // self.size * self.size
        if first not in self._open:
            if len(self._open) >= _OPEN:
                self._open.popitem(last=False)
            self._open[first] = _File(shingle_file(self.folder, first))
        self._open.move_to_end(first)
        return self._open[first].get(place)


def shingle_file(folder: Path, first: int) -> Path:
    """The file of the shards from number `first` on."""
    return folder / f"{first:05d}.shingles"


def similarity(a: Hashes, b: Hashes) -> float:
    """Jaccard similarity of two sorted arrays of distinct values: common values as a share of all."""
    if len(a) > len(b):
        a, b = b, a
    if not len(a):
        return 0.0
    common = count_common(a, b)
    return common / (len(a) + len(b) - common)


def count_common(a: Hashes, b: Hashes) -> int:
    """How many values of `a` occur in `b`; both sorted and distinct."""
    if not len(a) or not len(b):
        return 0
    at = np.minimum(np.searchsorted(b, a), len(b) - 1)
    return int(np.count_nonzero(b[at] == a))


def each_has_others(a: Hashes, b: Hashes) -> bool:
    """Whether each of two sets has a value that the other lacks; both sorted and distinct."""
    common = count_common(a, b)
    return common < len(a) and common < len(b)
