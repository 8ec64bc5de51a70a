"""Made-up data that components are tried on: texts, documents, tokenized documents and a tiny encoder."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from rexplug.components import Document, TokenizedDocument
from rexplug.contracts.samples import domain_documents, general_documents

TEXTS = (
    "The committee met on 12 March 2024 and read the report. It found three errors, and asked for a new draft by Friday.",
    "Section 4.2 says who may vote: every member who has paid the fee of $25.00 in time. Nobody objected. " * 40,
    "x",
    "",
    " \n\t ",
    "Größe: 42 cm × 1,5 m – «Straße» für 1.234,50 €.\r\nZweite Zeile.",
    "東京で新しい法律が施行された。委員会は三つの誤りを見つけた。",
    "صدر القانون الجديد في ١٢ مارس. وجدت اللجنة ثلاثة أخطاء.",
    "👩‍👩‍👧‍👦 emoji 🎉 and a\u0301 combining mark, a nul \x00 and a \u2028 line separator",
    "<p>markup &amp; <b>entities</b></p> {braces} \\backslashes\\ %s %d",
    "word" * 2000,
)
"""Texts as in real corpora: ordinary, long, empty, of several scripts, with unusual characters."""
_LONGEST_INPUT = 512
"""Tokens that the tiny encoder takes at once."""


def unusual_documents() -> list[Document]:
    """A document for each of `TEXTS`."""
    return [Document(str(number), text) for number, text in enumerate(TEXTS)]


def plain_documents(count: int) -> dict[str, list[Document]]:
    """Source -> its first `count` documents of ordinary English: `general`, and `domain` about permits of a town."""
    return {
        name: [Document(record["id"], record["text"]) for record in records]
        for name, records in (("general", general_documents(count)), ("domain", domain_documents(count=count)))
    }


@cache
def tokenizers() -> tuple[Callable[[Document], TokenizedDocument], ...]:
    """Functions that tokenize a document by byte-level BPE, WordPiece and a unigram model; arrays are read-only, as in a run."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    texts = [text for text in TEXTS if text.strip()]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False),
    )
    pieces = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    pieces.normalizer = normalizers.BertNormalizer()
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pieces.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]"], show_progress=False)
    )
    unigram = Tokenizer(models.Unigram())
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.train_from_iterator(
        texts, trainers.UnigramTrainer(vocab_size=200, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    )
    return tuple(_tokenized_by(tokenizer) for tokenizer in (bpe, pieces, unigram))


def _tokenized_by(tokenizer: Any) -> Callable[[Document], TokenizedDocument]:
    def tokenized(document: Document) -> TokenizedDocument:
        encoding = tokenizer.encode(document.text, add_special_tokens=False)
        words = np.array([-1 if word is None else word for word in encoding.word_ids], np.int64)
        ids, offsets = np.array(encoding.ids, np.uint32), np.array(encoding.offsets, np.uint32).reshape(-1, 2)
        starts = np.diff(words, prepend=-2) != 0
        for array in (ids, offsets, starts):
            array.flags.writeable = False
        return TokenizedDocument(document.id, document.text, ids, offsets, starts)

    return tokenized


def write_tiny_encoder(folder: Path, *, vocabulary: int = 600, seed: int = 0) -> None:
    """Write a ModernBERT of size nano with random weights, and its tokenizer, as a Hugging Face model.

    Args:
        folder: exists and is empty.
        vocabulary: tokens of its byte-level BPE; with fewer, words have more tokens.
        seed: of the weights.
    """
    from rexplug.io.tokenizer_files import write_portable
    from rexplug.model.build import build_model, save_model
    from rexplug.recipe.schema import Model
    from rexplug.tokens.special import SpecialTokens
    from rexplug.tokens.tokenizer import train_bpe

    texts = [document.text for document in chain(*plain_documents(60).values())]
    train_bpe([*texts, *TEXTS], vocabulary, folder)
    write_portable(folder, folder, max_length=_LONGEST_INPUT)
    special = SpecialTokens.read(folder)
    save_model(build_model(Model(size="nano"), special, context=_LONGEST_INPUT, seed=seed), folder)
