import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from rexplug.text.words import word_starts

TEXTS = ["Waterproof jacket, size XL; 500 ml — naïve Größe 東京 🙂 it's  double\n\nline_end NRD-404", "  leading", ""]


def starts(text, tokens):
    """The tokens that begin a word; `tokens` are the pieces that the text is made of."""
    ends = np.cumsum([len(token) for token in tokens])
    offsets = np.stack([ends - [len(token) for token in tokens], ends], 1).astype(np.uint32)
    found = word_starts(text, offsets)
    return [token for token, begins in zip(tokens, found, strict=True) if begins]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["Water", "proof", " jack", "et", ",", " X", "L"], ["Water", " jack", ",", " X"]),
        ([" lead", "ing"], [" lead"]),
        (["NR", "D", "-", "4", "0", "4"], ["NR", "-", "4"]),
        (["it", "'", "s"], ["it", "'", "s"]),
        (["5", "0", "0", " ml"], ["5", " ml"]),
        (["!", "!", "?"], ["!", "!", "?"]),
        (["a_", "b", "\n", "c"], ["a_", "\n", "c"]),
    ],
)
def test_word_starts_follow_the_characters(tokens, expected):
    assert starts("".join(tokens), tokens) == expected


def test_a_character_that_is_cut_into_bytes_begins_one_word():
    assert word_starts("a 🙂", np.array([[0, 1], [1, 3], [2, 3], [2, 3]], np.uint32)).tolist() == [
        True,
        True,
        False,
        False,
    ]


def test_no_tokens_no_words():
    assert word_starts("", np.zeros((0, 2), np.uint32)).shape == (0,)


@pytest.mark.parametrize("vocabulary", [260, 320, 400])
def test_byte_level_tokens_begin_as_many_words_as_there_are_whatever_the_vocabulary(vocabulary):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    text = "Waterproof jacket, size XL 500 ml Größe 🙂 NRD-404"
    offsets = np.array(tokenizer.encode(text).offsets, np.uint32)
    found = word_starts(text, offsets)
    words = ["Waterproof", "jacket", ",", "size", "XL", "500", "ml", "Größe", "🙂", "NRD", "-", "404"]
    solid = [text[a:b].strip() != "" for a, b in offsets]
    assert int((found & solid).sum()) == len(words)
