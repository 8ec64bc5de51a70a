"""Baselines that compare words: BM25 and TF-IDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from rexplug.errors import NotApplicable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["bm25", "tfidf"]
KINDS: tuple[Kind, ...] = ("bm25", "tfidf")


@dataclass(frozen=True)
class LexicalModel:
    """A baseline without weights. It ranks, compares pairs and classifies (logistic regression on TF-IDF)."""

    kind: Kind

    @property
    def revision(self) -> str:
        """The library that does the work, with its version."""
        package = "bm25s" if self.kind == "bm25" else "scikit-learn"
        return f"{self.kind}-{package}-{version(package)}"

    @property
    def tokenizer(self) -> Any:
        """There is none."""
        self._refuse("has no tokens")

    @property
    def max_tokens(self) -> int:
        """There is none."""
        self._refuse("has no tokens")

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Never."""
        self._refuse("has no embeddings")

    def predict_masked(
        self, rows: Sequence[NDArray[np.int64]], positions: Sequence[NDArray[np.int64]], top: int = 1
    ) -> list[NDArray[np.int64]]:
        """Never."""
        self._refuse("predicts no words")

    def _refuse(self, why: str) -> NoReturn:
        raise NotApplicable(f"{self.kind} compares words; it {why}")

    def rank(self, corpus: Mapping[str, str], queries: Mapping[str, str], top: int) -> dict[str, dict[str, float]]:
        """The `top` best documents of each query with their scores; word statistics are those of the corpus."""
        import numpy as np

        keys = list(corpus)
        scores = self._scores(list(corpus.values()), list(queries.values()))
        found = {}
        for query, line in zip(queries, scores, strict=True):
            # By score, then by place: a tie is broken the same way everywhere.
            best = np.lexsort((np.arange(len(line)), -line))[:top]
            found[query] = {keys[i]: float(line[i]) for i in best}
        return found

    def compare(self, first: Sequence[str], second: Sequence[str]) -> NDArray[np.float64]:
        """How alike the texts of each pair are, `[n]`; the second texts are the corpus."""
        import numpy as np

        corpus = list(dict.fromkeys(second))
        place = {text: i for i, text in enumerate(corpus)}
        queries = list(dict.fromkeys(first))
        scores = dict(zip(queries, self._scores(corpus, queries), strict=True))
        return np.array([scores[a][place[b]] for a, b in zip(first, second, strict=True)], np.float64)

    def vectors(self, train: Sequence[str], *others: Sequence[str]) -> list[Any]:
        """TF-IDF of words and pairs of words, fitted on `train`: sparse matrices for `train` and each of the others."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        return [vectorizer.fit_transform(train), *(vectorizer.transform(list(each)) for each in others)]

    def _scores(self, corpus: Sequence[str], queries: Sequence[str]) -> list[NDArray[np.float32]]:
        import numpy as np

        if self.kind == "tfidf":
            from sklearn.feature_extraction.text import TfidfVectorizer

            vectorizer = TfidfVectorizer(sublinear_tf=True)
            documents = vectorizer.fit_transform(corpus)
            asked = vectorizer.transform(queries)
            return [(documents @ asked[i].T).toarray()[:, 0].astype(np.float32) for i in range(len(queries))]
        import bm25s

        index = bm25s.BM25()
        index.index(bm25s.tokenize(list(corpus), stopwords="en", show_progress=False), show_progress=False)
        tokens = bm25s.tokenize(list(queries), stopwords="en", show_progress=False, return_ids=False)
        known = index.vocab_dict
        nothing = np.zeros(len(corpus), np.float32)
        scores = []
        for words in tokens:
            words = [word for word in words if word in known]
            scores.append(np.asarray(index.get_scores(words), np.float32) if words else nothing)
        return scores
