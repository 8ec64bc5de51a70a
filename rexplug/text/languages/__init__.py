"""Settings of quality filters for each language: a YAML file for each, named by its code of ISO 639-1.

A file has the name of the language, under `options` the defaults of filters for it (filter -> option -> value), and under
`boilerplate` regular expressions for lines of navigation, consent and copyright: `lines` for phrases that are a whole line,
`within` for phrases anywhere in a short line; case is ignored. The defaults for English are those of the filters themselves.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rexplug.errors import DataError, one_line

_FOLDER = Path(__file__).parent


class BoilerplatePhrases(BaseModel):
    """Regular expressions for boilerplate lines of a language."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    lines: list[str]
    """Phrases that are boilerplate where they are a whole line, apart from punctuation around them."""
    within: list[str] = Field(default=[])
    """Phrases that make a short line boilerplate wherever they are in it."""


class Language(BaseModel):
    """The settings of quality filters for a language."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    """The English name of the language."""
    options: dict[str, dict[str, Any]] = Field(default={})
    """Name of a filter -> the defaults of its options for this language, where they differ from those for English."""
    boilerplate: BoilerplatePhrases


def known_languages() -> list[str]:
    """The codes of the languages that have a file."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


@cache
def language_settings(code: str) -> Language:
    """The settings for a language.

    Args:
        code: its code of ISO 639-1, e.g. `de`.

    Raises:
        DataError: there is no file for it, or the file has a key that it should not have.
    """
    if code not in known_languages():
        raise DataError(
            f"there are no settings for the language '{code}'; there are for {', '.join(known_languages())}"
        )
    path = _FOLDER / f"{code}.yaml"
    try:
        return Language.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not valid YAML: {one_line(error)}") from None
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise DataError(f"{path}: {'; '.join(problems)}") from None
