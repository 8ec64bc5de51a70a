"""Documents to tokens with offsets and word starts, at the speed of the tokenizer library.

Asking the library for offsets costs a tenth of the time and more: it builds a tuple per token. For byte-level BPE,
whose tokens are the very bytes of the text one after the other, offsets follow from the length of each token, so the
library's faster call without offsets is used. Wherever that does not hold, the library's own offsets are.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.components import Document, TokenizedDocument
from rexplug.tokens.words import word_starts


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
        from tokenizers import Tokenizer

        text = (folder / "tokenizer.json").read_text(encoding="utf-8")
        fast = Tokenizer.from_str(text)
        fast.no_truncation()
        fast.no_padding()
        definition = json.loads(text)
        normalizer = (definition["normalizer"] or {}).get("type")
        return cls(fast, _bytes_of_tokens(definition), normalizer == "NFC")

    def encode(self, documents: Sequence[Document]) -> Iterator[TokenizedDocument]:
        """Tokenize documents, in order."""
        texts = [document.text for document in documents]
        if self.num_bytes is None:
            encodings = self.fast.encode_batch(texts, add_special_tokens=False)
        else:
            encodings = self.fast.encode_batch_fast(texts, add_special_tokens=False)
        for document, encoding in zip(documents, encodings, strict=True):
            ids = np.array(encoding.ids, np.uint32)
            offsets = self._from_bytes(document.text, ids)
            if offsets is None:
                if self.num_bytes is not None:  # the encoding at hand has none
                    encoding = self.fast.encode(document.text, add_special_tokens=False)
                offsets = np.fromiter(chain.from_iterable(encoding.offsets), np.uint32, 2 * len(ids)).reshape(-1, 2)
            yield TokenizedDocument(document.id, document.text, ids, offsets, word_starts(document.text, offsets))

    def _from_bytes(self, text: str, ids: NDArray[np.uint32]) -> NDArray[np.uint32] | None:
        """Offsets in characters, `[num_tokens, 2]`; None where the tokens are not the bytes of the text."""
        if self.num_bytes is None or (self.composed and not unicodedata.is_normalized("NFC", text)):
            return None
        lengths = self.num_bytes[ids]
        ends = np.cumsum(lengths)
        raw = text.encode()
        # Tokens that strip white space around them, or drop what they do not know, leave bytes out.
        if (int(ends[-1]) if len(ends) else 0) != len(raw):
            return None
        starts = ends - lengths
        if len(raw) == len(text):
            return np.stack([starts, ends], 1).astype(np.uint32)
        # Every byte of a character belongs to it: a token that holds a part of one covers all of it.
        heads = (np.frombuffer(raw, np.uint8) & 0xC0) != 0x80
        character = np.cumsum(heads) - 1
        return np.stack([character[starts], character[ends - 1] + 1], 1).astype(np.uint32)


def _bytes_of_tokens(definition: dict[str, Any]) -> NDArray[np.int64] | None:
    """Bytes that each id of a byte-level BPE stands for; None for other tokenizers."""
    model, normalizer = definition["model"], (definition["normalizer"] or {}).get("type")
    steps = definition["pre_tokenizer"] or {}
    parts = steps.get("pretokenizers", [steps])
    levels = [part for part in parts if part.get("type") == "ByteLevel"]
    if model["type"] != "BPE" or normalizer not in (None, "NFC") or len(levels) != 1 or model.get("byte_fallback"):
        return None
    # Each byte is written as one character; a blank that is put before the text has no place in it.
    if levels[0]["add_prefix_space"] or any(part.get("type") in ("Metaspace", "Prepend") for part in parts):
        return None
    added = {token["id"]: len(token["content"].encode()) for token in definition["added_tokens"]}
    lengths = {number: len(piece) for piece, number in model["vocab"].items()} | added
    table = np.zeros(max(lengths) + 1, np.int64)
    table[list(lengths)] = list(lengths.values())
    return table
