"""mteb tasks in a folder that describes itself in a few lines, and mteb's own tasks by name."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from rexplug.components import EvaluationContext, EvaluationResult, Metric, RetrievalCollection, Scores
from rexplug.errors import DataError, NotApplicable, one_line
from rexplug.evaluation.beir import FILES, OPTIONAL, read_collection
from rexplug.evaluation.statistics import metric
from rexplug.io.tabular import KINDS, column, read_records
from rexplug.recipe import load_section
from rexplug.recipe.schema import Section

DESCRIPTION = "task.yaml"
_COMPRESSED = ("", ".gz", ".zst")


class TaskDescription(Section):
    """`task.yaml` of a local task."""

    type: Literal["retrieval", "reranking", "sts", "classification", "pair_classification"]
    """What the task is; it decides which files the folder holds."""
    description: str = ""
    """One sentence for mteb's metadata."""
    language: str = Field(default="eng-Latn", pattern=r"^[a-z]{3}-[A-Z][a-z]{3}$")
    """Language and script as mteb writes them."""
    synthetic: bool = False
    """Whether the texts were written by a program; shown wherever results are."""


@dataclass(frozen=True)
class LocalTask:
    """A task as read from its folder: `collection` of (re)ranking tasks, else `rows` of its tables by split."""

    name: str
    description: TaskDescription
    collection: RetrievalCollection | None
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    revision: str

    def texts(self) -> dict[str, str]:
        """Documents and queries, or the texts of the test split; what decontamination looks for."""
        if self.collection is not None:
            return self.collection.texts()
        columns = [name for name in _COLUMNS[self.description.type] if name not in ("score", "label")]
        return {f"test {number}, {name}": row[name] for number, row in enumerate(self.rows["test"]) for name in columns}


_COLUMNS = {
    "sts": ("sentence1", "sentence2", "score"),
    "pair_classification": ("sentence1", "sentence2", "label"),
    "classification": ("text", "label"),
}
_SPLITS = {"sts": ("test",), "pair_classification": ("test",), "classification": ("train", "test")}
_MAIN = {"sts": "cosine_spearman", "pair_classification": "max_ap", "classification": "accuracy"}


def read_task(folder: Path) -> LocalTask:
    """Read and check a task.

    Raises:
        RecipeError: `task.yaml` is missing or wrong, with its line.
        DataError: a file is missing, or a line does not hold what it should; with file and line.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise DataError(f"{path} is missing; it says what the task is, e.g. 'type: retrieval'")
    description = load_section(path, TaskDescription)
    kind = description.type
    if kind in ("retrieval", "reranking"):
        collection = read_collection(folder)
        if (kind == "reranking") != (collection.candidates is not None):
            what = "needs" if kind == "reranking" else "has no use for"
            raise DataError(f"{path}: a {kind} task {what} {folder / OPTIONAL[0]}")
        return LocalTask(folder.name, description, collection, {}, _hash(folder))
    rows = {split: _rows(_table(folder, split), kind) for split in _SPLITS[kind]}
    if kind == "classification":
        strange = sorted({row["label"] for row in rows["test"]} - {row["label"] for row in rows["train"]})
        if strange:
            raise DataError(f"{_table(folder, 'test')}: the class '{strange[0]}' does not occur in train")
    return LocalTask(folder.name, description, None, rows, _hash(folder))


def files_of(folder: Path) -> list[Path]:
    """The files that are there of a task."""
    tables = [folder / f"{split}{kind}{c}" for split in ("train", "test") for kind in KINDS for c in _COMPRESSED]
    own = [folder / name for name in (DESCRIPTION, *FILES, *OPTIONAL)]
    return [path for path in dict.fromkeys([*own, *tables]) if path.is_file()]


def known_tasks(names: Sequence[str]) -> list[Any]:
    """mteb's tasks of these names.

    Raises:
        DataError: mteb has none of that name; the message names the nearest.
    """
    from rexplug.evaluation.mteb_runner import quiet

    found = []
    with quiet():
        import mteb

        for name in names:
            try:
                found.append(mteb.get_task(name))
            except KeyError:
                every = [task.metadata.name for task in mteb.get_tasks()]
                close = difflib.get_close_matches(name, every, n=1, cutoff=0.4)
                hint = f"; did you mean '{close[0]}'?" if close else ""
                raise DataError(f"mteb has no task '{name}'{hint}") from None
    return found


def known_texts(names: Sequence[str]) -> dict[str, str]:
    """The texts that mteb evaluates of its own tasks; loads their data.

    Raises:
        DataError: a task is unknown, or its data cannot be had.
    """
    from rexplug.evaluation.mteb_runner import quiet

    found: dict[str, str] = {}
    for name, task in zip(names, known_tasks(names), strict=True):
        try:
            with quiet():
                task.load_data()
        except Exception as error:  # whatever the hub's clients raise
            raise DataError(
                f"mteb: the data of '{name}' cannot be had, so no training text can be kept apart from it: {one_line(error, 200)} "
                "(HF_HUB_OFFLINE=0 lets it load; curation.decontaminate may name the other evaluators alone)"
            ) from None
        found |= {f"{name} {key}": text for key, text in split_texts(task.dataset, task.eval_splits)}
    return found


def split_texts(data: Any, splits: Sequence[str], place: str = "") -> Iterator[tuple[str, str]]:
    """The texts of several words in an mteb task's data (mappings of subsets, splits and tables), of `splits` alone."""
    if isinstance(data, Mapping):
        for key in [key for key in data if key in splits] or list(data):
            if key not in ("relevant_docs", "top_ranked"):
                yield from split_texts(data[key], splits, f"{place}{key}/")
    elif isinstance(data, str):
        if len(data.split()) > 1:
            yield place, data
    elif data is not None and hasattr(data, "column_names"):
        for number, row in enumerate(data):
            yield from (
                (each, text) for name in row for each, text in split_texts(row[name], (), f"{place}{number}.{name}")
            )
    elif isinstance(data, list):
        for number, each in enumerate(data):
            yield from split_texts(each, (), f"{place}.{number}")


def evaluate_local(folder: Path, max_tokens: int, context: EvaluationContext) -> EvaluationResult:
    """Run a local task on mteb.

    Raises:
        DataError: the task cannot be read or run.
        NotApplicable: the model has no embeddings and the task is not about ranking.
    """
    task = read_task(folder)
    if task.collection is not None:
        result = context.retrieval(task.collection)
        note = ["The texts are synthetic."] if task.description.synthetic else []
        return EvaluationResult(result.metrics, main=result.main, notes=[*result.notes, *note], scores=result.scores)
    from rexplug.evaluation.mteb_runner import as_model, run_task

    encoder = _encoder(context)
    seen: dict[str, Any] = {}

    def encode(texts: Sequence[str]) -> Any:
        new = [text for text in dict.fromkeys(texts) if text not in seen]
        seen.update(zip(new, encoder.encode(new, max_tokens), strict=True))
        return np.stack([seen[text] for text in texts])

    model = as_model(
        encode, name="rexplug/encoder", revision=f"{encoder.revision}-{max_tokens}", num_dimensions=encoder.num_dimensions,
        max_tokens=min(max_tokens, encoder.max_tokens),
    )  # fmt: skip
    main = _MAIN[task.description.type]
    found = run_task(_as_mteb(task), model, context.folder)
    metrics = {main: Metric(float(found["main_score"]), num_items=len(task.rows["test"]))}
    scores = {}
    if task.description.type == "sts":
        rows = task.rows["test"]
        one, two = (encode([row[side] for row in rows]) for side in ("sentence1", "sentence2"))
        cosines = (one * two).sum(1) / np.maximum(np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1), 1e-12)
        ids = [str(number) for number in range(len(rows))]
        scores[main] = Scores(ids, [np.round(cosines, 6).tolist()], targets=[row["score"] for row in rows])
        metrics[main] = metric(scores[main], context.seed)
    notes = ["Embeddings are not fine-tuned; mteb fits what the task needs on top of them."]
    if task.description.synthetic:
        notes.append("The texts are synthetic.")
    return EvaluationResult(metrics, main=main, notes=notes, scores=scores)


def evaluate_named(names: Sequence[str], max_tokens: int, context: EvaluationContext) -> EvaluationResult:
    """Run mteb's own tasks; metrics are their main scores.

    Raises:
        DataError: a task is unknown, or its data cannot be had.
    """
    from rexplug.evaluation.mteb_runner import as_model, run_task

    encoder = _encoder(context)
    model = as_model(
        lambda texts: encoder.encode(texts, max_tokens), name="rexplug/encoder", revision=f"{encoder.revision}-{max_tokens}",
        num_dimensions=encoder.num_dimensions, max_tokens=min(max_tokens, encoder.max_tokens),
    )  # fmt: skip
    metrics = {}
    for name, task in zip(names, known_tasks(names), strict=True):
        try:
            found = run_task(task, model, context.folder)
        except DataError as error:
            raise DataError(
                f"{error}; mteb's own tasks need their data from the hub or in its local cache (HF_HUB_OFFLINE=0 lets it load)"
            ) from None
        metrics[name] = Metric(float(found["main_score"]))
    return EvaluationResult(metrics, main=names[0], notes=["Embeddings are not fine-tuned."])


def _encoder(context: EvaluationContext) -> Any:
    from rexplug.evaluation.lexical import LexicalModel

    if isinstance(context.encoder, LexicalModel):
        raise NotApplicable(f"{context.encoder.kind} compares words; this mteb task needs embeddings")
    return context.encoder


def _as_mteb(task: LocalTask) -> Any:
    from rexplug.evaluation.mteb_runner import metadata, quiet

    kind = task.description.type
    with quiet():
        from datasets import Dataset, DatasetDict
        from mteb.abstasks import AbsTaskClassification, AbsTaskPairClassification, AbsTaskSTS

    base, type_ = {
        "sts": (AbsTaskSTS, "STS"), "pair_classification": (AbsTaskPairClassification, "PairClassification"),
        "classification": (AbsTaskClassification, "Classification"),
    }[kind]  # fmt: skip
    name = "".join(part[:1].upper() + part[1:] for part in task.name.replace("-", "_").replace(".", "_").split("_"))
    description = task.description.description or f"Local task {task.name}."
    rows = {split: [dict(row) for row in each] for split, each in task.rows.items()}
    if kind == "pair_classification":
        rows = {split: [{**row, "labels": row["label"]} for row in each] for split, each in rows.items()}
    if kind == "classification":  # mteb wants numbers where there are two classes
        classes = {label: number for number, label in enumerate(sorted({row["label"] for row in rows["train"]}))}
        rows = {split: [{**row, "label": classes[row["label"]]} for row in each] for split, each in rows.items()}
    degrees = [row["score"] for row in rows["test"]] if kind == "sts" else [0.0]

    described = metadata(type_, name, description, _MAIN[kind], task.revision, task.description.language)

    class Local(base):  # type: ignore[misc,valid-type]
        metadata = described
        min_score, max_score = min(degrees), max(degrees)

        def load_data(self, *args: Any, **kwargs: Any) -> None:
            self.dataset = DatasetDict({split: Dataset.from_list(each) for split, each in rows.items()})
            self.data_loaded = True

    return Local()


def _table(folder: Path, split: str) -> Path:
    found = [path for path in files_of(folder) if path.name.split(".")[0] == split]
    if len(found) != 1:
        kinds = ", ".join(f"{split}{kind}" for kind in KINDS)
        what = f"several files of the split {split}" if found else f"no {split} split"
        raise DataError(f"{folder} has {what}; it is one of {kinds} (.gz and .zst may follow)")
    return found[0]


def _rows(path: Path, kind: str) -> list[dict[str, Any]]:
    rows = []
    for number, row in read_records(path):
        place = f"{path}:{number}"
        kept = {name: column(row, [name], place) for name in _COLUMNS[kind]}
        for name, value in kept.items():
            if name in ("score", "label"):
                continue
            if not isinstance(value, str) or not value.strip():
                raise DataError(f"{place}: {name} is no text")
        if kind == "sts":
            kept["score"] = _number(kept["score"], place)
        if kind == "pair_classification":
            if str(kept["label"]) not in ("0", "1"):
                raise DataError(f"{place}: label is {kept['label']!r}; it is 1 for pairs that belong together, else 0")
            kept["label"] = int(kept["label"])
        if kind == "classification":
            kept["label"] = str(kept["label"])
        rows.append(kept)
    if not rows:
        raise DataError(f"{path} is empty")
    return rows


def _number(value: Any, place: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(f"{place}: score is {value!r}, which is no number") from None


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in files_of(folder):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]
