"""The core's evaluators; light at import, the work is done in the modules that their methods import."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from rexplug.components import (
    DocumentSource,
    EvaluationContext,
    EvaluationResult,
    Evaluator,
    ExampleTask,
    FineTuning,
    Use,
)
from rexplug.io.hub import HubName


class _OnTexts(Evaluator):
    """Measures on documents: those that a run held out, or its own."""

    documents: int = Field(default=120, ge=1)
    """Documents of each source."""
    sources: tuple[str, ...] | None = None
    """Which sources' documents; all if left out."""
    part: Literal["all", "dev", "test"] = "all"
    """Half of the documents, by a hash of their text: `dev` to choose by, `test` to report what was chosen."""
    texts: dict[str, Annotated[DocumentSource, Use()]] = Field(default_factory=dict)
    """Name -> source of documents to measure on in place of a run's held-out ones; no model must have trained on them."""

    @property
    def needs_held_out(self) -> bool:
        """Unless it has texts of its own."""
        return not self.texts

    def check(self) -> None:
        """Look whether the own texts can be read."""
        for source in self.texts.values():
            source.check()

    def hub_names(self) -> Sequence[HubName]:
        """Where own texts lie on the hub."""
        return [name for source in self.texts.values() for name in source.hub_names()]

    def inputs(self) -> Sequence[Path]:
        """The files of the own texts."""
        return [path for source in self.texts.values() for path in source.inputs()]

    def test_texts(self) -> Mapping[str, str]:
        """The own documents that are measured on, whole."""
        from rexplug.evaluation.recovery import own_texts

        return {f"{name}/{each.id}": each.text for name, found in own_texts(self).items() for each in found}

    def why_no_test_texts(self) -> str | None:
        """Held-out documents are not known before curation; curation itself keeps them and their copies from training."""
        return None if self.texts else "it measures on documents that the run holds out after curation"


class MaskedRecovery(_OnTexts):
    """Mask words of held-out documents and count those that the model gives back.

    `ours`: whole words behind [MASK], the same words for every tokenizer, salient and plain words apart; `published`:
    the protocol of bajajra/RexBERT `eval/mlm` (128-token blocks, 15 %, 80/10/10, top 1, 3 and 5).
    """

    name: ClassVar[str] = "masked_recovery"

    words: int = Field(default=128, ge=8)
    """Words of a document that are looked at, from its start."""
    rate: float = Field(default=0.15, gt=0, lt=1)
    """Share of the words that is masked."""
    draws: int = Field(default=1, ge=1)
    """How often each document is masked, no word twice: more words judged in few documents, narrower intervals."""
    published: bool = True
    """Run the published protocol too."""
    published_limit: int | None = Field(default=1024, ge=128)
    """Tokens of a document that the published protocol sees; it sets no limit (`null`), which takes longer."""

    @model_validator(mode="after")
    def _words_suffice(self) -> Self:
        if self.draws * self.rate > 1:
            raise PydanticCustomError(
                "draws", "draws times rate is above 1: there are not that many words to mask; lower one of them", {}
            )
        return self

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Accuracy per source with bootstrap intervals over documents."""
        from rexplug.evaluation.recovery import evaluate_recovery

        return evaluate_recovery(self, context)


class LongDocuments(_OnTexts):
    """Masked-token recovery in long documents, by position: what a context extension is for.

    Words all over a document are masked, and the share that comes back is told apart by where they stand, in tokens of
    the evaluated model. Our protocol.
    """

    name: ClassVar[str] = "long_documents"

    documents: int = Field(default=12, ge=1)
    """Documents of each source that are looked at; those with fewer than `min_words` words are left out."""
    min_words: int = Field(default=1500, ge=1)
    """Shorter documents say nothing about distance."""
    edges: tuple[int, ...] = (0, 512, 1024, 2048, 4096, 8192)
    """Where stretches of positions begin and end."""
    max_tokens: int = Field(default=8192, ge=16)
    """Documents are read up to here."""
    rate: float = Field(default=0.15, gt=0, lt=1)
    """Share of the words that is masked."""

    @model_validator(mode="after")
    def _edges_rise(self) -> Self:
        if len(self.edges) < 3 or list(self.edges) != sorted(set(self.edges)):
            raise PydanticCustomError("edges", "edges rise, and there are at least three of them", {})
        return self

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Accuracy per stretch with bootstrap intervals over documents."""
        from rexplug.evaluation.long_documents import evaluate_long_documents

        return evaluate_long_documents(self, context)


class EmbeddingGeometry(_OnTexts):
    """How embeddings lie before any fine-tune: anisotropy, effective dimensions, and whether nearer means more alike."""

    name: ClassVar[str] = "embedding_geometry"

    words: int = Field(default=128, ge=8)
    """Words of a document, from its start; its halves are embedded apart."""

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """`order` and `anisotropy` with bootstrap intervals over documents."""
        from rexplug.evaluation.geometry import evaluate_geometry

        return evaluate_geometry(self, context)


class RetrievalFolder(Evaluator):
    """A retrieval task on a local folder, run by mteb.

    The folder holds `corpus.jsonl` (`_id`, `text`, perhaps `title`), `queries.jsonl` (`_id`, `text`) and `qrels.tsv`
    (`query-id`, `corpus-id`, `score`, with a header line): the layout of BEIR. With `candidates.jsonl` (`query-id`,
    `corpus-ids`) only these are ranked: reranking. With `train.jsonl` (`query`, `text`) encoders are fine-tuned first.
    """

    name: ClassVar[str] = "retrieval"

    folder: Path
    """The folder."""
    tuning: FineTuning = FineTuning()
    """The fine-tune before ranking, where the folder has `train.jsonl`."""

    @property
    def label(self) -> str:
        """`retrieval.<folder>`."""
        return f"{self.name}.{self.folder.name}"

    def check(self) -> None:
        """The files must be there and hold what they should."""
        from rexplug.evaluation.beir import read_collection

        read_collection(self.folder)

    def inputs(self) -> Sequence[Path]:
        """The files."""
        from rexplug.evaluation.beir import FILES, OPTIONAL

        optional = [self.folder / name for name in OPTIONAL]
        return (*(self.folder / name for name in FILES), *(path for path in optional if path.exists()))

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """nDCG@10 and recall."""
        from rexplug.evaluation.beir import read_collection

        return context.retrieval(read_collection(self.folder), self.tuning)

    def test_texts(self) -> Mapping[str, str]:
        """Documents and queries."""
        from rexplug.evaluation.beir import read_collection

        return read_collection(self.folder).texts()


class Mteb(Evaluator):
    """mteb tasks: one in a local folder that describes itself in `task.yaml`, or tasks that mteb ships, by name.

    A local task is retrieval, reranking, sts, classification or pair_classification; docs/evaluation.md has the format.
    Shipped tasks need their data: from the hub, or already in the local cache. Embeddings are the model's own, not
    fine-tuned, so that figures compare with mteb's tables; mteb's result files lie beside ours.
    """

    name: ClassVar[str] = "mteb"

    folder: Path | None = None
    """A folder with `task.yaml` and the task's data."""
    tasks: tuple[str, ...] = ()
    """Names of tasks that mteb ships, e.g. `ESCIReranking`."""
    max_tokens: int = Field(default=512, ge=8)
    """Longer texts are cut here."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.folder is None) == (not self.tasks):
            raise PydanticCustomError(
                "mteb", "write either 'folder' (a local task) or 'tasks' (names of mteb's own)", {}
            )
        return self

    @property
    def label(self) -> str:
        """`mteb.<folder>` or `mteb.<first task>`."""
        return f"{self.name}.{self.folder.name if self.folder is not None else self.tasks[0]}"

    def check(self) -> None:
        """The folder must hold a task; mteb must know the names."""
        from rexplug.evaluation.local_tasks import known_tasks, read_task

        if self.folder is not None:
            read_task(self.folder)
        else:
            known_tasks(self.tasks)

    def inputs(self) -> Sequence[Path]:
        """The files of a local task."""
        from rexplug.evaluation.local_tasks import files_of

        return files_of(self.folder) if self.folder is not None else ()

    def test_texts(self) -> Mapping[str, str]:
        """The texts of a local task's test split, or of those that mteb evaluates of its own tasks."""
        from rexplug.evaluation.local_tasks import known_texts, read_task

        return read_task(self.folder).texts() if self.folder is not None else known_texts(self.tasks)

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Each task's main score."""
        from rexplug.evaluation.local_tasks import evaluate_local, evaluate_named

        if self.folder is not None:
            return evaluate_local(self.folder, self.max_tokens, context)
        return evaluate_named(self.tasks, self.max_tokens, context)


class _OnFiles(Evaluator):
    """Learns and measures on tables: .jsonl, .csv or .tsv, compressed or not."""

    title: str | None = Field(default=None, pattern=r"^[a-z0-9_-]+$")
    """Tells several uses of this evaluator apart; part of the result's name."""
    train: Path
    """Examples to learn from."""
    dev: Path | None = None
    """Examples to choose by; a tenth of `train`, by a hash of the text, if left out."""
    test: Path | None = None
    """Examples to report; a fifth of `train`, by a hash of the text, if left out."""
    columns: tuple[str, ...] | None = None
    """Names of the columns of tables without a header line."""
    label_column: str = "label"
    """The column with what is right."""
    tuning: FineTuning = FineTuning()
    """What the fine-tune may cost."""

    @property
    def label(self) -> str:
        """`<name>.<title>`."""
        return f"{self.name}.{self.title}" if self.title else self.name

    def inputs(self) -> Sequence[Path]:
        """The tables."""
        return [path for path in (self.train, self.dev, self.test) if path is not None]

    def check(self) -> None:
        """Read the first row of each table."""
        from rexplug.evaluation.examples import check_tables

        check_tables(self)

    @abstractmethod
    def task(self) -> ExampleTask:
        """The examples by split."""

    def test_texts(self) -> Mapping[str, str]:
        """The texts of the test split."""
        return self.task().texts()


class Similarity(_OnFiles):
    """Degrees of similarity of pairs of texts, e.g. STS-B: a CoSENT fine-tune and Spearman's correlation on test."""

    name: ClassVar[str] = "similarity"

    label_column: str = "score"
    """The column with the degree; any scale."""
    text_columns: tuple[str, str] = ("sentence1", "sentence2")
    """The columns with the two texts."""

    def task(self) -> ExampleTask:
        """Pairs of texts and their degrees."""
        from rexplug.evaluation.examples import read_examples

        return read_examples(self, self.text_columns, degrees=True)

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """`spearman`."""
        return context.similarity(self.task(), self.tuning)


class Classification(_OnFiles):
    """Classes of texts, e.g. sentiment: a fine-tune, and accuracy and macro F1 on test."""

    name: ClassVar[str] = "classification"

    text_columns: tuple[str, ...] = Field(default=("text",), min_length=1)
    """The columns whose texts are joined by a blank."""

    def task(self) -> ExampleTask:
        """Texts and their classes."""
        from rexplug.evaluation.examples import read_examples

        return read_examples(self, self.text_columns)

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """`accuracy` and `macro_f1`."""
        return context.classification(self.task(), self.tuning)


class PairClassification(_OnFiles):
    """Whether two texts belong together: a fine-tune on both texts at once, and F1 on test."""

    name: ClassVar[str] = "pair_classification"

    text_columns: tuple[str, str] = ("sentence1", "sentence2")
    """The columns with the two texts."""
    positive: str = "1"
    """The label of pairs that belong together."""

    def task(self) -> ExampleTask:
        """Pairs of texts and whether they belong together."""
        from rexplug.evaluation.examples import read_examples

        return read_examples(self, self.text_columns, pairs=True)

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """`f1` and `accuracy`."""
        return context.pair_classification(self.task(), self.tuning, self.positive)
