"""Sentences end in the terminators of their script."""

import pytest

from rexplug.text.sentences import TERMINATORS, count_sentences, sentence_spans


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It is oak. Is it? Yes!", ["It is oak.", " Is it?", " Yes!"]),
        ("Der Stuhl – aus Eiche – trägt 120 kg. Gut!", ["Der Stuhl – aus Eiche – trägt 120 kg.", " Gut!"]),
        ("木の椅子です。丈夫ですか？はい！", ["木の椅子です。", "丈夫ですか？", "はい！"]),
        ("यह कुर्सी है। क्या वह मेज है? हाँ॥", ["यह कुर्सी है।", " क्या वह मेज है?", " हाँ॥"]),
        ("هذا كرسي. هل هو متين؟ نعم!", ["هذا كرسي.", " هل هو متين؟", " نعم!"]),
        ("Սա աթոռ է։ Լավ է։", ["Սա աթոռ է։", " Լավ է։"]),
        ("ይህ ወንበር ነው። ጥሩ ነው።", ["ይህ ወንበር ነው።", " ጥሩ ነው።"]),
        ("one line\nanother", ["one line", "another"]),
        ("", []),
    ],
)
def test_sentences(text, sentences):
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences
    assert count_sentences(text) == len(sentences)


def test_terminators_are_those_of_datatrove():
    from datatrove.utils.text import TERMINAL_PUNCTUATION

    assert TERMINATORS == TERMINAL_PUNCTUATION
    # Each is found in running text, in any Unicode block.
    assert [count_sentences(f"a{end} b") for end in sorted(TERMINATORS)] == [2] * len(TERMINATORS)
