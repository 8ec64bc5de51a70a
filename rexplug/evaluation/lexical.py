"""Lexical baselines: BM25 and TF-IDF.

Imports no third-party library at the top: checks and planning read the names of the baselines from here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

from rexplug.errors import NotApplicable
from rexplug.evaluation.predicts_no_words import PredictsNoWords
from rexplug.text.fold import fold, plain_forms
from rexplug.text.words import has_unspaced, split_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WORD = re.compile(r"\w\w+")
_BEYOND_LATIN = re.compile(
    "[^\\x00-\u02ff\u0370-\u058f\u1d00-\u2c7f\u2e00-\u3004\u3300-\u33ff\ufb00-\ufb06\ufe00-\ufe6f\ufefd-\uff00\ufff0-\uffff"
    "\U0001d400-\U0001d7ff\U0001f000-\U0001ffff\U00040000-\U0010ffff]"
)
"""A letter of another script than Latin, Greek and Cyrillic, a full-width letter, or a decomposed accent; not ligatures, squared
units and letters of mathematics, which English texts hold too."""

LexicalKind = Literal["bm25", "tfidf"]
LEXICAL_KINDS: tuple[LexicalKind, ...] = ("bm25", "tfidf")
"""How recipes and the command line name the lexical baselines."""


def lexical_words(text: str) -> list[str]:
    """The words that lexical baselines compare, in lower case: of two letters or more, in scripts without spaces of one as well.

    That is the usual pattern of scikit-learn and bm25s, with marks as parts of words; words of other scripts than Latin, Greek
    and Cyrillic are folded, so that full-width letters and Arabic vowel points do not matter.
    """
    lower = text.lower()
    if lower.isascii() or not _BEYOND_LATIN.search(lower):
        return _WORD.findall(lower)
    words: list[str] = []
    for word in split_words(unicodedata.normalize("NFC", plain_forms(lower))):
        if _BEYOND_LATIN.search(word):
            words += [fold(word)] if len(word) > 1 or has_unspaced(word) else []
        else:
            words += _WORD.findall(word)
    return words


@dataclass(frozen=True)
class LexicalModel(PredictsNoWords):
    """A baseline without weights: it ranks, compares pairs of texts and classifies (logistic regression on TF-IDF)."""

    kind: LexicalKind
    precision: ClassVar[None] = None
    """A lexical baseline has no matrix products."""

    @property
    def revision(self) -> str:
        """The library that computes the scores, with its version."""
        package = "bm25s" if self.kind == "bm25" else "scikit-learn"
        return f"{self.kind}-{package}-{version(package)}"

    @property
    def tokenizer(self) -> Any:
        """Not available: a lexical baseline has no tokenizer.

        Raises:
            NotApplicable: always.
        """
        self._refuse("has no tokens")

    @property
    def max_tokens(self) -> int:
        """Not available: a lexical baseline has no longest input in tokens.

        Raises:
            NotApplicable: always.
        """
        self._refuse("has no tokens")

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Not available: a lexical baseline has no embeddings.

        Raises:
            NotApplicable: always.
        """
        self._refuse("has no embeddings")

    def _refuse(self, why: str) -> NoReturn:
        raise NotApplicable(f"{self.kind} compares words; it {why}")

    def rank(self, corpus: Mapping[str, str], queries: Mapping[str, str], top: int) -> dict[str, dict[str, float]]:
        """Rank a corpus (id -> text) for each query (id -> text).

        Returns:
            Query id -> document id -> score for the `top` best documents, best first. Document frequencies are those of
            the whole corpus.
        """
        import numpy as np

        ids = list(corpus)
        scores = self._scores(list(corpus.values()), list(queries.values()))
        ranking = {}
        for query, row in zip(queries, scores, strict=True):
            # Ties keep the order of the corpus, so that every machine gives the same ranking.
            best = np.lexsort((np.arange(len(row)), -row))[:top]
            ranking[query] = {ids[i]: float(row[i]) for i in best}
        return ranking

    def compare(self, first: Sequence[str], second: Sequence[str]) -> NDArray[np.float64]:
        """Score each pair of texts, `[n]`: the first text is the query, all second texts together are the corpus."""
        import numpy as np

        corpus = list(dict.fromkeys(second))
        column_of = {text: column for column, text in enumerate(corpus)}
        queries = list(dict.fromkeys(first))
        scores = dict(zip(queries, self._scores(corpus, queries), strict=True))
        return np.array([scores[a][column_of[b]] for a, b in zip(first, second, strict=True)], np.float64)

    def vectors(self, train: Sequence[str], *others: Sequence[str]) -> list[Any]:
        """TF-IDF of words and word bigrams, fitted on `train`.

        Returns:
            Sparse matrices `[texts, features]` for `train` and then for each of `others`.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(
            ngram_range=(1, 2), sublinear_tf=True, tokenizer=lexical_words, token_pattern=None, lowercase=False
        )
        return [vectorizer.fit_transform(train), *(vectorizer.transform(list(texts)) for texts in others)]

    def _scores(self, corpus: Sequence[str], queries: Sequence[str]) -> list[NDArray[np.float32]]:
        """For each query the scores of all documents, `[len(corpus)]`."""
        import numpy as np

        if self.kind == "tfidf":
            from sklearn.feature_extraction.text import TfidfVectorizer

            vectorizer = TfidfVectorizer(
                sublinear_tf=True, tokenizer=lexical_words, token_pattern=None, lowercase=False
            )
            document_vectors = vectorizer.fit_transform(corpus)
            query_vectors = vectorizer.transform(queries)
            return [
                (document_vectors @ query_vectors[i].T).toarray()[:, 0].astype(np.float32) for i in range(len(queries))
            ]
        import bm25s

        index = bm25s.BM25()
        options: dict[str, Any] = {"lower": False, "token_pattern": r"[^ ]+", "stopwords": "en", "show_progress": False}
        index.index(bm25s.tokenize([_spaced(text) for text in corpus], **options), show_progress=False)
        tokens = bm25s.tokenize([_spaced(text) for text in queries], **options, return_ids=False)
        vocabulary = index.vocab_dict
        no_match = np.zeros(len(corpus), np.float32)
        scores = []
        for words in tokens:
            known = [word for word in words if word in vocabulary]
            scores.append(np.asarray(index.get_scores(known), np.float32) if known else no_match)
        return scores


def _spaced(text: str) -> str:
    return " ".join(lexical_words(text))
