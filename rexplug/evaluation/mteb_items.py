"""Scores of single items of an mteb task, from which its main score can be computed again.

mteb reports a main score of each subset and split. Scores of single items come from what its tasks offer: the scores of each query
that ranking tasks hand to `task_specific_scores`, the predictions that the others write, and the data. The main score is computed
again from them and must be mteb's own; otherwise there are none, and the reason is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence, Sized
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rexplug.components import Scores
from rexplug.components.evaluation_tasks import Measure
from rexplug.evaluation.statistics import value

_TOLERANCE = 1e-4
"""mteb rounds ranking metrics to five digits."""
_TREC_NAMES = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P", "hit_rate": "success"}
"""Prefixes of mteb's names of ranking metrics -> those of pytrec_eval."""
_SIMILARITIES = {
    "similarity": ("similarity_scores", 1), "cosine": ("cosine_scores", 1), "manhattan": ("manhattan_distances", -1),
    "euclidean": ("euclidean_distances", -1), "dot": ("dot_scores", 1),
}  # fmt: skip
"""mteb's name of a similarity of pairs -> the key of its predictions, and the sign with which larger values are more similar."""


class NoItemScores(Exception):
    """The task offers no scores of single items; the text is the reason, as a clause."""


def is_of_class(task: Any, name: str) -> bool:
    """Whether a task is of the class of mteb that has this name."""
    return any(base.__name__ == name for base in type(task).__mro__)


@dataclass
class Recorder:
    """Records what a task computes for each item while mteb runs it.

    Attributes:
        task: an mteb task, with its data loaded.
        folder: where mteb writes predictions.
    """

    task: Any
    folder: Path
    _of_queries: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = deepcopy(self.task.rng_state)
        if self._is("AbsTaskRetrieval"):
            inherited = self.task.task_specific_scores

            def recorded(scores: Any, qrels: Any, results: Any, hf_split: str, hf_subset: str) -> Any:
                self._of_queries[hf_split, hf_subset] = self._query_scores(scores, qrels, results)
                return inherited(scores, qrels, results, hf_split=hf_split, hf_subset=hf_subset)

            self.task.task_specific_scores = recorded

    @property
    def predictions(self) -> Path | None:
        """The folder for predictions; None for ranking tasks, whose predictions are large and not needed."""
        return None if self._is("AbsTaskRetrieval") else self.folder

    def item_scores(self, scores: Mapping[str, Sequence[Mapping[str, Any]]]) -> Scores:
        """The scores of the items.

        Args:
            scores: mteb's, by split, of each subset.

        Raises:
            NoItemScores: the task offers none, or mteb's main score does not follow from them.
        """
        if self._is("AbsTaskRetrieval") and not any(self._of_queries.values()):
            raise NoItemScores(f"mteb gives no scores of single queries for its main score '{self._main}'")
        parts: dict[str, Scores] = {}
        written = self._written()
        for split, of_split in scores.items():
            for of_subset in of_split:
                subset = of_subset["hf_subset"]
                part = self._part(split, subset, of_subset, written)
                main, again = float(of_subset["main_score"]), value(part)
                if abs(main - again) > _TOLERANCE:
                    raise NoItemScores(
                        f"mteb's main score of {split}/{subset} is {main:.4f}, and {again:.4f} by the scores of its items"
                    )
                parts[f"{split}/{subset}"] = part
        return next(iter(parts.values())) if len(parts) == 1 else Scores(parts=parts)

    @property
    def _main(self) -> str:
        return str(self.task.metadata.main_score)

    def _is(self, name: str) -> bool:
        return is_of_class(self.task, name)

    def _written(self) -> Mapping[str, Any]:
        """The predictions, by subset and split."""
        path = self.folder / self.task.prediction_file_name
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def _rows(self, split: str, subset: str) -> Any:
        """The table of a split, as mteb selects it."""
        data = self.task.dataset
        return data[split] if subset not in data and subset == "default" else data[subset][split]

    def _part(self, split: str, subset: str, scores: Mapping[str, Any], written: Mapping[str, Any]) -> Scores:
        if self._is("AbsTaskRetrieval"):
            of_queries = self._of_queries.get((split, subset), {})
            return Scores(list(of_queries), [list(of_queries.values())])
        if self._is("AbsTaskClusteringLegacy"):
            return self._of_cluster_sets(scores)
        if self._is("AbsTaskBitextMining"):
            parallel = bool(self.task.parallel_subsets)
            predicted = written.get("parallel" if parallel else subset, {}).get(split, {})
            rows = self.task.dataset[split] if parallel else self._rows(split, subset)
            return self._of_bitext(predicted.get(subset if parallel else "sentence1-sentence2"), rows)
        predicted = written.get(subset, {}).get(split)
        if predicted is None:
            raise NoItemScores("mteb wrote no predictions")
        rows = self._rows(split, subset)
        for name, scores_of in (
            ("AbsTaskSTS", self._of_degrees),
            ("AbsTaskPairClassification", self._of_pairs),
            ("AbsTaskMultilabelClassification", self._of_label_sets),
            ("AbsTaskClassification", self._of_classes),
            ("AbsTaskClustering", self._of_clusters),
        ):
            if self._is(name) and not self._is("AbsTaskRegression"):  # mteb derives it from classification
                return scores_of(predicted, rows)
        raise self._not_offered()

    def _not_offered(self) -> NoItemScores:
        return NoItemScores(
            f"there are no scores of single items for '{self._main}' of a task of type {self.task.metadata.type}"
        )

    def _query_scores(
        self, scores: Mapping[str, Mapping[str, float]], qrels: Any, results: Mapping[str, Mapping[str, float]]
    ) -> dict[str, float]:
        """The main score of each query; empty if it is not a mean over queries."""
        name = "recall_at_1" if self._main == "accuracy" else self._main
        parsed = re.fullmatch(r"(ndcg|map|recall|precision|hit_rate|mrr)_at_(\d+)", name)
        if parsed is None:
            return {}
        measure, depth = parsed[1], int(parsed[2])
        if measure != "mrr":
            return {query: float(of_query[f"{_TREC_NAMES[measure]}_{depth}"]) for query, of_query in scores.items()}
        skip_first = self.task.skip_first_result
        return {query: _reciprocal_rank(results[query], qrels[query], depth, skip_first) for query in scores}

    def _of_degrees(self, predicted: Mapping[str, Any], rows: Any) -> Scores:
        keys = {"cosine_spearman": "cosine_scores", "spearman": "similarity_scores"}
        if self._main not in keys:
            raise self._not_offered()
        return Scores(
            _numbers(rows), [_rounded(predicted[keys[self._main]])], targets=[float(v) for v in rows["score"]]
        )

    def _of_pairs(self, predicted: Mapping[str, Any], rows: Any) -> Scores:
        """By the similarity that mteb reports: the one with the best score."""
        kind, _, name = self._main.rpartition("_")
        measures: dict[str, Measure] = {"ap": "average_precision", "accuracy": "best_accuracy"}
        if name not in measures or (kind != "max" and kind not in _SIMILARITIES):
            raise self._not_offered()
        labels = list(rows[self.task.label_column_name])
        if len(rows) == 1 and isinstance(labels[0], list):  # all pairs in one row, as in mteb's first version
            labels = labels[0]
        targets = [float(label) for label in labels]
        found = [
            Scores(
                _numbers(targets),
                [[sign * score for score in _rounded(predicted[key])]],
                targets=targets,
                measure=measures[name],
            )
            for similarity, (key, sign) in _SIMILARITIES.items()
            if kind in ("max", similarity)
        ]
        return max(found, key=value)

    def _of_classes(self, predicted: Sequence[Sequence[Any]], rows: Any) -> Scores:
        """One row per experiment of mteb, each with other training texts."""
        task = self.task
        true = list(rows[task.label_column_name])
        if self._main not in ("accuracy", "f1") or task.is_cross_validation:
            raise self._not_offered()
        if self._main == "accuracy":
            right = [[float(a == b) for a, b in zip(row, true, strict=True)] for row in predicted]
            return Scores(_numbers(rows), right)
        # Classes are numbered by their names, so that they have the same numbers for all models.
        others = {label for row in predicted for label in row} - set(true)
        names = [*sorted(set(true), key=str), *sorted(others, key=str)]
        number_of = {label: float(number) for number, label in enumerate(names)}
        classes = [[number_of[label] for label in row] for row in predicted]
        return Scores(_numbers(rows), classes, targets=[number_of[label] for label in true], measure="macro_f1")

    def _of_label_sets(self, predicted: Sequence[Sequence[Sequence[int]]], rows: Any) -> Scores:
        """Whether all labels of a text are right, in each experiment."""
        from datasets import DatasetDict
        from mteb.abstasks.abstask import _multilabel_subsampling
        from sklearn.preprocessing import MultiLabelBinarizer

        task = self.task
        if self._main != "accuracy":
            raise self._not_offered()
        numbered = rows.add_column("place in the split", list(range(len(rows))))
        if task.max_eval_samples is not None and len(rows) > task.max_eval_samples:
            numbered = _multilabel_subsampling(
                DatasetDict({"test": numbered}),
                seed=task.seed,
                label=task.label_column_name,
                n_samples=task.max_eval_samples,
            )["test"]
        true = MultiLabelBinarizer().fit_transform(numbered[task.label_column_name])
        ids = [str(place) for place in numbered["place in the split"]]
        return Scores(ids, [(np.asarray(row) == true).all(1).astype(float).tolist() for row in predicted])

    def _of_bitext(self, predicted: Sequence[Mapping[str, Any]] | None, rows: Any) -> Scores:
        """For each sentence the F1 of its true translation, as a class; the mean is mteb's weighted F1."""
        if predicted is None or self._main not in ("f1", "accuracy"):
            raise self._not_offered()
        gold = rows["gold"] if "gold" in rows.column_names else [(n, n) for n in range(len(predicted))]
        found = np.array([int(entry["corpus_id"]) for entry in predicted])
        true = np.array([int(gold[number][1]) for number in range(len(found))])
        if self._main == "accuracy":
            values = (found == true).astype(float)
        else:
            size = int(max(found.max(), true.max())) + 1
            hits, either = np.bincount(true[found == true], minlength=size), np.bincount(found, minlength=size)
            values = (2 * hits / np.maximum(either + np.bincount(true, minlength=size), 1))[true]
        return Scores(_numbers(found), [values.tolist()])

    def _of_cluster_sets(self, scores: Mapping[str, Any]) -> Scores:
        """The V-measure of each set of texts that is clustered by itself."""
        of_sets = scores.get("v_measures")
        if self._main != "v_measure" or not isinstance(of_sets, list) or len(of_sets) < 2:
            raise NoItemScores("its texts are clustered in one set")
        return Scores(_numbers(of_sets), [[float(score) for score in of_sets]])

    def _of_clusters(self, predicted: Mapping[str, Sequence[Sequence[int]]], rows: Any) -> Scores:
        """The cluster of each document in each experiment, and how often it was drawn there.

        mteb stores the clusters of the documents drawn, not which ones were drawn; they are drawn again with its random state.
        """
        task = self.task
        if self._main != "v_measure":
            raise self._not_offered()
        places = list(range(len(rows)))
        limit = task.max_document_to_embed
        if task.max_fraction_of_documents_to_embed is not None:
            limit = int(task.max_fraction_of_documents_to_embed * len(rows))
        if limit is not None:
            places = self._random.sample(range(len(rows)), k=min(len(rows), limit))
        column = list(rows[task.label_column_name])
        labels = [column[place] if isinstance(column[place], list) else [column[place]] for place in places]
        levels = {}
        for level, (name, experiments) in enumerate(predicted.items()):
            kept = [number for number, of_document in enumerate(labels) if len(of_document) > level]
            targets = np.unique([str(labels[number][level]) for number in kept], return_inverse=True)[1]
            clusters, drawn = np.zeros((len(experiments), len(kept))), np.zeros((len(experiments), len(kept)))
            for number, assigned in enumerate(experiments):
                chosen = np.array(self._random.choices(range(len(kept)), k=task.max_documents_per_cluster))
                clusters[number, chosen] = assigned
                np.add.at(drawn[number], chosen, 1)
            levels[name] = Scores(
                [str(places[number]) for number in kept], clusters.tolist(), drawn.tolist(),
                targets=[float(target) for target in targets], measure="v_measure",
            )  # fmt: skip
        return next(iter(levels.values())) if len(levels) == 1 else Scores(parts=levels)


def _reciprocal_rank(
    ranking: Mapping[str, float], grades: Mapping[str, int], depth: int, skip_first: bool = False
) -> float:
    """1 / rank of the first relevant document among the first `depth`, 0 without one.

    Documents of equal score are in mteb's order: by falling ids, or with `skip_first` as they are ranked.
    """
    if skip_first:
        ranked = sorted(ranking, key=ranking.__getitem__, reverse=True)[1:]
    else:
        ranked = sorted(ranking, key=lambda key: (ranking[key], key), reverse=True)
    return next((1.0 / rank for rank, key in enumerate(ranked[:depth], 1) if grades.get(key, 0) > 0), 0.0)


def _numbers(rows: Sized) -> list[str]:
    """The ids of items that have none: their numbers."""
    return [str(number) for number in range(len(rows))]


def _rounded(values: Sequence[float]) -> list[float]:
    """Nine digits, which distinguish all float32 numbers: cosines of embeddings in a narrow cone differ in the last ones only."""
    return [float(f"{value:.9g}") for value in values]
