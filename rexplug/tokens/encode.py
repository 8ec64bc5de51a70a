"""Documents to tokens with offsets and word starts, at the speed of the tokenizer library.

Asking the library for offsets costs a tenth of the time and more: it builds a tuple per token. For byte-level BPE,
whose tokens are the very bytes of the text one after the other, offsets follow from the length of each token, so the
library's faster call without offsets is used. Wherever that does not hold, the library's own offsets are.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.components import Document, TokenizedDocument
from rexplug.io.tokenizer_files import open_tokenizer, read_definition
from rexplug.text.words import word_starts


@dataclass(frozen=True)
class Encoder:
    """A fast tokenizer that gives tokens without special tokens.

    `num_bytes` `[vocabulary]` says how many bytes of text each token stands for; None where tokens are not bytes.
    `composed` tells that the tokenizer brings text into NFC first.
    """

    fast: Any
    num_bytes: NDArray[np.int64] | None
    composed: bool

    @classmethod
    def load(cls, folder: Path) -> Encoder:
        """Read the tokenizer of a folder."""
        fast, definition = open_tokenizer(folder), read_definition(folder)
        normalizer = (definition.get("normalizer") or {}).get("type")
        return cls(fast, _bytes_of_tokens(definition), normalizer == "NFC")

    def encode(self, documents: Sequence[Document]) -> Iterator[TokenizedDocument]:
        """Tokenize documents, in order."""
        texts = [document.text for document in documents]
        if self.num_bytes is None:
            encodings = self.fast.encode_batch(texts, add_special_tokens=False)
        else:
            encodings = self.fast.encode_batch_fast(texts, add_special_tokens=False)
        ids = [np.array(encoding.ids, np.uint32) for encoding in encodings]
        as_bytes = self._as_bytes(texts, ids)
        together = iter(_from_bytes([texts[i] for i in as_bytes], [(ids[i], as_bytes[i]) for i in as_bytes]))
        for number, (document, encoding) in enumerate(zip(documents, encodings, strict=True)):
            if number in as_bytes:
                offsets, starts = next(together)
            else:
                if self.num_bytes is not None:  # the encoding at hand has no offsets
                    encoding = self.fast.encode(document.text, add_special_tokens=False)
                flat = np.fromiter(chain.from_iterable(encoding.offsets), np.uint32, 2 * len(ids[number]))
                offsets = flat.reshape(-1, 2)
                starts = word_starts(document.text, offsets)
            yield TokenizedDocument(document.id, document.text, ids[number], offsets, starts)

    def _as_bytes(self, texts: Sequence[str], ids: Sequence[NDArray[np.uint32]]) -> dict[int, NDArray[np.int64]]:
        """Of the documents whose tokens are the bytes of their text: the number -> bytes of each token."""
        found = {}
        if self.num_bytes is not None:
            for number, (text, tokens) in enumerate(zip(texts, ids, strict=True)):
                lengths = self.num_bytes[tokens]
                ascii_ = text.isascii()
                size = len(text) if ascii_ else len(text.encode())
                # Tokens that strip white space around them, or drop what they do not know, leave bytes out.
                whole = int(lengths.sum()) == size
                if whole and (ascii_ or not self.composed or unicodedata.is_normalized("NFC", text)):
                    found[number] = lengths
        return found


def _from_bytes(
    texts: Sequence[str], tokens: Sequence[tuple[NDArray[np.uint32], NDArray[np.int64]]]
) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.bool_]]]:
    """Offsets in characters `[num_tokens, 2]` and word starts `[num_tokens]` of each document.

    All are worked out at once, on the documents as lines of one text: most documents are short, and a call has its price.
    """
    if not texts:
        return
    text = "\n".join(texts)
    counts = np.array([len(ids) for ids, _ in tokens])
    lines = np.repeat(np.arange(len(texts)), counts)
    lengths = np.concatenate([lengths for _, lengths in tokens])
    ends = np.cumsum(lengths) + lines
    starts = ends - lengths
    if not text.isascii():
        # Every byte of a character belongs to it: a token that holds a part of one covers all of it.
        heads = (np.frombuffer(text.encode(), np.uint8) & 0xC0) != 0x80
        character = np.cumsum(heads) - 1
        starts, ends = character[starts], character[ends - 1] + 1
    offsets = np.stack([starts, ends], 1)
    begins = word_starts(text, offsets)
    sizes = np.array([len(each) + 1 for each in texts])
    local = (offsets - np.repeat(np.cumsum(sizes) - sizes, counts)[:, None]).astype(np.uint32)
    after = np.cumsum(counts)
    for first, last in zip((after - counts).tolist(), after.tolist(), strict=True):
        yield local[first:last], begins[first:last]


def _bytes_of_tokens(definition: dict[str, Any]) -> NDArray[np.int64] | None:
    """Bytes that each id of a byte-level BPE stands for; None for other tokenizers."""
    model, normalizer = definition["model"], (definition.get("normalizer") or {}).get("type")
    steps = definition.get("pre_tokenizer") or {}
    parts = steps.get("pretokenizers", [steps])
    levels = [part for part in parts if part.get("type") == "ByteLevel"]
    if model.get("type") != "BPE" or normalizer not in (None, "NFC") or len(levels) != 1 or model.get("byte_fallback"):
        return None
    # Each byte is written as one character; a blank that is put before the text has no place in it.
    if levels[0].get("add_prefix_space", True) or any(part.get("type") in ("Metaspace", "Prepend") for part in parts):
        return None
    added = {token["id"]: len(token["content"].encode()) for token in definition["added_tokens"]}
    lengths = {number: len(piece) for piece, number in model["vocab"].items()} | added
    table = np.zeros(max(lengths) + 1, np.int64)
    table[list(lengths)] = list(lengths.values())
    return table
