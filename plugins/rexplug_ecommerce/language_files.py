"""Reads the phrases that shops of a language use: a file for each language, in `languages/` or of the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from rexplug import DataError, fold

_FOLDER = Path(__file__).parent / "languages"
CODES = tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))
"""The languages that have a file, by their ISO 639-1 codes."""


def _known(codes: tuple[str, ...]) -> tuple[str, ...]:
    for code in codes:
        if code not in CODES:
            raise ValueError(
                f"there is no file of phrases for {code!r}; languages are {', '.join(CODES)}; add your own by `phrases`"
            )
    return codes


LanguageCodes = Annotated[tuple[str, ...], AfterValidator(_known)]
"""Codes of languages that have a file; empty: all."""
ProductField = Literal["brand", "sku", "gtin", "mpn", "category", "availability", "price"]


def _compared(phrase: str) -> str:
    if not fold(phrase.removesuffix("*")).strip():
        raise ValueError(f"{phrase!r} has no letter, digit or sign to look for")
    return phrase


Phrase = Annotated[str, Field(strict=True, min_length=1, max_length=80), AfterValidator(_compared)]
Phrases = tuple[Phrase, ...]


class Language(BaseModel):
    """Phrases of shops, their customers and spammers in one language. Case, accents and width do not matter.

    A phrase that ends in `*` matches all words with that beginning. In scripts without spaces between words, and in Korean, a
    phrase counts everywhere; in others it must be whole words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Phrase
    """English name of the language."""
    buy: Phrases = ()
    """Phrases of buttons, offers, terms of delivery and customers' ratings: signs of a page where something is sold."""
    bare_labels: Phrases = ()
    """Labels of attributes that count at the beginning of a line, or after `;`, `,` or `|`, with any text after them."""
    labels: Phrases = ()
    """Labels of attributes that count if a colon, `=`, `|`, a tabulator or the end of the line follows."""
    fields: Mapping[ProductField, Phrases] = {}
    """Labels, counted like `labels`, that name a field of a product's metadata."""
    price_before: Phrases = ()
    """Currencies written before an amount, beyond the symbols and codes that are known everywhere."""
    price_after: Phrases = ()
    """Currencies written after an amount."""
    measures: Phrases = ()
    """Units written after a number, beyond those of the SI in Latin letters."""
    spam: Phrases = ()
    """Terms of casino, pharmacy, adult and loan spam."""
    common: Phrases = ()
    """Function words that ordinary pages repeat; they do not count as stuffed keywords, and identify the language."""
    pitch: Phrases = ()
    """Phrases that praise or describe products."""
    customer: Phrases = ()
    """Phrases of customers' reviews and questions."""
    merchandise: Phrases = ()
    """Names of things that shops sell, colours and materials."""
    other: Phrases = ()
    """Words of narrative, reports, recipes and textbooks, which shops rarely write."""

    @field_validator("buy", "bare_labels", "labels", "price_before", "price_after", "measures", "spam", "common", "pitch",
                     "customer", "merchandise", "other")  # fmt: skip
    @classmethod
    def _sound(cls, phrases: Phrases) -> Phrases:
        seen: set[str] = set()
        for phrase in phrases:
            if phrase != " ".join(phrase.split()):
                raise ValueError(
                    f"{phrase!r} has white space at an end or more than one blank; write one blank between words"
                )
            if phrase in seen:
                raise ValueError(f"{phrase!r} is repeated; remove one of them")
            seen.add(phrase)
        return phrases

    @cached_property
    def common_words(self) -> frozenset[str]:
        """The words of `common` in lower case."""
        return frozenset(word.lower() for word in self.common)

    def all_labels(self) -> Iterator[str]:
        """Yield `labels` and those of `fields`."""
        yield from self.labels
        for labels in self.fields.values():
            yield from labels


def read_language(path: Path) -> Language:
    """The language file at `path`.

    Raises:
        DataError: it is missing, is not valid YAML, or has an unknown key or a value of the wrong kind.
    """
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"the file of phrases {path} cannot be read: {' '.join(str(error).split())}") from None
    try:
        return Language.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        allowed = f"; keys are {', '.join(Language.model_fields)}" if first["type"] == "extra_forbidden" else ""
        raise DataError(
            f"the file of phrases {path}: {place + ': ' if place else ''}{first['msg'].removeprefix('Value error, ')}{allowed}"
        ) from None


@cache
def built_in(code: str) -> Language:
    """The language with a code of `CODES`."""
    return read_language(_FOLDER / f"{code}.yaml")


def chosen(codes: tuple[str, ...], files: tuple[Path, ...]) -> Sequence[Language]:
    """The languages with `codes` (all if empty), and those of the user's `files`, which are read again once they change.

    Raises:
        DataError: a file cannot be read.
    """
    return _chosen(codes, files, versions_of(files))


def versions_of(files: Sequence[Path]) -> tuple[tuple[int, int] | None, ...]:
    """Size and modification time of each file, None for a missing one; cached content is valid only for the same values."""
    return tuple(_version(path) for path in files)


def _version(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


@cache
def _chosen(
    codes: tuple[str, ...], files: tuple[Path, ...], versions: tuple[tuple[int, int] | None, ...]
) -> Sequence[Language]:
    return tuple(built_in(code) for code in codes or CODES) + tuple(read_language(path) for path in files)


# The loader in C is several times as fast; PyYAML has it where it was built with libyaml.
_BASE_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class _Loader(_BASE_LOADER):
    """Reads every scalar as text (`no` and `on` are words here), and refuses a repeated key."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping of a node; a repeated key raises `YAMLError`."""
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"the key {key!r} is repeated")
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping
