"""The filter that removes boilerplate lines: menus, cookie notices, buttons, and what a site repeats on every page."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field

from rexplug.components import CorpusFilter, CorpusSample, Document, Quantity, Verdict
from rexplug.corpus.filters.by_language import LanguageCode
from rexplug.errors import DataError
from rexplug.io.file_cache import cached_until_changed
from rexplug.text.languages import language_settings
from rexplug.text.words import count_words

_LONGEST = 200
_MOST_LINES = 2_000_000
"""Lines that are counted at a time."""


class Boilerplate(CorpusFilter):
    """Removes lines of navigation, cookie notices and the like from documents, and lines that many documents share.

    Before curation it counts lines over a sample of the corpus: a line of the site's template occurs in many documents,
    a line of content in one. Phrases and thresholds are our choice.
    """

    name: ClassVar[str] = "lines.boilerplate"

    language: LanguageCode = "en"
    """Language of the pages, ISO 639-1; the phrases of English are always looked for, since pages of any language have them."""
    phrases: bool = True
    """Remove short lines that are a known phrase of navigation, consent or copyright."""
    max_documents: Annotated[int, Field(ge=0)] = 20
    """Remove lines that occur in more documents of the sample than this; 0 counts nothing."""
    documents: Annotated[Quantity, Field(gt=0)] = 50_000
    """Count lines over at most this many documents of each source, from eight places of it in turn."""
    common: Path | None = None
    """A file of hashes of common lines, as an earlier run wrote it, to use instead of counting."""
    min_words: Annotated[int, Field(ge=0)] = 1
    """Drop documents with fewer words than this after lines were removed."""

    def check(self) -> None:
        """A given file of common lines must exist."""
        if self.common is not None and not self.common.is_file():
            raise DataError(f"the file of common lines {self.common} does not exist")

    def fit(self, corpus: CorpusSample) -> Self:
        """Count in how many documents each line occurs."""
        if self.common is not None or not self.max_documents:
            return self
        counts: Counter[str] = Counter()
        for documents in corpus.documents.values():
            for document in islice(documents, self.documents):
                counts.update({_key(line) for line in document.text.splitlines() if line.strip()})
                if len(counts) > _MOST_LINES:
                    counts = _most_frequent(counts)
        common = sorted(key for key, count in counts.items() if count > self.max_documents)
        corpus.folder.mkdir(parents=True, exist_ok=True)
        path = corpus.folder / "common-lines.txt"
        path.write_text("".join(f"{key}\n" for key in common), encoding="utf-8")
        return self.model_copy(update={"common": path})

    def judge(self, document: Document) -> Verdict:
        """Reason: `only boilerplate`; otherwise the text without those lines."""
        common = _common(self.common) if self.common is not None else frozenset()
        lines = document.text.splitlines()
        kept = [line for line in lines if not line.strip() or not self._is_boilerplate(line, common)]
        if len(kept) == len(lines):
            return Verdict(True)
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
        if not text or count_words(text) < self.min_words:
            return Verdict(False, "only boilerplate")
        return Verdict(True, text=text)

    def _is_boilerplate(self, line: str, common: frozenset[str]) -> bool:
        if self.phrases and len(line) <= _LONGEST and _phrases(self.language).search(line.strip()):
            return True
        return bool(common) and _key(line) in common


@cache
def _phrases(language: str) -> re.Pattern[str]:
    """Finds phrases of the language and of English in a line without white space around it."""
    codes = ("en",) if language == "en" else (language, "en")
    phrases = [language_settings(code).boilerplate for code in codes]
    lines = "|".join(phrase for each in phrases for phrase in each.lines)
    within = "|".join(phrase for each in phrases for phrase in each.within)
    return re.compile(rf"^\W*(?:{lines})\W*$|{within}", re.IGNORECASE)


def _key(line: str) -> str:
    """A hash of the line that ignores digits, case and white space."""
    plain = re.sub(r"\d+", "0", " ".join(line.lower().split()))
    return hashlib.blake2b(plain.encode("utf-8", "replace"), digest_size=8).hexdigest()


def _most_frequent(counts: Counter[str]) -> Counter[str]:
    """The lines without the rarest, at most half of `_MOST_LINES`: most lines occurred once so far, and removing those bounds the
    memory."""
    least = 2
    while len(counts) > _MOST_LINES // 2:
        counts = Counter({key: count for key, count in counts.items() if count >= least})
        least += 1
    return counts


@cached_until_changed(maxsize=4)
def _common(path: Path) -> frozenset[str]:
    return frozenset(path.read_text(encoding="utf-8").split())
