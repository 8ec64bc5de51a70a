"""The base class of filters whose defaults depend on the language of the text."""

from __future__ import annotations

from abc import ABC
from typing import Annotated, Any

from pydantic import AfterValidator, model_validator
from pydantic_core import PydanticCustomError

from rexplug.components import CorpusFilter
from rexplug.errors import DataError
from rexplug.text.languages import known_languages, language_settings


def _known(code: str) -> str:
    try:
        language_settings(code)
    except DataError as error:
        raise PydanticCustomError("language", "{message}", {"message": str(error)}) from None
    return code


LanguageCode = Annotated[str, AfterValidator(_known)]
"""A language that `rexplug.text.languages` has settings for."""


class ByLanguage(CorpusFilter, ABC):
    """A filter whose options that are not written take their values from the settings of a language.

    The values are filled in when the filter is made, so that its recipe entry and fingerprint hold them.
    """

    language: LanguageCode = "en"
    """Language of the texts, ISO 639-1; an option that is not written has the value measured for it by FineWeb-2."""

    @model_validator(mode="before")
    @classmethod
    def _of_language(cls, options: Any) -> Any:
        if not isinstance(options, dict) or options.get("language", "en") not in known_languages():
            return options
        of_language = language_settings(options.get("language", "en")).options
        return {**of_language.get(cls.name, {}), **options}
