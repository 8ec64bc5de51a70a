"""The fine-tuned tasks: prepare, choose the learning rate on dev, fine-tune with several seeds, score the test items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rexplug.components import (
    EvaluatedItem,
    EvaluationResult,
    ExampleTask,
    FineTuning,
    Metric,
    Scores,
    TaggingTask,
)
from rexplug.errors import DataError, NotApplicable
from rexplug.evaluation.classifiers import class_scores
from rexplug.evaluation.cosine import paired_cosines, paired_similarities
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.finetune import Predictor, predict_by_mode, probe_similarity, tune_similarity, tune_tagger
from rexplug.evaluation.items import class_items, degree_items, span_items
from rexplug.evaluation.lexical import LexicalModel
from rexplug.evaluation.spans import spans_of_tags, tags_of_spans
from rexplug.evaluation.splits import first_text, item_groups, item_ids, limited_splits, second_text, text_key
from rexplug.evaluation.statistics import metric, value

Model = HuggingFaceEncoder | LexicalModel
Floats = NDArray[np.float64]


class SpanCounts(NamedTuple):
    """Per text: twice the correct spans, true and predicted spans, and the predicted ones."""

    hits: list[float]
    counts: list[float]
    guesses: list[set[tuple[int, int, str]]]


def similarity(task: ExampleTask, model: Model, budget: FineTuning, seed: int) -> EvaluationResult:
    """Spearman's correlation of cosines and degrees on test; see `EvaluationContext.similarity`."""
    splits = limited_splits(task, budget)
    targets = [float(example.label) for example in splits.test]

    def scores(cosines: Sequence[Floats]) -> Scores:
        rounded = [np.round(row, 6).tolist() for row in cosines]
        return Scores(item_ids(splits.test), rounded, targets=targets, groups=item_groups(splits.test))

    if isinstance(model, LexicalModel):
        compared = model.compare([e.text for e in splits.test], [str(e.second) for e in splits.test])
        of_model = scores([compared])
        items = degree_items(item_ids(splits.test), splits.test, of_model)
        return _result({"spearman": of_model}, task, budget, seed, items=items)
    rows = {
        name: (
            model.tokenize([first_text(e) for e in examples], budget.max_tokens),
            model.tokenize([second_text(e) for e in examples], budget.max_tokens),
        )
        for name, examples in splits.items()
    }
    labels = {name: np.array([float(e.label) for e in examples]) for name, examples in splits.items()}
    raw = {name: (model.embed_rows(first), model.embed_rows(second)) for name, (first, second) in rows.items()}

    def cosines(sides: Sequence[NDArray[np.float32]]) -> Floats:
        return paired_cosines(sides[0], sides[1]).astype(np.float64)

    def probe(learning_rate: float, seed: int) -> Predictor:
        mapped = probe_similarity(*raw["train"], labels["train"], batch=budget.batch, seed=seed)
        return lambda split: cosines([mapped(side) for side in raw[split]])

    def full(learning_rate: float, seed: int) -> Predictor:
        tuned = tune_similarity(model, *rows["train"], labels["train"], budget, learning_rate=learning_rate, seed=seed)
        return lambda split: cosines([tuned.embed_rows(side) for side in rows[split]])

    def on_dev(cosines: Floats) -> float:
        return value(Scores(item_ids(splits.dev), [cosines.tolist()], targets=labels["dev"].tolist()))

    predictions, notes = predict_by_mode({"probe": probe, "full": full}, budget, on_dev, seed)
    center = np.concatenate(raw["train"]).mean(0)
    scores_of = {name.replace("*", "spearman"): scores(values) for name, values in predictions.items()}
    as_it_is = paired_similarities(*raw["test"], model.usage.similarity).astype(np.float64)
    scores_of["raw.spearman"] = scores([as_it_is])
    scores_of["centred.spearman"] = scores([cosines([side - center for side in raw["test"]])])
    items = degree_items(item_ids(splits.test), splits.test, next(iter(scores_of.values())))
    return _result(scores_of, task, budget, seed, notes, items=items)


def classification(task: ExampleTask, model: Model, budget: FineTuning, seed: int) -> EvaluationResult:
    """Accuracy and macro F1 on test; see `EvaluationContext.classification`."""
    splits = limited_splits(task, budget)
    classes = sorted({str(example.label) for example in splits.train})
    predictions, notes = class_scores(splits, classes, model, budget, seed, pairs=False)
    truth = [str(example.label) for example in splits.test]
    scores: dict[str, Scores] = {}
    macro_f1: dict[str, Metric] = {}
    items: list[EvaluatedItem] = []
    for mode, of_seeds in predictions.items():
        guesses = [[classes[i] for i in scores_of_seed.argmax(1)] for scores_of_seed in of_seeds]
        correct = [[float(g == t) for g, t in zip(guess, truth, strict=True)] for guess in guesses]
        scores[mode.replace("*", "accuracy")] = Scores(item_ids(splits.test), correct, groups=item_groups(splits.test))
        macro_f1[mode.replace("*", "macro_f1")] = _mean_over_seeds(
            [_macro_f1(guess, truth) for guess in guesses], len(truth)
        )
        ids = item_ids(splits.test)
        items = items or class_items(ids, splits.test, guesses[0], scores[mode.replace("*", "accuracy")])
    sizes = {"train": len(splits.train), "dev": len(splits.dev), "test": len(truth)}
    tables = {"classes": [{"classes": len(classes), **sizes}]}
    return _result(scores, task, budget, seed, notes, macro_f1, tables, items)


def pair_classification(
    task: ExampleTask, model: Model, budget: FineTuning, positive: str, seed: int
) -> EvaluationResult:
    """F1 of the class `positive` and accuracy on test; the threshold is the best on dev.

    Raises:
        DataError: train does not have two classes, `positive` among them.
    """
    splits = limited_splits(task, budget)
    classes = sorted({str(example.label) for example in splits.train})
    if positive not in classes or len(classes) != 2:
        raise DataError(
            f"{task.name}: expected two classes, one of them '{positive}', in train; found {', '.join(classes)}"
        )
    predictions, notes = class_scores(splits, classes, model, budget, seed, pairs=True)
    dev_truth, truth = (
        np.array([str(example.label) == positive for example in examples]) for examples in (splits.dev, splits.test)
    )
    column = classes.index(positive)
    ids, groups = item_ids(splits.test), item_groups(splits.test)
    scores: dict[str, Scores] = {}
    items: list[EvaluatedItem] = []
    for mode, of_seeds in predictions.items():
        hits, counts, correct = [], [], []
        first_guess: list[str] = []
        for scores_of_seed in of_seeds:
            margin = scores_of_seed[:, column] - scores_of_seed[:, 1 - column]
            dev_margin, test_margin = margin[: len(splits.dev)], margin[len(splits.dev) :]
            guess = test_margin >= best_threshold(dev_margin, dev_truth)
            first_guess = first_guess or [positive if yes else classes[1 - column] for yes in guess]
            # F1 as a ratio of sums over items: twice the true positives, and the positives of guess and truth.
            hits.append((2.0 * (guess & truth)).tolist())
            counts.append((2.0 * (guess & truth) + (guess ^ truth)).tolist())
            correct.append((guess == truth).astype(float).tolist())
        scores[mode.replace("*", "f1")] = Scores(ids, hits, counts, groups=groups)
        scores[mode.replace("*", "accuracy")] = Scores(ids, correct, groups=groups)
        items = items or class_items(ids, splits.test, first_guess, scores[mode.replace("*", "accuracy")])
    return _result(scores, task, budget, seed, notes, items=items)


def tagging(task: TaggingTask, model: Model, budget: FineTuning, seed: int) -> EvaluationResult:
    """F1 over spans that must match in both ends and label; see `EvaluationContext.tagging`.

    Raises:
        NotApplicable: the model is a lexical baseline.
        DataError: no text of train has a span.
    """
    if isinstance(model, LexicalModel):
        raise NotApplicable(f"{model.kind} compares words; it labels none")
    splits = limited_splits(task, budget)
    labels = sorted({label for text in splits.train for _, _, label in text.spans})
    if not labels:
        raise DataError(f"{task.name}: no text of train has a labelled span")
    rows, offsets = {}, {}
    for name, texts in splits.items():
        encoded = model.tokenizer(
            [text.text for text in texts],
            truncation=True,
            max_length=model.max_tokens if budget.max_tokens is None else min(budget.max_tokens, model.max_tokens),
            return_offsets_mapping=True,
        )
        rows[name] = [np.array(ids, np.int64) for ids in encoded["input_ids"]]
        offsets[name] = encoded["offset_mapping"]
    train_tags = [
        tags_of_spans(text.spans, text_offsets, labels)
        for text, text_offsets in zip(splits.train, offsets["train"], strict=True)
    ]

    def count_spans(split: str, predicted: Sequence[NDArray[np.int64]]) -> SpanCounts:
        hits, counts, guesses = [], [], []
        for text, text_offsets, tags in zip(getattr(splits, split), offsets[split], predicted, strict=True):
            true, guess = set(text.spans), spans_of_tags(text.text, text_offsets, tags, labels)
            hits.append(2.0 * len(true & guess))
            counts.append(float(len(true) + len(guess)))
            guesses.append(guess)
        return SpanCounts(hits, counts, guesses)

    def fine_tune(frozen: bool) -> Callable[[float, int], Predictor]:
        def run(learning_rate: float, seed: int) -> Predictor:
            predict = tune_tagger(
                model, rows["train"], train_tags, 2 * len(labels) + 1, budget, learning_rate=learning_rate, seed=seed,
                frozen=frozen,
            )  # fmt: skip
            return lambda split: count_spans(split, predict(rows[split]))

        return run

    def on_dev(counted: SpanCounts) -> float:
        return sum(counted.hits) / max(1.0, sum(counted.counts))

    modes = {"probe": fine_tune(frozen=True), "full": fine_tune(frozen=False)}
    predictions, notes = predict_by_mode(modes, budget, on_dev, seed)
    ids = [text_key(text.text) for text in splits.test]
    scores = {
        name.replace("*", "f1"): Scores(ids, [of.hits for of in of_seeds], [of.counts for of in of_seeds])
        for name, of_seeds in predictions.items()
    }
    main, first = next(iter(scores.values())), next(iter(predictions.values()))[0]
    items = span_items(splits.test, lambda number: sorted(first.guesses[number]), main)
    return _result(scores, task, budget, seed, notes, items=items)


def _result(
    scores: Mapping[str, Scores],
    task: ExampleTask | TaggingTask,
    budget: FineTuning,
    seed: int,
    notes: Sequence[str] = (),
    more_metrics: Mapping[str, Metric] | None = None,
    tables: Mapping[str, Any] | None = None,
    items: Sequence[EvaluatedItem] = (),
) -> EvaluationResult:
    metrics = {name: metric(score, seed) for name, score in scores.items()}
    return EvaluationResult(
        {**metrics, **(more_metrics or {})}, main=next(iter(metrics)), scores=scores, notes=list(notes),
        tables=tables or {}, items=items,
    )  # fmt: skip


def best_threshold(margin: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """The lowest margin to be called positive for the best F1; 0 if `truth` has no positive.

    From counts, not from scikit-learn's precisions and recalls, so that equal F1 tie exactly; the highest margin wins.

    Args:
        margin: `[n]`, score of the positive class minus that of the other.
        truth: `[n]`, which items are positive.
    """
    if not truth.any():
        return 0.0
    order = np.argsort(-margin, kind="stable")
    true_positives = np.cumsum(truth[order])
    f1 = 2 * true_positives / (np.arange(1, len(order) + 1) + truth.sum())
    # A threshold cannot separate equal margins: only the last of them counts.
    last = np.append(np.diff(margin[order]) != 0, True)
    return float(margin[order][np.argmax(np.where(last, f1, -1.0))])


def _macro_f1(guess: Sequence[str], truth: Sequence[str]) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth, guess, average="macro", zero_division=0.0))


def _mean_over_seeds(values: Sequence[float], num_items: int) -> Metric:
    """A metric that is not made of items, hence without an interval."""
    several = len(values) > 1
    spread = float(np.std(values, ddof=1)) if several else None
    return Metric(
        float(np.mean(values)), num_items=num_items, spread=spread, num_seeds=len(values) if several else None
    )
