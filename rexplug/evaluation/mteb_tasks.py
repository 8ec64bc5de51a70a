"""mteb's own tasks by name, and local tasks run as mteb tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from rexplug.components import EvaluationContext, EvaluationResult, Evaluator
from rexplug.errors import NotApplicable
from rexplug.evaluation.lexical import LexicalModel
from rexplug.evaluation.local_tasks import MAIN_SCORES, LocalTask, read_task, task_files
from rexplug.recipe.evaluation import Similarity

DEFAULT_MAX_TOKENS = 512
"""Where texts are cut if an evaluator does not set a limit."""


class Mteb(Evaluator):
    """mteb tasks: one in a local folder that describes itself in `task.yaml`, or tasks that mteb ships, by name.

    A local task is retrieval, reranking, sts, classification or pair_classification; its format is described in
    docs/guide/evaluate-and-compare.md. Shipped tasks need their data: from the hub, or already in the local cache.
    Embeddings are the model's own, not fine-tuned, so that metrics compare with mteb's tables; mteb's result files are
    stored beside ours.
    """

    name: ClassVar[str] = "mteb"

    folder: Path | None = None
    """A folder with `task.yaml` and the task's data."""
    tasks: tuple[str, ...] = ()
    """Names of tasks that mteb ships, e.g. `ESCIReranking`; of several the main metric is their mean, as in mteb's tables."""
    languages: tuple[str, ...] = ()
    """Only the subsets in one of these languages, as mteb writes them (`eng`, `eng-Latn`); all if left out."""
    subsets: tuple[str, ...] = ()
    """Only these subsets of multilingual tasks, e.g. `de-en`; all if left out."""
    splits: tuple[str, ...] = ()
    """Only these of the splits that mteb evaluates; all if left out."""
    max_tokens: Annotated[int, Field(ge=8)] | None = None
    """Texts are cut here, as far as the model's positions reach, even beyond the length that it states itself. If left out, at
    the model's own length, at most 512 tokens."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.folder is None) == (not self.tasks):
            raise PydanticCustomError(
                "mteb", "write either 'folder' (a local task) or 'tasks' (names of mteb's own)", {}
            )
        if self.folder is not None and (chosen := self.languages or self.subsets or self.splits):
            name = next(name for name in ("languages", "subsets", "splits") if getattr(self, name) == chosen)
            raise PydanticCustomError(
                "mteb", "'{name}' selects from mteb's own tasks; a 'folder' has none", {"name": name}
            )
        if repeated := [name for name in self.tasks if self.tasks.count(name) > 1]:
            raise PydanticCustomError("mteb", "the task '{name}' is named twice", {"name": repeated[0]})
        return self

    @property
    def label(self) -> str:
        """`mteb.<folder>` or `mteb.<first task>`, with what is selected from the tasks: `mteb.STS22-eng`."""
        if self.folder is not None:
            return f"{self.name}.{self.folder.name}"
        return f"{self.name}.{'-'.join([self.tasks[0], *self.languages, *self.subsets, *self.splits])}"

    def check(self) -> None:
        """Check that the folder holds a task, or that mteb knows the names."""
        if self.folder is not None:
            read_task(self.folder)
        else:
            self._named()

    def inputs(self) -> Sequence[Path]:
        """The files of a local task."""
        return task_files(self.folder) if self.folder is not None else ()

    def test_texts(self) -> Mapping[str, str]:
        """The texts of a local task's test split, or of the splits that mteb evaluates of its own tasks."""
        if self.folder is not None:
            return read_task(self.folder).texts()
        from rexplug.evaluation.mteb_named import texts_of

        return texts_of(self._named())

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Measure the main score of each task.

        Raises:
            DataError: a task is unknown, its data cannot be read, or mteb could not run it.
            NotApplicable: the model has no embeddings and a task is not about ranking.
        """
        if self.folder is not None:
            return _evaluate_local(read_task(self.folder), self.max_tokens, context)
        from rexplug.evaluation.late_interaction import LateInteractionEncoder
        from rexplug.evaluation.mteb_named import evaluate_named, is_ranking
        from rexplug.evaluation.mteb_runner import as_search

        named = self._named()
        if isinstance(context.encoder, LateInteractionEncoder):
            for task in named:
                if not is_ranking(task):
                    raise NotApplicable(
                        f"a late-interaction model ranks texts, and {task.metadata.name} needs a single embedding of a text"
                    )
            return evaluate_named(named, context.encoder.as_search("rexplug/late-interaction"), context)
        if isinstance(context.encoder, LexicalModel) and all(is_ranking(task) for task in named):
            return evaluate_named(named, as_search(context.encoder), context)
        return evaluate_named(named, _as_model(*_encoder(context, self.max_tokens)), context)

    def _named(self) -> list[Any]:
        from rexplug.evaluation.mteb_named import find_tasks

        return find_tasks(self.tasks, self.languages, self.subsets, self.splits)


def _evaluate_local(task: LocalTask, max_tokens: int | None, context: EvaluationContext) -> EvaluationResult:
    if task.collection is not None:
        result = context.retrieval(task.collection, max_tokens=max_tokens)
        note = ["The texts are synthetic."] if task.description.synthetic else []
        return replace(result, notes=[*result.notes, *note])
    from rexplug.evaluation.mteb_named import measure_task

    encoder, limit = _encoder(context, max_tokens)
    main = MAIN_SCORES[task.description.type]
    measured = measure_task(_as_mteb(task, encoder.usage.similarity), _as_model(encoder, limit), context)
    notes = ["Embeddings are not fine-tuned; mteb fits what the task needs on top of them.", *measured.notes(main)]
    if task.description.synthetic:
        notes.append("The texts are synthetic.")
    scores = {} if measured.scores is None else {main: measured.scores}
    return EvaluationResult({main: measured.metric(context.seed)}, main=main, notes=notes, scores=scores)


def _encoder(context: EvaluationContext, max_tokens: int | None) -> tuple[Any, int]:
    """The encoder, and the number of tokens after which it cuts texts."""
    if isinstance(context.encoder, LexicalModel):
        raise NotApplicable(f"{context.encoder.kind} compares words; this mteb task needs embeddings")
    from rexplug.evaluation.late_interaction import LateInteractionEncoder

    if isinstance(context.encoder, LateInteractionEncoder):
        raise NotApplicable("a late-interaction model ranks texts; this mteb task needs a single embedding of a text")
    encoder: Any = context.encoder
    return encoder.reading(max_tokens), max_tokens or DEFAULT_MAX_TOKENS


def _as_model(encoder: Any, max_tokens: int) -> Any:
    from rexplug.evaluation.mteb_runner import as_model

    return as_model(
        partial(encoder.encode, max_tokens=max_tokens),
        name="rexplug/encoder",
        revision=f"{encoder.revision}-{max_tokens}",
        num_dimensions=encoder.num_dimensions,
        max_tokens=min(max_tokens, encoder.max_tokens),
        similarity=encoder.usage.similarity,
        prompts=encoder.usage.named,
    )


def _as_mteb(task: LocalTask, similarity: Similarity) -> Any:
    """A task with tables as an object of mteb's class for its kind; degrees of similarity are compared with the model's own."""
    from rexplug.evaluation.mteb_runner import silenced_mteb, task_metadata, task_name

    kind = task.description.type
    with silenced_mteb():
        from datasets import Dataset, DatasetDict
        from mteb.abstasks import AbsTaskClassification, AbsTaskPairClassification, AbsTaskSTS

    base: Any
    base, mteb_type = {
        "sts": (AbsTaskSTS, "STS"),
        "pair_classification": (AbsTaskPairClassification, "PairClassification"),
        "classification": (AbsTaskClassification, "Classification"),
    }[kind]
    rows_of = {split: [dict(row) for row in rows] for split, rows in task.rows.items()}
    if kind == "pair_classification":
        rows_of = {split: [{**row, "labels": row["label"]} for row in rows] for split, rows in rows_of.items()}
    if kind == "classification":  # mteb wants numbers where there are two classes
        classes = {label: number for number, label in enumerate(sorted({row["label"] for row in rows_of["train"]}))}
        rows_of = {split: [{**row, "label": classes[row["label"]]} for row in rows] for split, rows in rows_of.items()}
    degrees = [row["score"] for row in rows_of["test"]] if kind == "sts" else [0.0]
    described = task_metadata(
        mteb_type,
        task_name(task.name.replace("-", "_")),
        task.description.description or f"Local task {task.name}.",
        "spearman" if kind == "sts" and similarity != "cosine" else MAIN_SCORES[kind],
        task.revision,
        task.description.language,
    )

    class LocalTables(base):
        metadata = described
        min_score, max_score = min(degrees), max(degrees)

        def load_data(self, *args: Any, **kwargs: Any) -> None:
            self.dataset = DatasetDict({split: Dataset.from_list(rows) for split, rows in rows_of.items()})
            self.data_loaded = True

    return LocalTables()
