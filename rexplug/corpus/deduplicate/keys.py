"""Writes the keys that duplicates are found by, while a shard is filtered: hashes of text and URL, MinHash signatures."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np

from rexplug.components import Document
from rexplug.io.atomic import replacing
from rexplug.recipe.schema import Curation

KEYS = np.dtype([("text", "<u8", 2), ("url", "<u8", 2), ("length", "<u4")])
"""One row per document: 128-bit hashes of text and URL (0 where there is none), length in characters."""

_TRACKING = re.compile(r"^(?:utm_\w+|gclid|fbclid|msclkid|mc_cid|mc_eid|ref_src)=", re.IGNORECASE)


class KeyWriter:
    """Collects the keys of a shard's documents and writes them when the block ends without error."""

    def __init__(self, path: Path, curation: Curation, signatures: Path, number: int, seed: int) -> None:
        self.path = path
        self.curation = curation
        self._keys: list[tuple[bytes, bytes, int]] = []
        self._signatures: Any = None
        if curation.deduplicate == "minhash":
            from rexplug.corpus.deduplicate.minhash import SignatureWriter

            self._signatures = SignatureWriter(signatures, number, curation.minhash, seed)

    def __enter__(self) -> Self:
        return self

    def add(self, document: Document) -> None:
        """Compute the keys of the next document."""
        text = url = bytes(16)
        if self.curation.deduplicate != "none":
            text = _digest(" ".join(document.text.lower().split()))
        if self.curation.deduplicate_urls and document.url:
            url = _digest(normalized_url(document.url))
        self._keys.append((text, url, min(len(document.text), 2**32 - 1)))
        if self._signatures is not None:
            self._signatures.add(document.text)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            return
        keys = np.zeros(len(self._keys), KEYS)
        if self._keys:
            texts, urls, lengths = zip(*self._keys, strict=True)
            keys["text"] = np.frombuffer(b"".join(texts), "<u8").reshape(-1, 2)
            keys["url"] = np.frombuffer(b"".join(urls), "<u8").reshape(-1, 2)
            keys["length"] = lengths
        with replacing(self.path) as temporary:
            np.save(temporary, keys)
        if self._signatures is not None:
            self._signatures.write()


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
