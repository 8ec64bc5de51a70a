"""mteb's own tasks by name: finding them, their texts, and their main scores with intervals."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from rexplug.components import EvaluationContext, EvaluationResult, Metric, Scores
from rexplug.errors import DataError, one_line
from rexplug.evaluation.mteb_items import NoItemScores, Recorder, is_of_class
from rexplug.evaluation.mteb_runner import run_task, silenced_mteb
from rexplug.evaluation.statistics import bootstrap_metric
from rexplug.io.atomic import remove, write_json
from rexplug.run_directory import read_json

MEAN = "mean"
"""The metric of several tasks: the mean of their main scores, as in mteb's tables."""
_DONE = "done"
"""The folder with the results of finished tasks until all tasks are measured."""


@dataclass(frozen=True)
class Measured:
    """The main score of a task by mteb, the scores of its items or the reason why there are none, and its parts."""

    main_score: float
    scores: Scores | None
    reason: str
    rows: Sequence[Mapping[str, Any]]

    def metric(self, seed: int) -> Metric:
        """The main score, with an interval if there are scores of items."""
        if self.scores is None:
            return Metric(self.main_score)
        return replace(bootstrap_metric(self.scores, seed), value=self.main_score)

    def notes(self, name: str) -> list[str]:
        """Why there is no interval, if there is none."""
        return [f"{name} has no interval: {self.reason}."] if self.scores is None else []


def find_tasks(
    names: Sequence[str], languages: Sequence[str] = (), subsets: Sequence[str] = (), splits: Sequence[str] = ()
) -> list[Any]:
    """mteb's tasks of these names, with the subsets and splits that are asked for.

    Raises:
        DataError: mteb has no such task, subset or split, or the task is not about text.
    """
    with silenced_mteb():
        import mteb

        tasks = []
        for name in names:
            try:
                task = mteb.get_task(name)
            except KeyError:
                raise DataError(_unknown(name, [task.metadata.name for task in mteb.get_tasks()])) from None
            if task.is_aggregate:  # its tasks are objects of the class, which would keep what is selected and recorded
                task = deepcopy(task)
            if task.metadata.modalities != ["text"]:
                others = ", ".join(kind for kind in task.metadata.modalities if kind != "text")
                raise DataError(f"mteb's task '{name}' is about {others}; only tasks about text can be run")
            for part in _tasks_of(task):
                _select(part, languages, subsets, splits)
            tasks.append(task)
    return tasks


def is_ranking(task: Any) -> bool:
    """Whether the task ranks documents, which BM25 and TF-IDF can do as well."""
    return all(is_of_class(part, "AbsTaskRetrieval") for part in _tasks_of(task))


def _tasks_of(task: Any) -> Sequence[Any]:
    """The tasks of which mteb reports the mean as one task; the task itself otherwise."""
    return [part for inner in task.tasks for part in _tasks_of(inner)] if task.is_aggregate else [task]


def _unknown(name: str, names: Sequence[str]) -> str:
    lowered = {known.lower(): known for known in names}
    # A typo has one likely correction; a name that is half remembered may have several.
    attempts = ((1, 0.9), (3, 0.75), (1, 0.5))
    tried = (difflib.get_close_matches(name.lower(), lowered, n=count, cutoff=cutoff) for count, cutoff in attempts)
    close = next((names for names in tried if names), [])
    found = [f"'{lowered[key]}'" for key in close]
    hint = (
        f"; did you mean {' or '.join([', '.join(found[:-1]), found[-1]] if len(found) > 1 else found)}?"
        if found
        else ""
    )
    return f"mteb has no task '{name}'{hint}"


def _select(task: Any, languages: Sequence[str], subsets: Sequence[str], splits: Sequence[str]) -> None:
    """Restrict a task to subsets and splits.

    Raises:
        DataError: it has none of them.
    """
    name, known = task.metadata.name, task.metadata.hf_subsets_to_langscripts
    for split in splits:
        if split not in task.metadata.eval_splits:
            raise DataError(
                f"mteb does not evaluate '{name}' on the split '{split}'; it does on {', '.join(task.metadata.eval_splits)}"
            )
    for subset in subsets:
        if subset not in known:
            raise DataError(f"mteb's task '{name}' has no subset '{subset}'; it has {', '.join(known)}")
    if splits:
        task.filter_eval_splits(list(splits))
    if languages or subsets:
        try:
            task.filter_languages(list(languages) or None, hf_subsets=list(subsets) or None)
        except ValueError:
            there = sorted({language for of_subset in known.values() for language in of_subset})
            raise DataError(
                f"mteb's task '{name}' has nothing in {', '.join(languages)}; it has {', '.join(there)}"
            ) from None


def texts_of(tasks: Sequence[Any]) -> dict[str, str]:
    """The texts of the splits that mteb evaluates on its own tasks; loads their data.

    Raises:
        DataError: the data of a task cannot be loaded.
    """
    texts: dict[str, str] = {}
    for task in [part for named in tasks for part in _tasks_of(named)]:
        _load_data(
            task,
            "no training text can be compared with it (HF_HUB_OFFLINE=0 lets it load; curation.decontaminate may name the "
            "other evaluators alone)",
        )
        texts |= {f"{task.metadata.name} {key}": text for key, text in split_texts(task.dataset, task.eval_splits)}
    return texts


def _load_data(task: Any, advice: str) -> None:
    """Load the data of a task, which mteb takes from the hub or its local cache.

    Raises:
        DataError: it cannot be loaded; with `advice`.
    """
    try:
        with silenced_mteb():
            task.load_data()
    except Exception as error:  # whatever the hub's clients raise
        raise DataError(
            f"the data of mteb's task '{task.metadata.name}' cannot be loaded: {one_line(error, 200)}; {advice}"
        ) from None


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


def evaluate_named(tasks: Sequence[Any], model: Any, context: EvaluationContext) -> EvaluationResult:
    """The main score of each task, and their mean if there are several.

    Args:
        tasks: mteb tasks.
        model: an mteb model.
        context: for its folder and seed.

    Raises:
        DataError: the data of a task cannot be loaded, or mteb could not run it.
    """
    names = [task.metadata.name for task in tasks]
    measured = {name: _measure_named(task, model, context) for name, task in zip(names, tasks, strict=True)}
    rows = [row for one in measured.values() for row in one.rows]
    if len(tasks) > 1:
        measured = {MEAN: _mean_of(list(measured.values()), names), **measured}
    metrics = {name: one.metric(context.seed) for name, one in measured.items()}
    scores = {name: one.scores for name, one in measured.items() if one.scores is not None}
    notes = ["Embeddings are not fine-tuned.", *(note for name, one in measured.items() for note in one.notes(name))]
    remove(context.folder / _DONE)
    tables = {"Subsets": rows} if len(rows) > len(tasks) else {}
    return EvaluationResult(metrics, main=next(iter(metrics)), tables=tables, notes=notes, scores=scores)


def measure_task(task: Any, model: Any, context: EvaluationContext) -> Measured:
    """Run a task on mteb and collect the scores of its items.

    Raises:
        DataError: the data cannot be loaded, or mteb could not run the task.
    """
    _load_data(task, "it is loaded from the hub or its local cache (HF_HUB_OFFLINE=0 lets it load)")
    recorder = Recorder(task, context.folder / "predictions")
    result = run_task(task, model, context.folder, recorder.predictions, fresh=True)
    reason = ""
    try:
        scores = recorder.item_scores(result.scores)
    except NoItemScores as missing:
        scores, reason = None, str(missing)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:  # of a task with a layout of its own
        scores, reason = None, f"its predictions or data are laid out in another way ({one_line(error, 100)})"
    rows = [
        {
            "task": task.metadata.name,
            "split": split,
            "subset": of_subset["hf_subset"],
            "main score": float(of_subset["main_score"]),
        }
        for split, of_split in result.scores.items()
        for of_subset in of_split
    ]
    remove(recorder.folder)  # what is needed of the predictions is in the scores
    task.unload_data()
    return Measured(float(np.mean([row["main score"] for row in rows])), scores, reason, rows)


def _measure_named(task: Any, model: Any, context: EvaluationContext) -> Measured:
    """The main score of a task, read from its file if an interrupted evaluation has measured it already."""
    if task.is_aggregate:
        names = [inner.metadata.name for inner in task.tasks]
        return _mean_of([_measure_named(inner, model, context) for inner in task.tasks], names)
    stored = context.folder / _DONE / f"{task.metadata.name}.json"
    if stored.exists():
        content = read_json(stored)
        scores = None if content["scores"] is None else Scores.from_json(content["scores"])
        return Measured(**{**content, "scores": scores})
    measured = measure_task(task, model, context)
    write_json(stored, {**vars(measured), "scores": None if measured.scores is None else asdict(measured.scores)})
    return measured


def _mean_of(measured: Sequence[Measured], names: Sequence[str]) -> Measured:
    """The mean of the main scores of several tasks, without scores of items if one of them has none."""
    main_score = float(np.mean([one.main_score for one in measured]))
    rows = [row for one in measured for row in one.rows]
    parts: dict[str, Scores] = {}
    for name, one in zip(names, measured, strict=True):
        if one.scores is None:
            return Measured(main_score, None, f"{name} has none", rows)
        parts[name] = one.scores
    return Measured(main_score, Scores(parts=parts), "", rows)
