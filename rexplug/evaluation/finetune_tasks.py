"""The fine-tuned tasks: prepare, choose on dev, fine-tune with several seeds, score the test items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from rexplug.evaluation.embedding_modules import Transform
from rexplug.evaluation.finetune import Rows, Tagger, probe_similarity, probe_tagger, tune_similarity, tune_tagger
from rexplug.evaluation.items import class_items, degree_items, span_items
from rexplug.evaluation.late_interaction import LateInteractionEncoder
from rexplug.evaluation.lexical import LexicalModel
from rexplug.evaluation.spans import spans_of_tags, tags_of_spans
from rexplug.evaluation.splits import (
    first_text,
    item_groups,
    item_ids,
    limited_splits,
    sample_of,
    second_text,
    text_key,
)
from rexplug.evaluation.starts import choose_start, spread_sample, starts, transformed
from rexplug.evaluation.statistics import bootstrap_metric, value
from rexplug.evaluation.text_encoder import TextEncoder
from rexplug.evaluation.tuning import NOT_TRAINABLE, FineTune, Outcome, by_mode, fine_tune

Model = TextEncoder | LexicalModel
Floats = NDArray[np.float64]
_LEAST_LOG = -10.0
"""Lower logarithms of probabilities count as this; with 1e-4 before it less than one of 500 items."""
Sides = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Embeddings of the first and of the second texts of pairs."""


class SpanCounts(NamedTuple):
    """Per text: twice the correct spans, true and predicted spans, and the predicted ones."""

    hits: list[float]
    counts: list[float]
    guesses: list[set[tuple[int, int, str]]]


def similarity(task: ExampleTask, model: Model, budget: FineTuning, seed: int) -> EvaluationResult:
    """Spearman's correlation of cosines and degrees on test; see `EvaluationContext.similarity`."""
    splits = limited_splits(task, budget)
    targets = [float(example.label) for example in splits.test]
    ids, groups = item_ids(splits.test), item_groups(splits.test)

    def scores(cosines: Sequence[Floats]) -> Scores:
        rounded = [np.round(row, 6).tolist() for row in cosines]
        return Scores(ids, rounded, targets=targets, groups=groups)

    if isinstance(model, LexicalModel):
        baseline = model.compare([e.text for e in splits.test], [str(e.second) for e in splits.test])
        # Nothing is fine-tuned, so that both metrics are the same; either can be compared with an encoder's.
        both = {name: scores([baseline]) for name in ("spearman", "untuned.spearman")}
        return _result(both, seed, items=degree_items(ids, splits.test, both["spearman"]))
    if isinstance(model, LateInteractionEncoder):
        maxsim = scores([model.compare([first_text(e) for e in splits.test], [second_text(e) for e in splits.test])])
        items = degree_items(ids, splits.test, maxsim)
        return _result({"untuned.spearman": maxsim}, seed, [NOT_TRAINABLE], items=items)
    rows: dict[str, tuple[Rows, Rows]] = {
        name: (
            model.tokenize([first_text(e) for e in examples], budget.max_tokens),
            model.tokenize([second_text(e) for e in examples], budget.max_tokens),
        )
        for name, examples in splits.items()
    }
    labels = {name: np.array([float(e.label) for e in examples]) for name, examples in splits.items()}
    sampled = sample_of(splits.dev, budget.dev_examples)
    first_of_dev, second_of_dev = rows["dev"]
    rows["dev"] = [first_of_dev[i] for i in sampled], [second_of_dev[i] for i in sampled]
    dev_ids, dev_labels = item_ids([splits.dev[i] for i in sampled]), labels["dev"][sampled].tolist()

    def embed(encoder: TextEncoder, split: str) -> Sides:
        first, second = rows[split]
        return encoder.embed_rows(first), encoder.embed_rows(second)

    def on_dev(cosines: Floats) -> float:
        return value(Scores(dev_ids, [cosines.tolist()], targets=dev_labels))

    def compared(sides: Sides, transform: Transform | None) -> Floats:
        if transform is None:
            return paired_similarities(*sides, model.usage.similarity).astype(np.float64)
        first, second = sides
        return _cosines((transformed(first, transform), transformed(second, transform)))

    dev, test = embed(model, "dev"), embed(model, "test")
    sample = model.embed_rows([row for side in rows["train"] for row in spread_sample(side)])
    start = choose_start(budget.start, sample, lambda transform: on_dev(compared(dev, transform)))
    notes: list[str] = [start.note]
    table: list[Mapping[str, Any]] = []

    def probe() -> list[Floats]:
        train = embed(model, "train")
        seeds = range(seed, seed + budget.seeds)
        maps = [probe_similarity(*train, labels["train"], batch=budget.batch, seed=number) for number in seeds]
        return [_cosines((mapped(test[0]), mapped(test[1]))) for mapped in maps]

    def full() -> list[Floats]:
        def begin(learning_rate: float, seed: int) -> FineTune[TextEncoder]:
            return tune_similarity(
                model, *rows["train"], labels["train"], budget, learning_rate=learning_rate, seed=seed,
                transform=start.transform,
            )  # fmt: skip

        outcome = fine_tune(
            begin,
            lambda tune: _cosines(embed(tune.model, "test")),
            lambda tuned: on_dev(_cosines(embed(tuned, "dev"))),
            (start.score, compared(test, start.transform)),
            budget,
            seed,
        )
        notes.extend(outcome.notes)
        table.extend(outcome.table)
        return outcome.results

    runs = {"probe": probe, "full": full}
    untuned = {"untuned.*": [compared(test, start.transform)]}
    if model.trainable:
        found = {**by_mode(budget, {mode: runs[mode]() for mode in dict.fromkeys(budget.modes)}), **untuned}
    else:
        notes.insert(0, NOT_TRAINABLE)
        found = {**untuned, **(by_mode(budget, {"probe": probe()}) if "probe" in budget.modes else {})}
    for name, transform in starts(sample).items():
        found[f"{name}.*"] = [compared(test, transform)]
    scores_of = {name.replace("*", "spearman"): scores(values) for name, values in found.items()}
    items = degree_items(ids, splits.test, next(iter(scores_of.values())))
    return _result(scores_of, seed, notes, table, items=items)


def _cosines(sides: Sides) -> Floats:
    return paired_cosines(*sides).astype(np.float64)


def classification(task: ExampleTask, model: Model, budget: FineTuning, seed: int) -> EvaluationResult:
    """Accuracy and macro F1 on test; see `EvaluationContext.classification`."""
    splits = limited_splits(task, budget)
    classes = sorted({str(example.label) for example in splits.train})

    def on_dev(scores: NDArray[np.float32], labels: Sequence[str]) -> float:
        """Accuracy; of models with the same one, the more probable the true classes are, the better."""
        truth = np.array([classes.index(label) if label in classes else -1 for label in labels])
        largest = scores.max(1, keepdims=True)
        logarithms = scores - largest - np.log(np.exp(scores - largest).sum(1, keepdims=True))
        of_truth = np.where(truth < 0, _LEAST_LOG, logarithms[np.arange(len(truth)), truth])
        return float((scores.argmax(1) == truth).mean() + 1e-4 * np.maximum(of_truth, _LEAST_LOG).mean())

    found = class_scores(splits, classes, model, budget, seed, on_dev, pairs=False)
    truth = [str(example.label) for example in splits.test]
    ids, groups = item_ids(splits.test), item_groups(splits.test)
    scores: dict[str, Scores] = {}
    macro_f1: dict[str, Metric] = {}
    items: list[EvaluatedItem] = []
    for mode, of_seeds in found.by_mode.items():
        guesses = [[classes[i] for i in scores_of_seed.argmax(1)] for scores_of_seed in of_seeds]
        correct = [[float(g == t) for g, t in zip(guess, truth, strict=True)] for guess in guesses]
        accuracy = scores[mode.replace("*", "accuracy")] = Scores(ids, correct, groups=groups)
        macro_f1[mode.replace("*", "macro_f1")] = _mean_over_seeds(
            [_macro_f1(guess, truth) for guess in guesses], len(truth)
        )
        items = items or class_items(ids, splits.test, guesses[0], accuracy)
    sizes = {"train": len(splits.train), "dev": len(splits.dev), "test": len(truth)}
    tables = {"classes": [{"classes": len(classes), **sizes}]}
    return _result(scores, seed, found.notes, found.table, macro_f1, tables, items)


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
    column = classes.index(positive)

    def margins(scores: NDArray[np.float32]) -> NDArray[np.float32]:
        margin: NDArray[np.float32] = scores[:, column] - scores[:, 1 - column]
        return margin

    def best_f1(scores: NDArray[np.float32], labels: Sequence[str]) -> float:
        truth, margin = np.array(labels) == positive, margins(scores)
        guess = margin >= best_threshold(margin, truth)
        return float(2 * (guess & truth).sum() / max(1, guess.sum() + truth.sum()))

    found = class_scores(splits, classes, model, budget, seed, best_f1, pairs=True)
    dev_truth, truth = (
        np.array([str(example.label) == positive for example in examples]) for examples in (splits.dev, splits.test)
    )
    ids, groups = item_ids(splits.test), item_groups(splits.test)
    scores: dict[str, Scores] = {}
    items: list[EvaluatedItem] = []
    for mode, of_seeds in found.by_mode.items():
        guesses, hits, counts, correct = [], [], [], []
        for scores_of_seed in of_seeds:
            margin = margins(scores_of_seed)
            dev_margin, test_margin = margin[: len(splits.dev)], margin[len(splits.dev) :]
            guess = test_margin >= best_threshold(dev_margin, dev_truth)
            guesses.append(guess)
            # F1 as a ratio of sums over items: twice the true positives, and the positives of guess and truth.
            hits.append((2.0 * (guess & truth)).tolist())
            counts.append((2.0 * (guess & truth) + (guess ^ truth)).tolist())
            correct.append((guess == truth).astype(float).tolist())
        scores[mode.replace("*", "f1")] = Scores(ids, hits, counts, groups=groups)
        accuracy = scores[mode.replace("*", "accuracy")] = Scores(ids, correct, groups=groups)
        predicted = [positive if yes else classes[1 - column] for yes in guesses[0]]
        items = items or class_items(ids, splits.test, predicted, accuracy)
    return _result(scores, seed, found.notes, found.table, items=items)


def tagging(task: TaggingTask, model: Model, budget: FineTuning, seed: int) -> EvaluationResult:
    """F1 over spans that must match in both ends and label; see `EvaluationContext.tagging`.

    Raises:
        NotApplicable: the model is a lexical baseline.
        DataError: no text of train has a span.
    """
    if isinstance(model, LexicalModel):
        raise NotApplicable(f"{model.kind} compares words and does not tag them")
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

    def count_spans(split: str, places: Sequence[int], predicted: Sequence[NDArray[np.int64]]) -> SpanCounts:
        hits, counts, guesses = [], [], []
        for place, tags in zip(places, predicted, strict=True):
            text = getattr(splits, split)[place]
            true, guess = set(text.spans), spans_of_tags(text.text, offsets[split][place], tags, labels)
            hits.append(2.0 * len(true & guess))
            counts.append(float(len(true) + len(guess)))
            guesses.append(guess)
        return SpanCounts(hits, counts, guesses)

    sampled = sample_of(splits.dev, budget.dev_examples)
    dev_rows, every = [rows["dev"][i] for i in sampled], range(len(splits.test))

    def on_dev(tagger: Tagger) -> float:
        counted = count_spans("dev", sampled, tagger.tags(dev_rows))
        return sum(counted.hits) / max(1.0, sum(counted.counts))

    def on_test(tagger: Tagger) -> SpanCounts:
        return count_spans("test", every, tagger.tags(rows["test"]))

    fixed = model.token_vectors(rows["train"])
    probes = [
        probe_tagger(model, fixed, train_tags, 2 * len(labels) + 1, batch=budget.batch, seed=seed + number).run()
        for number in range(budget.seeds)
    ]
    del fixed
    results = {"probe": [on_test(tagger) for tagger in probes]}
    outcome: Outcome[SpanCounts] = Outcome([], [] if model.trainable else [NOT_TRAINABLE], [])
    if "full" in budget.modes and model.trainable:

        def begin(learning_rate: float, seed: int) -> FineTune[Tagger]:
            return tune_tagger(
                model, rows["train"], train_tags, probes[0].head, budget, learning_rate=learning_rate, seed=seed
            )

        untuned = on_dev(probes[0]), results["probe"][0]
        outcome = fine_tune(begin, lambda tune: on_test(tune.model), on_dev, untuned, budget, seed)
        results["full"] = outcome.results
    ids = [text_key(text.text) for text in splits.test]
    found = by_mode(budget, results)
    scores = {
        name.replace("*", "f1"): Scores(ids, [of.hits for of in of_seeds], [of.counts for of in of_seeds])
        for name, of_seeds in found.items()
    }
    first = next(iter(found.values()))[0]
    items = span_items(splits.test, lambda number: sorted(first.guesses[number]), next(iter(scores.values())))
    return _result(scores, seed, outcome.notes, outcome.table, items=items)


def _result(
    scores: Mapping[str, Scores],
    seed: int,
    notes: Sequence[str] = (),
    on_dev: Sequence[Mapping[str, Any]] = (),
    more_metrics: Mapping[str, Metric] | None = None,
    tables: Mapping[str, Any] | None = None,
    items: Sequence[EvaluatedItem] = (),
) -> EvaluationResult:
    """The first of the scores is the main metric; the same metric of the frozen encoder is shown beside it."""
    metrics = {name: bootstrap_metric(score, seed) for name, score in scores.items()}
    main = next(iter(metrics))
    return EvaluationResult(
        {**metrics, **(more_metrics or {})}, main=main, scores=scores, notes=list(notes),
        headlines=[name for name in (f"untuned.{main}", f"probe.{main}") if name in metrics][:1],
        tables={**(tables or {}), **({"fine-tuning, on dev": on_dev} if on_dev else {})}, items=items,
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
