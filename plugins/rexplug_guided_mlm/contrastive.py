"""A salience scorer for any vertical: words that are more frequent in the domain than in general text."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

import rexplug

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FULL = 5.0
"""Log-odds from which a word scores 255."""


class Contrastive(rexplug.SalienceScorer):
    """Score words by log-odds in the domain source against the general one, with an informative Dirichlet prior.

    After Monroe, Colaresi and Quinn, "Fightin' Words" (Political Analysis 2008): the z-score of the log-odds tells
    words that mark the domain from words that are merely rare. Words that pass are ranked by the log-odds themselves,
    which, unlike z, do not grow with a word's frequency. Needs no lexicon, hence serves any vertical.
    """

    name: ClassVar[str] = "guided_mlm.contrastive"

    domain: str | tuple[str, ...]
    """The source of the vertical's text, or the sources, e.g. one for each language."""
    general: str | tuple[str, ...]
    """The source of general text to compare with. With a list of domain sources a list as long: each is compared with the one
    in its place, so that a word marks the domain and not the language. The words of all pairs are salient in every source."""
    prior: float = Field(default=1000.0, gt=0)
    """Weight of the prior, in words; a higher one requires more evidence."""
    at_least: float = Field(default=3.0, gt=0)
    """Least z-score of a salient word: how certain it is that the word marks the domain."""
    odds: float = Field(default=1.0, ge=0)
    """Least log-odds of a salient word: how strongly it marks the domain; 1 is 2.7 times as frequent. Excludes words like
    `for`."""
    share: float = Field(default=0.25, gt=0, le=1)
    """At most this share of a domain source's running words is salient, those with the highest log-odds: masking cannot be guided
    by a salience that covers half of a text."""
    documents: int = Field(default=20_000, ge=1)
    """Words are counted in at most this many documents of each source."""
    table: Path | None = None
    """A fitted table (word -> z-score and log-odds, as JSON); computed from the corpus if left out."""

    @model_validator(mode="after")
    def _lists_go_together(self) -> Self:
        lists = [None if isinstance(names, str) else len(names) for names in (self.domain, self.general)]
        if lists[0] != lists[1] or 0 in lists:
            raise PydanticCustomError(
                "contrastive",
                "'domain' and 'general' go together: two sources, or two lists of as many sources, pair by pair",
                {},
            )
        return self

    def _pairs(self) -> list[tuple[str, str]]:
        """Sources of the domain, each with the general one to compare it with."""
        domain, general = ((names,) if isinstance(names, str) else names for names in (self.domain, self.general))
        return list(zip(domain, general, strict=True))

    def needed_sources(self) -> Sequence[str]:
        """The sources to compare, each once, unless a table is given."""
        return () if self.table is not None else tuple(dict.fromkeys(name for pair in self._pairs() for name in pair))

    def fit(self, corpus: rexplug.CorpusSample) -> Self:
        """Count the words of both sources and write the table.

        Raises:
            DataError: one of the sources does not exist or holds no words.
        """
        if self.table is not None:
            return self
        for source in self.needed_sources():
            if source not in corpus.documents:
                raise rexplug.DataError(
                    f"{self.name}: there is no source '{source}'; the sources are {', '.join(corpus.documents)}"
                )
        salient: dict[str, tuple[float, float]] = {}
        for first, second in self._pairs():
            domain, general = (self._count(corpus.documents[name]) for name in (first, second))
            if not domain or not general:
                raise rexplug.DataError(f"{self.name}: '{first}' or '{second}' has no words to compare")
            for word, values in self._salient_words(domain, general).items():
                salient[word] = max(salient.get(word, values), values, key=lambda z_and_odds: z_and_odds[1])
        path = corpus.folder / "contrastive.json"
        path.write_text(json.dumps(salient, ensure_ascii=False, sort_keys=True), encoding="utf-8")
        return self.model_copy(update={"table": path})

    def _count(self, documents: Iterable[rexplug.Document]) -> Counter[str]:
        counts: Counter[str] = Counter()
        for document in islice(documents, self.documents):
            counts.update(rexplug.lower_words(document.text))
        return counts

    def _salient_words(self, domain: Counter[str], general: Counter[str]) -> dict[str, tuple[float, float]]:
        """Word -> (z-score, log-odds) of the salient words."""
        n_domain, n_general = domain.total(), general.total()
        both = n_domain + n_general
        table = {}
        for word, count in domain.items():
            other = general[word]
            if count + other == both:
                continue  # a text of a single word has no log-odds
            prior = self.prior * (count + other) / both
            odds = math.log((count + prior) / (n_domain + self.prior - count - prior)) - math.log(
                (other + prior) / (n_general + self.prior - other - prior)
            )
            z = odds / math.sqrt(1 / (count + prior) + 1 / (other + prior))
            if z >= self.at_least and odds >= self.odds:
                table[word] = (round(z, 2), round(odds, 3))
        salient, budget = {}, self.share * n_domain
        for word in sorted(table, key=lambda word: (-table[word][1], word)):
            budget -= domain[word]
            if budget < 0:
                break
            salient[word] = table[word]
        return salient

    @cached_property
    def _table(self) -> dict[str, tuple[float, float]]:
        if self.table is None:
            raise rexplug.DataError(f"{self.name} must be fitted before it scores")
        loaded: dict[str, tuple[float, float]] = json.loads(self.table.read_text(encoding="utf-8"))
        return loaded

    @cached_property
    def _values(self) -> dict[str, int]:
        """Word -> salience; log-odds of 5 (about 150 times as frequent) or more give 255."""
        return {word: max(1, min(255, round(255 * odds / _FULL))) for word, (_, odds) in self._table.items()}

    def _find(self, document: rexplug.TokenizedDocument) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
        """Start, end and lower-cased text of every word, each `[num_words]`."""
        starts, ends = document.word_bounds()
        text = document.text
        words = rexplug.lower_words(text)
        if text.isascii() or (len(words) == len(starts) and len(text.lower()) == len(text)):
            return starts, ends, words
        # A few capitals become two characters in lower case, which may split a word.
        return starts, ends, [word.lower() for word in rexplug.split_words(text)]

    def score(self, document: rexplug.TokenizedDocument) -> NDArray[np.uint8]:
        """The salience of the word that contains each token."""
        import numpy as np

        starts, ends, words = self._find(document)
        values = np.fromiter(map(self._values.get, words, repeat(0)), np.uint8, len(words))
        salient = np.flatnonzero(values)
        return document.spans_to_tokens(starts[salient], ends[salient], values[salient])

    def explain(self, document: rexplug.TokenizedDocument) -> Sequence[rexplug.Reason]:
        """The log-odds and z-score of each salient word."""
        return [
            rexplug.Reason(int(start), int(end), "log-odds {1:+.1f}, z {0:.1f}".format(*self._table[word]))
            for start, end, word in zip(*self._find(document), strict=True)
            if word in self._table
        ]
