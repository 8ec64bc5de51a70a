"""mteb's own tasks by name, and local tasks run as mteb tasks."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from rexplug.components import EvaluationContext, EvaluationResult, Evaluator, Metric, Scores
from rexplug.errors import DataError, NotApplicable, one_line
from rexplug.evaluation.lexical import LexicalModel
from rexplug.evaluation.local_tasks import MAIN_SCORES, LocalTask, read_task, task_files

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
    """Names of tasks that mteb ships, e.g. `ESCIReranking`."""
    max_tokens: Annotated[int, Field(ge=8)] | None = None
    """Texts are cut here, as far as the model's positions reach, even beyond the length that it states itself. If left out, at
    the model's own length, at most 512 tokens."""

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
        """Check that the folder holds a task, or that mteb knows the names."""
        if self.folder is not None:
            read_task(self.folder)
        else:
            known_tasks(self.tasks)

    def inputs(self) -> Sequence[Path]:
        """The files of a local task."""
        return task_files(self.folder) if self.folder is not None else ()

    def test_texts(self) -> Mapping[str, str]:
        """The texts of a local task's test split, or of the splits that mteb evaluates of its own tasks."""
        return read_task(self.folder).texts() if self.folder is not None else known_texts(self.tasks)

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Measure the main score of each task.

        Raises:
            DataError: a task is unknown, its data cannot be read, or mteb could not run it.
            NotApplicable: the model has no embeddings and the task is not about ranking.
        """
        if self.folder is not None:
            return _evaluate_local(read_task(self.folder), self.max_tokens, context)
        return _evaluate_named(self.tasks, self.max_tokens, context)


def known_tasks(names: Sequence[str]) -> list[Any]:
    """mteb's tasks of these names.

    Raises:
        DataError: mteb has none of that name; the message names the nearest.
    """
    from rexplug.evaluation.mteb_runner import silenced_mteb

    tasks = []
    with silenced_mteb():
        import mteb

        for name in names:
            try:
                tasks.append(mteb.get_task(name))
            except KeyError:
                all_names = [task.metadata.name for task in mteb.get_tasks()]
                close = difflib.get_close_matches(name, all_names, n=1, cutoff=0.4)
                hint = f"; did you mean '{close[0]}'?" if close else ""
                raise DataError(f"mteb has no task '{name}'{hint}") from None
    return tasks


def known_texts(names: Sequence[str]) -> dict[str, str]:
    """The texts that mteb evaluates of its own tasks; loads their data.

    Raises:
        DataError: a task is unknown, or its data cannot be loaded.
    """
    from rexplug.evaluation.mteb_runner import silenced_mteb

    texts: dict[str, str] = {}
    for name, task in zip(names, known_tasks(names), strict=True):
        try:
            with silenced_mteb():
                task.load_data()
        except Exception as error:  # whatever the hub's clients raise
            raise DataError(
                f"mteb: the data of '{name}' cannot be loaded, so no training text can be compared with it: "
                f"{one_line(error, 200)} (HF_HUB_OFFLINE=0 lets it load; curation.decontaminate may name the other "
                "evaluators alone)"
            ) from None
        texts |= {f"{name} {key}": text for key, text in split_texts(task.dataset, task.eval_splits)}
    return texts


def split_texts(data: Any, splits: Sequence[str], place: str = "") -> Iterator[tuple[str, str]]:
    """The texts of more than one word in the data of an mteb task, each with its place.

    Args:
        data: mappings of subsets, splits and columns, tables of datasets, lists and texts, nested in any way.
        splits: on the level that has one of these keys, the others are left out.
        place: of `data`, first part of the places.
    """
    if isinstance(data, Mapping):
        for key in [key for key in data if key in splits] or list(data):
            if key not in ("relevant_docs", "top_ranked"):
                yield from split_texts(data[key], splits, f"{place}{key}/")
    elif isinstance(data, str):
        if len(data.split()) > 1:
            yield place, data
    elif data is not None and hasattr(data, "column_names"):
        for number, row in enumerate(data):
            for name in row:
                yield from split_texts(row[name], (), f"{place}{number}.{name}")
    elif isinstance(data, list):
        for number, item in enumerate(data):
            yield from split_texts(item, (), f"{place}.{number}")


def _evaluate_local(task: LocalTask, max_tokens: int | None, context: EvaluationContext) -> EvaluationResult:
    if task.collection is not None:
        result = context.retrieval(task.collection, max_tokens=max_tokens)
        note = ["The texts are synthetic."] if task.description.synthetic else []
        return replace(result, notes=[*result.notes, *note])
    import numpy as np

    from rexplug.evaluation.cosine import paired_similarities
    from rexplug.evaluation.mteb_runner import run_task
    from rexplug.evaluation.statistics import metric

    encoder, limit = _encoder(context, max_tokens)
    cached: dict[Any, Any] = {}

    def encode(texts: Sequence[str], *, role: Any, prompt: str | None) -> Any:
        new = [text for text in dict.fromkeys(texts) if (text, role, prompt) not in cached]
        found = encoder.encode(new, limit, role=role, prompt=prompt)
        cached.update(zip([(text, role, prompt) for text in new], found, strict=True))
        return np.stack([cached[text, role, prompt] for text in texts])

    main = MAIN_SCORES[task.description.type]
    of_mteb, model = _as_mteb(task), _as_model(encoder, limit, encode)
    mteb_scores = run_task(of_mteb, model, context.folder)
    metrics = {main: Metric(float(mteb_scores["main_score"]), num_items=len(task.rows["test"]))}
    scores = {}
    if task.description.type == "sts":
        rows = task.rows["test"]
        prompt = model.prompt_for(of_mteb.metadata)
        first, second = (
            encode([row[side] for row in rows], role=None, prompt=prompt) for side in ("sentence1", "sentence2")
        )
        cosines = np.round(paired_similarities(first, second, encoder.usage.similarity), 6).tolist()
        ids = [str(number) for number in range(len(rows))]
        scores[main] = Scores(ids, [cosines], targets=[row["score"] for row in rows])
        metrics[main] = metric(scores[main], context.seed)
    notes = ["Embeddings are not fine-tuned; mteb fits what the task needs on top of them."]
    if task.description.synthetic:
        notes.append("The texts are synthetic.")
    return EvaluationResult(metrics, main=main, notes=notes, scores=scores)


def _evaluate_named(names: Sequence[str], max_tokens: int | None, context: EvaluationContext) -> EvaluationResult:
    from rexplug.evaluation.mteb_runner import run_task

    encoder, limit = _encoder(context, max_tokens)
    model = _as_model(encoder, limit, partial(encoder.encode, max_tokens=limit))
    metrics = {}
    for name, task in zip(names, known_tasks(names), strict=True):
        try:
            mteb_scores = run_task(task, model, context.folder)
        except DataError as error:
            raise DataError(
                f"{error}; mteb's own tasks need their data from the hub or in its local cache (HF_HUB_OFFLINE=0 lets it load)"
            ) from None
        metrics[name] = Metric(float(mteb_scores["main_score"]))
    return EvaluationResult(metrics, main=names[0], notes=["Embeddings are not fine-tuned."])


def _encoder(context: EvaluationContext, max_tokens: int | None) -> tuple[Any, int]:
    """The encoder, and where texts are cut."""
    if isinstance(context.encoder, LexicalModel):
        raise NotApplicable(f"{context.encoder.kind} compares words; this mteb task needs embeddings")
    encoder: Any = context.encoder
    return encoder.reading(max_tokens), max_tokens or DEFAULT_MAX_TOKENS


def _as_model(encoder: Any, max_tokens: int, encode: Callable[..., Any]) -> Any:
    from rexplug.evaluation.mteb_runner import as_model

    return as_model(
        encode,
        name="rexplug/encoder",
        revision=f"{encoder.revision}-{max_tokens}",
        num_dimensions=encoder.num_dimensions,
        max_tokens=min(max_tokens, encoder.max_tokens),
        similarity=encoder.usage.similarity,
        prompts=encoder.usage.named,
    )


def _as_mteb(task: LocalTask) -> Any:
    """A task with tables as an object of mteb's class for its kind."""
    from rexplug.evaluation.mteb_runner import silenced_mteb, task_metadata, task_name

    kind = task.description.type
    with silenced_mteb():
        from datasets import Dataset, DatasetDict
        from mteb.abstasks import AbsTaskClassification, AbsTaskPairClassification, AbsTaskSTS

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
        MAIN_SCORES[kind],
        task.revision,
        task.description.language,
    )

    class LocalTables(base):  # type: ignore[misc,valid-type]
        metadata = described
        min_score, max_score = min(degrees), max(degrees)

        def load_data(self, *args: Any, **kwargs: Any) -> None:
            self.dataset = DatasetDict({split: Dataset.from_list(rows) for split, rows in rows_of.items()})
            self.data_loaded = True

    return LocalTables()
