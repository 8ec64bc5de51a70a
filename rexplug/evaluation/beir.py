"""Retrieval and reranking tasks in a local folder, in BEIR's layout."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rexplug.components import EvaluationContext, EvaluationResult, Evaluator, FineTuning, RetrievalCollection
from rexplug.errors import DataError
from rexplug.io.compression import read_lines
from rexplug.io.tabular import BadRecord, json_records

CORPUS, QUERIES, QRELS = "corpus.jsonl", "queries.jsonl", "qrels.tsv"
CANDIDATES, TRAIN = "candidates.jsonl", "train.jsonl"
REQUIRED_FILES = (CORPUS, QUERIES, QRELS)
OPTIONAL_FILES = (CANDIDATES, TRAIN)


class RetrievalFolder(Evaluator):
    """A retrieval task in a local folder, run by mteb.

    The folder holds `corpus.jsonl` (`_id`, `text`, perhaps `title`), `queries.jsonl` (`_id`, `text`) and `qrels.tsv`
    (`query-id`, `corpus-id`, `score`, with a header line): the layout of BEIR. With `candidates.jsonl` (`query-id`,
    `corpus-ids`) only these are ranked: reranking. With `train.jsonl` (`query`, `text`) encoders are fine-tuned first.
    """

    name: ClassVar[str] = "retrieval"

    folder: Path
    """The folder with the files of the task."""
    tuning: FineTuning = FineTuning()
    """The fine-tune before ranking, where the folder has `train.jsonl`."""

    @property
    def label(self) -> str:
        """`retrieval.<folder>`, since a recipe may list several folders."""
        return f"{self.name}.{self.folder.name}"

    def check(self) -> None:
        """Check that the files exist and hold what they should."""
        read_collection(self.folder)

    def inputs(self) -> Sequence[Path]:
        """The files of the task."""
        optional = [self.folder / name for name in OPTIONAL_FILES]
        return (*(self.folder / name for name in REQUIRED_FILES), *(path for path in optional if path.exists()))

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Measure nDCG@10, recall and MRR; of a reranking task nDCG@10 and MAP."""
        return context.retrieval(read_collection(self.folder), self.tuning)

    def test_texts(self) -> Mapping[str, str]:
        """The texts of the documents and queries, all of which are test texts."""
        return read_collection(self.folder).texts()


def read_collection(folder: Path) -> RetrievalCollection:
    """Read and check a task; queries without a relevant document are left out.

    Raises:
        DataError: a file is missing, or a line does not hold what it should; with file and line.
    """
    for name in REQUIRED_FILES:
        if not (folder / name).is_file():
            raise DataError(f"retrieval: {folder / name} is missing; a task is {', '.join(REQUIRED_FILES)}")
    corpus = _texts(folder / CORPUS)
    queries = _texts(folder / QUERIES)
    relevance: dict[str, dict[str, int]] = {}
    path = folder / QRELS
    for number, line in read_lines(path):
        fields = line.split("\t")
        if number == 1 and fields[-1] == "score":
            continue
        if len(fields) != 3 or not re.fullmatch(r"-?[0-9]+", fields[2]):
            raise DataError(f"{path}:{number}: expected query-id, corpus-id and a whole number, separated by tabs")
        query, document, score = fields
        _require_ids(path, number, query, queries, document, corpus)
        relevance.setdefault(query, {})[document] = int(score)
    judged = {
        query: text for query, text in queries.items() if any(grade > 0 for grade in relevance.get(query, {}).values())
    }
    if not judged:
        raise DataError(f"{path}: no query has a relevant document")
    return RetrievalCollection(
        folder.name,
        corpus,
        judged,
        {query: relevance[query] for query in judged},
        candidates=_candidates(folder / CANDIDATES, judged, queries, corpus),
        training=_training_pairs(folder / TRAIN, set(judged.values())),
    )


def _candidates(
    path: Path, judged: Mapping[str, str], queries: Mapping[str, str], corpus: Mapping[str, str]
) -> dict[str, list[str]] | None:
    if not path.exists():
        return None
    candidates: dict[str, list[str]] = {}
    for number, entry in _entries(path, '{"query-id": ..., "corpus-ids": [...]}', ("query-id", "corpus-ids")):
        query, documents = str(entry["query-id"]), entry["corpus-ids"]
        if not isinstance(documents, list) or not documents:
            raise DataError(f"{path}:{number}: corpus-ids is a list of at least one document")
        for document in documents:
            _require_ids(path, number, query, queries, str(document), corpus)
        candidates[query] = [str(document) for document in documents]
    for query in judged:
        if query not in candidates:
            raise DataError(f"{path}: the query '{query}' has no candidates")
    return {query: candidates[query] for query in judged}


def _training_pairs(path: Path, test_queries: set[str]) -> list[tuple[str, str]]:
    if not path.exists():
        return []
    pairs = []
    for number, entry in _entries(path, '{"query": ..., "text": ...}', ("query", "text")):
        if str(entry["query"]) in test_queries:
            raise DataError(f"{path}:{number}: the query '{entry['query']}' is among those that are measured")
        pairs.append((str(entry["query"]), str(entry["text"])))
    return pairs


def _require_ids(
    path: Path, number: int, query: str, queries: Mapping[str, str], document: str, corpus: Mapping[str, str]
) -> None:
    if query not in queries:
        raise DataError(f"{path}:{number}: there is no query '{query}' in {QUERIES}")
    if document not in corpus:
        raise DataError(f"{path}:{number}: there is no document '{document}' in {CORPUS}")


def _texts(path: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    for number, entry in _entries(path, '{"_id": ..., "text": ...}', ("_id", "text")):
        key = str(entry["_id"])
        if key in texts:
            raise DataError(f"{path}:{number}: the _id '{key}' occurs twice")
        title = str(entry.get("title") or "")
        texts[key] = f"{title} {entry['text']}".strip()
    return texts


def _entries(path: Path, expected: str, keys: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, entry in json_records(read_lines(path)):
        if isinstance(entry, BadRecord) or any(key not in entry for key in keys):
            raise DataError(f"{path}:{number}: expected {expected}")
        yield number, entry
