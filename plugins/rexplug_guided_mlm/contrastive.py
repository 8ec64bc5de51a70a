"""A scorer for any vertical: words that the domain uses more than general text does."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

import rexplug

_WORD = re.compile(r"\w+")


class Contrastive(rexplug.SalienceScorer):
    """Score words by log-odds in the domain source against the general one, with an informative Dirichlet prior.

    After Monroe, Colaresi and Quinn, "Fightin' Words" (Political Analysis 2008): the z-score of the log-odds tells
    words that mark the domain from words that are merely rare. Needs no lexicon, hence serves any vertical.
    """

    name: ClassVar[str] = "guided_mlm.contrastive"

    domain: str
    """The source of the vertical."""
    general: str
    """The source it is compared with."""
    prior: float = Field(default=1000.0, gt=0)
    """Weight of the prior in words; higher needs more evidence."""
    at_least: float = Field(default=3.0, gt=0)
    """z-score from which a word is salient."""
    documents: int = Field(default=20_000, ge=1)
    """Count words in at most this many documents of each source."""
    table: Path | None = None
    """A fitted table (word -> salience as JSON); made from the corpus if left out."""

    def fit(self, corpus: rexplug.CorpusSample) -> Self:
        """Count words of both sources and write the table."""
        if self.table is not None:
            return self
        for source in (self.domain, self.general):
            if source not in corpus.documents:
                raise rexplug.DataError(
                    f"{self.name}: there is no source '{source}'; the sources are {', '.join(corpus.documents)}"
                )
        domain, general = (self._count(corpus.documents[name]) for name in (self.domain, self.general))
        if not domain or not general:
            raise rexplug.DataError(f"{self.name}: '{self.domain}' or '{self.general}' holds no words to compare")
        path = corpus.folder / "contrastive.json"
        path.write_text(
            json.dumps(self._salience(domain, general), ensure_ascii=False, sort_keys=True), encoding="utf-8"
        )
        return self.model_copy(update={"table": path})

    def _count(self, documents: Iterable[rexplug.Document]) -> Counter[str]:
        counts: Counter[str] = Counter()
        for document in islice(documents, self.documents):
            counts.update(_WORD.findall(document.text.lower()))
        return counts

    def _salience(self, domain: Counter[str], general: Counter[str]) -> dict[str, int]:
        n_domain, n_general = domain.total(), general.total()
        both = n_domain + n_general
        table = {}
        for word, count in domain.items():
            other = general[word]
            if count + other == both:
                continue  # the only word there is marks nothing
            prior = self.prior * (count + other) / both
            odds = math.log((count + prior) / (n_domain + self.prior - count - prior)) - math.log(
                (other + prior) / (n_general + self.prior - other - prior)
            )
            z = odds / math.sqrt(1 / (count + prior) + 1 / (other + prior))
            if z >= self.at_least:
                # 3 standard deviations are worth 64, 12 and more 255.
                table[word] = min(255, round(64 * z / 3))
        return table

    @cached_property
    def _table(self) -> dict[str, int]:
        if self.table is None:
            raise rexplug.DataError(f"{self.name} must be fitted before it scores")
        loaded: dict[str, int] = json.loads(self.table.read_text(encoding="utf-8"))
        return loaded

    def score(self, document: rexplug.TokenizedDocument) -> NDArray[np.uint8]:
        """The salience of the word that each token lies in."""
        per_character = np.zeros(len(document.text) + 1, np.uint8)
        table = self._table
        for match in _WORD.finditer(document.text):
            value = table.get(match.group().lower())
            if value:
                per_character[match.start() : match.end()] = value
        # The last character of a token is never the white space that byte-level BPE keeps before a word.
        found: NDArray[np.uint8] = per_character[np.maximum(document.offsets[:, 1].astype(np.int64) - 1, 0)]
        return found
