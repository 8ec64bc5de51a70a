"""The files of languages: complete, valid for the filters that read them, and a clear error for a language without a file."""

import re

import pytest

from rexplug.components import CorpusFilter
from rexplug.errors import DataError
from rexplug.plugins.discovery import load_plugins
from rexplug.text import languages
from rexplug.text.languages import known_languages, language_settings
from rexplug.text.words import split_words_and_marks

KNOWN = "ar bn cs da de en es fa fr he hi id it ja ko nl pl pt ru sv th tr uk vi zh"


def test_the_languages():
    assert " ".join(known_languages()) == KNOWN


@pytest.mark.parametrize("code", KNOWN.split())
def test_a_language_is_complete_and_its_options_are_those_of_the_filters(code):
    settings = language_settings(code)
    assert settings.name[0].isupper()
    filters = [] if code == "en" else ["quality.gopher", "quality.repetition", "quality.fineweb"]
    assert list(settings.options) == filters
    registry = load_plugins()
    for name, options in settings.options.items():
        component = registry.find(CorpusFilter, name).model_validate({"language": code})
        assert {key: getattr(component, key) for key in options} == {
            key: tuple(value) if key == "stop_words" else value for key, value in options.items()
        }
    for phrase in (*settings.boilerplate.lines, *settings.boilerplate.within):
        assert not re.compile(phrase, re.IGNORECASE).fullmatch("")
    assert len(settings.boilerplate.lines) >= 30
    assert len(set(settings.boilerplate.lines)) == len(settings.boilerplate.lines)


@pytest.mark.parametrize("code", sorted(set(KNOWN.split()) - {"en"}))
def test_stop_words_are_words(code):
    stop_words = language_settings(code).options["quality.gopher"]["stop_words"]
    assert [split_words_and_marks(word) for word in stop_words] == [[word] for word in stop_words]


def test_a_language_without_a_file():
    with pytest.raises(DataError) as caught:
        language_settings("jp")
    assert str(caught.value) == f"there are no settings for the language 'jp'; there are for {', '.join(KNOWN.split())}"


def test_a_file_with_an_unknown_key(tmp_path, monkeypatch):
    (tmp_path / "xx.yaml").write_text("name: Test\nstopwords: [a]\nboilerplate: {lines: [menu]}\n")
    (tmp_path / "xy.yaml").write_text("name: Test\nboilerplate: {lines: [menu, no]}\n")
    monkeypatch.setattr(languages, "_FOLDER", tmp_path)
    with pytest.raises(DataError, match=r"xx.yaml: stopwords: Extra inputs are not permitted$"):
        language_settings("xx")
    with pytest.raises(DataError, match=r"xy.yaml: boilerplate.lines.1: Input should be a valid string$"):
        language_settings("xy")
