"""A plugin for legal texts with a component of every kind: the pages of the plugin API show its parts, and tests run them."""

# -- start imports --
from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

import rexplug

CITATION = re.compile(r"(?:§ ?|\b(?:section|article) )\d+(?:\(\w\))*", re.IGNORECASE)
"""A citation of a law such as `§ 12`, `Section 107(2)` or `article 5`."""
# -- end imports --


# -- start DocumentSource --
class Statutes(rexplug.DocumentSource):
    """Sections of laws from the table `sections(id, title, text)` of an SQLite database."""

    name: ClassVar[str] = "legal.statutes"

    database: str
    """The file of the database."""

    def documents(self, shard: rexplug.Shard) -> Iterator[rexplug.Document | rexplug.Unreadable]:
        """Yield every `shard.count`-th row, so that any number of shards yields the same documents."""
        rows = sqlite3.connect(self.database).execute(
            "SELECT id, title, text FROM sections WHERE rowid % ? = ? ORDER BY rowid", (shard.count, shard.index)
        )
        for key, title, text in rows:
            if text is None:
                yield rexplug.Unreadable(key, "no text")
            else:
                yield rexplug.Document(key, f"{title}\n{text}", metadata={"title": title})

    def num_shards(self) -> int:
        """Up to four processes read at the same time."""
        return 4

    def inputs(self) -> list[Path]:
        """The database: when it changes, curation runs again."""
        return [Path(self.database)]

    def check(self) -> None:
        """`rexplug check` says so if the file is missing."""
        if not Path(self.database).is_file():
            raise rexplug.DataError(f"{self.name}: database: there is no file {self.database}")


# -- end DocumentSource --


# -- start FileSource --
class Opinions(rexplug.FileSource):
    """Court opinions, one in each paragraph of a text file."""

    name: ClassVar[str] = "legal.opinions"
    suffixes: ClassVar[tuple[str, ...]] = (".opinions", ".opinions.gz")

    def read(self, piece: rexplug.Piece) -> Iterator[rexplug.Document | rexplug.Unreadable]:
        """Yield the paragraphs; a sealed opinion cannot be read."""
        with self.open(piece) as file:
            for number, paragraph in enumerate(file.read().decode().split("\n\n"), 1):
                if paragraph.startswith("SEALED"):
                    yield self.unreadable_at(piece.file, number, "sealed")
                else:
                    yield self.document_at(piece.file, number, paragraph)


# -- end FileSource --


# -- start CorpusFilter --
class HasCitation(rexplug.CorpusFilter):
    """Keep texts that cite a law."""

    name: ClassVar[str] = "legal.has_citation"

    least: int = Field(default=1, ge=1)
    """How many citations a text must have."""

    def judge(self, document: rexplug.Document) -> rexplug.Verdict:
        """Count the citations."""
        count = len(CITATION.findall(document.text))
        return rexplug.Verdict(count >= self.least, "too few citations", score=count)


# -- end CorpusFilter --


# -- start CorpusSample --
class WithoutLetterhead(rexplug.CorpusFilter):
    """Remove the first line of a text if many texts of the source begin with it, such as the name of a court."""

    name: ClassVar[str] = "legal.without_letterhead"

    share: float = Field(default=0.05, gt=0, le=1)
    """Share of the texts from which on a common first line is removed."""
    letterheads: tuple[str, ...] | None = None
    """The lines to remove; learnt from the sources that use the filter if left out."""

    def fit(self, corpus: rexplug.CorpusSample) -> Self:
        """Count first lines. What was learnt becomes an option of the filter that curation uses."""
        if self.letterheads is not None:
            return self
        counts: Counter[str] = Counter()
        for documents in corpus.documents.values():
            counts.update(document.text.split("\n")[0] for document in islice(documents, 10_000))
        least = max(2, self.share * counts.total())
        return self.model_copy(update={"letterheads": tuple(sorted(line for line in counts if counts[line] >= least))})

    def judge(self, document: rexplug.Document) -> rexplug.Verdict:
        """Remove the letterhead at the beginning of the text."""
        lines = document.text.split("\n")
        while lines and lines[0] in (self.letterheads or ()):
            lines.pop(0)
        return rexplug.Verdict(bool(lines), "only a letterhead", text="\n".join(lines))


# -- end CorpusSample --


# -- start Labeller --
class ByCitations(rexplug.Labeller):
    """Label texts with several citations as legal, and texts without any as not legal."""

    name: ClassVar[str] = "legal.by_citations"

    least: int = Field(default=2, ge=1)
    """From how many citations on a text is legal; with fewer, but at least one, it is undecided."""

    def label(self, candidates: Sequence[rexplug.Candidate], context: rexplug.LabellingContext) -> list[bool | None]:
        """One label per candidate, in their order."""
        labels: list[bool | None] = []
        for candidate in candidates:
            count = len(CITATION.findall(candidate.document.text))
            labels.append(True if count >= self.least else None if count else False)
        return labels

    def instruction(self) -> str:
        """The question for a language model, with `labels: {use: llm, follow: legal.by_citations, ...}`."""
        return "Is this text part of a law, a court decision, or a comment on one? Answer yes or no."


# -- end Labeller --


# -- start MixingSchedule --
class LawLast(rexplug.MixingSchedule):
    """Give a source a small share of the tokens, and a large one in the last part of the phase."""

    name: ClassVar[str] = "legal.law_last"

    favoured: str
    """The source."""
    others: tuple[str, ...] = Field(min_length=1)
    """The other sources, which have equal parts of the rest."""
    shares: tuple[float, float] = (0.2, 0.7)
    """The source's share before and after the change."""
    change: float = Field(default=0.8, ge=0, le=1)
    """Progress of the phase at which the share changes."""

    def weights(self, progress: float) -> dict[str, float]:
        """The shares at `progress`; the same sources at any progress."""
        share = self.shares[progress >= self.change]
        return {self.favoured: share, **dict.fromkeys(self.others, (1 - share) / len(self.others))}


# -- end MixingSchedule --


# -- start MaskingPolicy --
class SalientFirst(rexplug.MaskingPolicy):
    """Choose a share of the masked tokens among the salient ones, and the others among the rest."""

    name: ClassVar[str] = "legal.salient_first"

    scorer: Annotated[rexplug.SalienceScorer, rexplug.Use()]
    """The scorer of the tokens' salience."""
    share: float = Field(default=0.3, ge=0, le=1)
    """Share of the masked tokens that are salient, as far as the row has as many."""

    def choose(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Exactly `budget` tokens; all randomness comes from `generator`."""
        chosen = self.salient_subset(batch, progress, generator)
        missing = self.budget(batch, progress) - int(chosen.sum())
        return chosen | rexplug.random_tokens(batch.maskable & ~chosen, missing, generator)

    def salient_subset(
        self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator
    ) -> NDArray[np.bool_]:
        """What `choose` draws first; previews show it."""
        salient = batch.maskable & (batch.channels["salience"] > 0)
        return rexplug.random_tokens(salient, round(self.share * self.budget(batch, progress)), generator)


# -- end MaskingPolicy --


# -- start SalienceScorer --
class Citations(rexplug.SalienceScorer):
    """Score citations of laws, so that guided masking masks them more often than other tokens."""

    name: ClassVar[str] = "legal.citations"

    def score(self, document: rexplug.TokenizedDocument) -> NDArray[np.uint8]:
        """255 for the tokens of a citation, 0 for others."""
        spans = [match.span() for match in CITATION.finditer(document.text)]
        starts, ends = [start for start, _ in spans], [end for _, end in spans]
        return document.spans_to_tokens(starts, ends, [255] * len(spans))

    def explain(self, document: rexplug.TokenizedDocument) -> list[rexplug.Reason]:
        """What `rexplug peek` writes beside the tokens."""
        return [rexplug.Reason(*match.span(), "citation") for match in CITATION.finditer(document.text)]


# -- end SalienceScorer --


# -- start Evaluator --
class AreaOfLaw(rexplug.Evaluator):
    """How often the nearest other case is of the same area of law."""

    name: ClassVar[str] = "legal.area_of_law"

    cases: str
    """JSON Lines with `id`, `text` and `area` of each case."""

    def evaluate(self, context: rexplug.EvaluationContext) -> rexplug.EvaluationResult:
        """Measure `accuracy` with embeddings as they are."""
        cases = [record for _, record in rexplug.read_records(Path(self.cases))]
        vectors = context.encoder.encode([case["text"] for case in cases])  # [cases, dimensions]
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        similarity = vectors @ vectors.T
        np.fill_diagonal(similarity, -np.inf)
        items = []
        for case, nearest in zip(cases, similarity.argmax(axis=1), strict=True):
            found = cases[nearest]["area"]
            right = found == case["area"]
            items.append(
                rexplug.EvaluatedItem(
                    case["id"], case["text"], float(right), correct=right, expected=case["area"], predicted=found
                )
            )
        scores = rexplug.Scores([item.id for item in items], [[item.score for item in items]])
        return rexplug.EvaluationResult(
            metrics={"accuracy": rexplug.bootstrap_metric(scores, context.seed)},  # with a confidence interval
            main="accuracy",
            scores={"accuracy": scores},
            items=items,
        )

    def inputs(self) -> list[Path]:
        """The file of cases: when it changes, models are evaluated again."""
        return [Path(self.cases)]

    def test_texts(self) -> dict[str, str]:
        """What decontamination removes from the training text."""
        return {record["id"]: record["text"] for _, record in rexplug.read_records(Path(self.cases))}


# -- end Evaluator --


# -- start EvaluationContext --
class FindsStatute(rexplug.Evaluator):
    """Whether a search for the title of a section finds its text."""

    name: ClassVar[str] = "legal.finds_statute"

    database: str
    """The file of the database, as in `legal.statutes`."""
    tuning: rexplug.FineTuning = rexplug.FineTuning(steps=30)
    """The fine-tune on the sections that are not searched for."""

    def collection(self) -> rexplug.RetrievalCollection:
        """Titles as queries: those of the test split to measure with, those of the training split to fine-tune on."""
        documents = [
            document
            for document in Statutes(database=self.database).documents(rexplug.Shard(0, 1))
            if isinstance(document, rexplug.Document)
        ]
        # By the query: a title that two sections have is not in both parts.
        test = [document for document in documents if rexplug.split_of(document.metadata["title"]) == "test"]
        train = [document for document in documents if rexplug.split_of(document.metadata["title"]) == "train"]
        return rexplug.RetrievalCollection(
            name="statutes",
            corpus={document.id: document.text.split("\n", 1)[1] for document in test},
            queries={document.id: document.metadata["title"] for document in test},
            relevance={document.id: {document.id: 1} for document in test},
            training=[(document.metadata["title"], document.text.split("\n", 1)[1]) for document in train],
        )

    def evaluate(self, context: rexplug.EvaluationContext) -> rexplug.EvaluationResult:
        """Leave ranking, fine-tuning, metrics, intervals and items to the harness."""
        return context.retrieval(self.collection(), self.tuning)

    def test_texts(self) -> dict[str, str]:
        """What decontamination removes from the training text."""
        return self.collection().texts()


# -- end EvaluationContext --


# -- start COMPONENTS --
COMPONENTS = [
    Statutes,
    Opinions,
    HasCitation,
    WithoutLetterhead,
    ByCitations,
    LawLast,
    SalientFirst,
    Citations,
    AreaOfLaw,
    FindsStatute,
]
# -- end COMPONENTS --
