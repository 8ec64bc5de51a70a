"""Tokenizes documents with offsets and word starts, at the speed of the tokenizer library.

The library takes at least a tenth longer if it is asked for offsets: it builds a tuple per token. The tokens of a
byte-level BPE are the bytes of the text one after the other, so that offsets follow from the length of each token, and
the library's faster call without offsets is used. For other tokenizers and texts the library's own offsets are used.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rexplug.components import TokenizedDocument
from rexplug.io.tokenizer_files import open_tokenizer, read_definition
from rexplug.text.words import word_starts


class HasText(Protocol):
    """What is tokenized: a document of rexplug or of datatrove."""

    @property
    def id(self) -> str:
        """The document's id."""
        ...

    @property
    def text(self) -> str:
        """The document's text."""
        ...


@dataclass(frozen=True)
class Encoder:
    """A tokenizer as it is used here: without special tokens, with offsets and word starts."""

    fast: Any
    """The tokenizer as the library `tokenizers` loads it, a `tokenizers.Tokenizer`."""
    num_bytes: NDArray[np.int64] | None
    """`[vocabulary]`, bytes of text that each token stands for; None where tokens are not bytes of the text."""
    composes: bool
    """Whether the tokenizer normalizes text to NFC first."""

    @classmethod
    def load(cls, folder: Path) -> Encoder:
        """The tokenizer of a folder."""
        fast, definition = open_tokenizer(folder), read_definition(folder)
        normalizer = (definition.get("normalizer") or {}).get("type")
        return cls(fast, _bytes_of_tokens(definition), normalizer == "NFC")

    def encode(self, documents: Sequence[HasText]) -> Iterator[TokenizedDocument]:
        """Tokenize documents together; yields them in order."""
        texts = [document.text for document in documents]
        if self.num_bytes is None:
            encodings = self.fast.encode_batch(texts, add_special_tokens=False)
        else:
            encodings = self.fast.encode_batch_fast(texts, add_special_tokens=False)
        ids = [np.array(encoding.ids, np.uint32) for encoding in encodings]
        byte_lengths = self._byte_lengths(texts, ids)
        from_bytes = iter(_from_bytes([texts[i] for i in byte_lengths], list(byte_lengths.values())))
        for number, (document, encoding) in enumerate(zip(documents, encodings, strict=True)):
            if number in byte_lengths:
                offsets, starts = next(from_bytes)
            else:
                if self.num_bytes is not None:  # `encode_batch_fast` gave no offsets
                    encoding = self.fast.encode(document.text, add_special_tokens=False)
                flat = np.fromiter(chain.from_iterable(encoding.offsets), np.uint32, 2 * len(ids[number]))
                offsets = flat.reshape(-1, 2)
                starts = word_starts(document.text, offsets)
            yield TokenizedDocument(document.id, document.text, ids[number], offsets, starts)

    def _byte_lengths(self, texts: Sequence[str], ids: Sequence[NDArray[np.uint32]]) -> dict[int, NDArray[np.int64]]:
        """For the documents whose tokens are the bytes of their text: number of the document -> bytes of each token."""
        byte_lengths = {}
        if self.num_bytes is not None:
            for number, (text, tokens) in enumerate(zip(texts, ids, strict=True)):
                lengths = self.num_bytes[tokens]
                ascii_ = text.isascii()
                size = len(text) if ascii_ else len(text.encode())
                # Tokens that strip white space around them, or drop what they do not know, leave bytes out.
                covers_text = int(lengths.sum()) == size
                if covers_text and (ascii_ or not self.composes or unicodedata.is_normalized("NFC", text)):
                    byte_lengths[number] = lengths
        return byte_lengths


def _from_bytes(
    texts: Sequence[str], byte_lengths: Sequence[NDArray[np.int64]]
) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.bool_]]]:
    """Offsets in characters `[num_tokens, 2]` and word starts `[num_tokens]` of each document.

    All documents are computed together, as lines of one text: most are short, and every numpy call has a fixed cost.
    """
    if not texts:
        return
    text = "\n".join(texts)
    counts = np.array([len(lengths) for lengths in byte_lengths])
    lines = np.repeat(np.arange(len(texts)), counts)
    lengths = np.concatenate(byte_lengths)
    ends = np.cumsum(lengths) + lines
    starts = ends - lengths
    if not text.isascii():
        # A token that holds some bytes of a character covers the whole character.
        first_bytes = (np.frombuffer(text.encode(), np.uint8) & 0xC0) != 0x80
        character = np.cumsum(first_bytes) - 1
        starts, ends = character[starts], character[ends - 1] + 1
    offsets = np.stack([starts, ends], 1)
    begins = word_starts(text, offsets)
    sizes = np.array([len(text) + 1 for text in texts])
    local = (offsets - np.repeat(np.cumsum(sizes) - sizes, counts)[:, None]).astype(np.uint32)
    ends_of_documents = np.cumsum(counts)
    for first, last in zip((ends_of_documents - counts).tolist(), ends_of_documents.tolist(), strict=True):
        yield local[first:last], begins[first:last]


def _bytes_of_tokens(definition: dict[str, Any]) -> NDArray[np.int64] | None:
    """Bytes that each id of a byte-level BPE stands for, `[vocabulary]`; None for other tokenizers."""
    model, normalizer = definition["model"], (definition.get("normalizer") or {}).get("type")
    steps = definition.get("pre_tokenizer") or {}
    parts = steps.get("pretokenizers", [steps])
    levels = [part for part in parts if part.get("type") == "ByteLevel"]
    if model.get("type") != "BPE" or normalizer not in (None, "NFC") or len(levels) != 1 or model.get("byte_fallback"):
        return None
    # Vocabularies of byte-level BPE write each byte as one character. A blank put before the text is not part of it.
    if levels[0].get("add_prefix_space", True) or any(part.get("type") in ("Metaspace", "Prepend") for part in parts):
        return None
    added = {token["id"]: len(token["content"].encode()) for token in definition["added_tokens"]}
    lengths = {number: len(piece) for piece, number in model["vocab"].items()} | added
    table = np.zeros(max(lengths) + 1, np.int64)
    table[list(lengths)] = list(lengths.values())
    return table
