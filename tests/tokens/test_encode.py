"""Tokens, offsets and word starts are right for every kind of tokenizer, on any text."""

import json
import os
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from gemma_tokenizer import gemma_tokenizer
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from rexplug import Document
from rexplug.text.characters import UNSPACED_CHARACTER
from rexplug.text.words import split_words
from rexplug.tokens.encode import Encoder

DATA = Path(os.environ.get("REXPLUG_DATA", Path(__file__).parents[2] / "../shared/data"))
LAYOUT = DATA / "tokenizer/modernbert-layout"
CORPUS = [
    "Waterproof jacket, size XL; 500 ml - naïve Größe 東京 🙂 it's  double\n\nline_end NRD-404",
    "The old river runs through the town; a minister spoke at length, nobody heard.",
    "Brand: Norvale. Free shipping on boots, 12-pack (0.5 L)!",
]
ALPHABET = sorted(set("".join(CORPUS)))
WORDS = re.compile(r"\w+|[^\w\s]")


def byte_level(**options):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, **options)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    return tokenizer, trainer


def composed():
    tokenizer, trainer = byte_level()
    tokenizer.normalizer = normalizers.NFC()
    return tokenizer, trainer


def word_piece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer, trainers.WordPieceTrainer(vocab_size=300, show_progress=False, special_tokens=["[UNK]"])


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation("isolated")]
    )
    trainer = trainers.UnigramTrainer(
        vocab_size=200, show_progress=False, special_tokens=["<unk>"], unk_token="<unk>", initial_alphabet=ALPHABET
    )
    return tokenizer, trainer


KINDS = {"byte-level": byte_level, "composed": composed, "WordPiece": word_piece, "Unigram": unigram, "Gemma": None}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    found = {}
    for name, make in KINDS.items():
        if make is None:  # trained on the first text only, so that many characters fall back to bytes
            tokenizer = gemma_tokenizer(CORPUS[:1] * 4, 380)
        else:
            tokenizer, trainer = make()
            tokenizer.train_from_iterator(CORPUS * 4, trainer)
        folder = tmp_path_factory.mktemp("tokenizer")
        tokenizer.save(str(folder / "tokenizer.json"))
        found[name] = Encoder.load(folder)
    return found


def words_of(text):
    """Words, and other characters one by one."""
    return [word for part in WORDS.findall(text) for word in split_words(part) or [part]]


def joined(document):
    """The text between one word start and the next, without the white space before it."""
    places = [*np.flatnonzero(document.word_starts), len(document.token_ids)]
    begins = [int(document.offsets[first:last, 0].min()) for first, last in pairwise(places)]
    ends = [int(document.offsets[first:last, 1].max()) for first, last in pairwise(places)]
    return [word for begin, end in zip(begins, ends, strict=True) if (word := document.text[begin:end].strip())]


texts = st.text(st.sampled_from(ALPHABET), max_size=60) | st.lists(st.sampled_from(CORPUS), max_size=3).map(" ".join)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(text=texts)
def test_joining_tokens_between_word_starts_gives_the_words(encoders, kind, text):
    (document,) = encoders[kind].encode([Document("1", text)])
    # A token may hold several words, such as ")!" or one for all that is unknown: the words cannot be separated.
    assume(all(len(words_of(text[a:b])) <= 1 for a, b in document.offsets))
    assume(not any(UNSPACED_CHARACTER.search(text[a:b]) and b - a > 1 for a, b in document.offsets))
    assert joined(document) == words_of(text)


anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.mark.parametrize("kind", ["byte-level", "composed"])
@settings(max_examples=300, deadline=None)
@given(text=anything | st.text(st.sampled_from("e\u0301a\u0300한ᄒ\u1161 \u0958\u00a0é🙂"), max_size=12))
def test_offsets_from_bytes_are_those_of_the_library(encoders, kind, text):
    encoder = encoders[kind]
    (document,) = encoder.encode([Document("1", text)])
    expected = encoder.fast.encode(text, add_special_tokens=False)
    assert document.token_ids.tolist() == expected.ids
    assert document.offsets.tolist() == [list(pair) for pair in expected.offsets]
    assert document.word_starts.shape == document.token_ids.shape


def test_which_tokenizers_are_read_as_bytes(encoders):
    assert [encoders[kind].num_bytes is not None for kind in KINDS] == [True, True, False, False, False]


def test_a_blank_before_the_text_or_a_changed_text_takes_the_library_s_offsets(tmp_path):
    tokenizer, trainer = byte_level()
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    definition = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    for change in (
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": definition["pre_tokenizer"] | {"add_prefix_space": True}},
    ):
        (tmp_path / "tokenizer.json").write_text(json.dumps(definition | change), encoding="utf-8")
        encoder = Encoder.load(tmp_path)
        assert encoder.num_bytes is None
        (document,) = encoder.encode([Document("1", "Größe XL")])
        assert joined(document) == ["Größe", "XL"]


@pytest.mark.skipif(not LAYOUT.is_dir(), reason=f"no {LAYOUT} (set REXPLUG_DATA)")
def test_the_modernbert_layout_on_real_text_and_text_with_its_special_tokens():
    encoder = Encoder.load(LAYOUT)
    assert encoder.num_bytes is not None
    # [MASK] swallows the blank before it: the bytes do not add up, and the library is asked.
    lines = [*CORPUS, "one [MASK] two", "[CLS] text    with        blanks\t\t\n\n\n   |||IP_ADDRESS||| <|padding|>"]
    for document in encoder.encode([Document(str(i), text) for i, text in enumerate(lines)]):
        expected = encoder.fast.encode(document.text, add_special_tokens=False)
        assert document.token_ids.tolist() == expected.ids
        assert document.offsets.tolist() == [list(pair) for pair in expected.offsets]
