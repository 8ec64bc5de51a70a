"""Writes the keys that duplicates are found by, while a shard is filtered: hashes of text and URL, MinHash buckets."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from rexplug.components import Document
from rexplug.corpus.deduplicate.key_files import KEY, Keys, places, write_keys
from rexplug.recipe.schema import Curation
from rexplug.text.fold import fold

TEXT, URL, FIRST_BUCKET = 0, 1, 2
"""Columns of a file of keys."""

_TRACKING = re.compile(r"^(?:utm_\w+|gclid|fbclid|msclkid|mc_cid|mc_eid|ref_src)=", re.IGNORECASE)
_NONE = bytes(16)


def num_columns(curation: Curation) -> int:
    """Columns of the files of keys."""
    return FIRST_BUCKET + (curation.minhash.buckets if curation.deduplicate == "minhash" else 0)


class KeyWriter:
    """Collects the keys of a shard's documents and writes them when the block ends without error.

    Args:
        path: the file to write.
        curation: what counts as a duplicate.
        number: of the shard among all that are compared.
        seed: of the MinHash functions.
    """

    def __init__(self, path: Path, curation: Curation, number: int, seed: int) -> None:
        self.path = path
        self.curation = curation
        self.number = number
        self._keys: list[tuple[bytes, bytes, int]] = []
        self._signatures: Any = None
        if curation.deduplicate == "minhash":
            from rexplug.corpus.deduplicate.minhash import Signatures

            self._signatures = Signatures(curation.minhash, seed)

    def __enter__(self) -> Self:
        return self

    def add(self, document: Document) -> None:
        """Compute the keys of the next document."""
        text = url = _NONE
        if self.curation.deduplicate != "none":
            text = _digest(" ".join(fold(document.text).split()))
        if self.curation.deduplicate_urls and document.url:
            url = _digest(normalized_url(document.url))
        self._keys.append((text, url, min(len(document.text), 2**32 - 1)))
        if self._signatures is not None:
            self._signatures.add(document.text)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            return
        texts, urls, lengths = zip(*self._keys, strict=True) if self._keys else ((), (), ())
        here = places(self.number, np.arange(len(self._keys)))
        length = np.array(lengths, np.uint32)
        columns = []
        for digests in (texts, urls):
            hashes = np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2)
            given = hashes.any(axis=1)
            columns.append(_keys(hashes[given], here[given], length[given]))
        if self._signatures is not None:
            rows, buckets = self._signatures.keys()
            columns += [_keys(buckets[:, bucket], here[rows], length[rows]) for bucket in range(buckets.shape[1])]
        write_keys(self.path, columns)


def _keys(hashes: NDArray[np.uint64], where: NDArray[np.uint64], lengths: NDArray[np.uint32]) -> Keys:
    keys = np.zeros(len(hashes), KEY)
    keys["high"], keys["low"], keys["place"], keys["length"] = hashes[:, 0], hashes[:, 1], where, lengths
    return keys


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def normalized_url(url: str) -> str:
    """A URL without scheme, www, fragment, tracking parameters and final slash."""
    try:
        split = urlsplit(url if "//" in url else f"//{url}")
    except ValueError:
        return url
    query = "&".join(part for part in split.query.split("&") if part and not _TRACKING.match(part))
    host = split.netloc.lower().removeprefix("www.")
    return f"{host}{split.path.rstrip('/')}{f'?{query}' if query else ''}"
