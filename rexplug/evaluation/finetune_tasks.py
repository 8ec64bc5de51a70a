"""The fine-tuned tasks: prepare, choose the learning rate on dev, tune with several seeds, score the test items."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.components import (
    EvaluationResult,
    Example,
    ExampleTask,
    FineTuning,
    Metric,
    Scores,
    TaggedText,
    TaggingTask,
)
from rexplug.errors import DataError, NotApplicable
from rexplug.evaluation import finetune
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.lexical import LexicalModel
from rexplug.evaluation.statistics import metric, value

_PENALTIES = (0.01, 0.1, 1.0, 10.0)
"""C of the logistic regressions, chosen on dev."""
_OUTSIDE = 0
Model = HuggingFaceEncoder | LexicalModel
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Parts:
    """A task cut to the budget's number of examples."""

    train: Sequence[Any]
    dev: Sequence[Any]
    test: Sequence[Any]


def similarity(task: ExampleTask, model: Model, budget: FineTuning, seed: int) -> EvaluationResult:
    """Spearman of cosines and degrees on test; see `EvaluationContext.similarity`."""
    parts = _cut(task, budget)
    targets = [float(each.label) for each in parts.test]

    def scores(values: Sequence[Floats]) -> Scores:
        return Scores(_ids(parts.test), _rounded(values), targets=targets, groups=_groups(parts.test))

    if isinstance(model, LexicalModel):
        found = model.compare([e.text for e in parts.test], [str(e.second) for e in parts.test])
        return _result({"spearman": scores([found])}, task, budget, seed)
    rows = {
        name: (
            model.tokenize([_first(e) for e in examples], budget.max_tokens),
            model.tokenize([_second(e) for e in examples], budget.max_tokens),
        )
        for name, examples in (("train", parts.train), ("dev", parts.dev), ("test", parts.test))
    }
    labels = {name: np.array([float(e.label) for e in getattr(parts, name)]) for name in rows}
    raw = {name: (model.embed_rows(one), model.embed_rows(two)) for name, (one, two) in rows.items()}

    def cosines(sides: Sequence[NDArray[np.float32]]) -> Floats:
        return _cosine(sides[0], sides[1])

    def probe(rate: float, number: int) -> Callable[[str], Floats]:
        mapped = finetune.probe_similarity(*raw["train"], labels["train"], batch=budget.batch, seed=number)
        return lambda part: cosines([mapped(side) for side in raw[part]])

    def full(rate: float, number: int) -> Callable[[str], Floats]:
        tuned = finetune.tune_similarity(
            model, *rows["train"], labels["train"], budget, rate=rate, seed=number
        )  # fmt: skip
        return lambda part: cosines([tuned.embed_rows(side) for side in rows[part]])

    def on_dev(values: Floats) -> float:
        return value(Scores(_ids(parts.dev), [values.tolist()], targets=labels["dev"].tolist()))

    found_scores, notes = _modes({"probe": probe, "full": full}, budget, on_dev, seed)
    center = np.concatenate(raw["train"]).mean(0)
    metrics = {name.replace("*", "spearman"): scores(values) for name, values in found_scores.items()}
    metrics["raw.spearman"] = scores([cosines(raw["test"])])
    metrics["centred.spearman"] = scores([cosines([side - center for side in raw["test"]])])
    return _result(metrics, task, budget, seed, notes)


def classification(task: ExampleTask, model: Model, budget: FineTuning, seed: int) -> EvaluationResult:
    """Accuracy and macro F1 on test; see `EvaluationContext.classification`."""
    parts = _cut(task, budget)
    names = sorted({str(each.label) for each in parts.train})
    found, notes = _predictions(parts, names, model, budget, seed, pairs=False)
    truth = [str(each.label) for each in parts.test]
    metrics: dict[str, Scores] = {}
    plain: dict[str, Metric] = {}
    for mode, values in found.items():
        guesses = [[names[i] for i in each.argmax(1)] for each in values]
        right = [[float(g == t) for g, t in zip(guess, truth, strict=True)] for guess in guesses]
        metrics[mode.replace("*", "accuracy")] = Scores(_ids(parts.test), right, groups=_groups(parts.test))
        each = [_macro_f1(guess, truth) for guess in guesses]
        plain[mode.replace("*", "macro_f1")] = _plain(each, len(truth))
    tables = {
        "classes": [{"classes": len(names), "train": len(parts.train), "dev": len(parts.dev), "test": len(truth)}]
    }
    return _result(metrics, task, budget, seed, notes, plain, tables)


def pair_classification(
    task: ExampleTask, model: Model, budget: FineTuning, positive: str, seed: int
) -> EvaluationResult:
    """F1 of the class `positive` and accuracy on test; the threshold is the best on dev."""
    parts = _cut(task, budget)
    names = sorted({str(each.label) for each in parts.train})
    if positive not in names or len(names) != 2:
        raise DataError(
            f"{task.name}: expected two classes, one of them '{positive}', in train; found {', '.join(names)}"
        )
    found, notes = _predictions(parts, names, model, budget, seed, pairs=True)
    truth = {name: np.array([str(e.label) == positive for e in getattr(parts, name)]) for name in ("dev", "test")}
    where = names.index(positive)
    metrics: dict[str, Scores] = {}
    for mode, values in found.items():
        hits, counts, right = [], [], []
        for each in values:
            margin = each[:, where] - each[:, 1 - where]
            dev, test = margin[: len(parts.dev)], margin[len(parts.dev) :]
            guess = test >= _threshold(dev, truth["dev"])
            true = truth["test"]
            hits.append((2.0 * (guess & true)).tolist())
            counts.append((2.0 * (guess & true) + (guess ^ true)).tolist())
            right.append((guess == true).astype(float).tolist())
        ids, groups = _ids(parts.test), _groups(parts.test)
        metrics[mode.replace("*", "f1")] = Scores(ids, hits, counts, groups=groups)
        metrics[mode.replace("*", "accuracy")] = Scores(ids, right, groups=groups)
    return _result(metrics, task, budget, seed, notes)


def tagging(task: TaggingTask, model: Model, budget: FineTuning, seed: int) -> EvaluationResult:
    """F1 over spans that must match in both ends and label; see `EvaluationContext.tagging`."""
    if isinstance(model, LexicalModel):
        raise NotApplicable(f"{model.kind} compares words; it labels none")
    parts = _cut(task, budget)
    labels = sorted({label for text in parts.train for _, _, label in text.spans})
    if not labels:
        raise DataError(f"{task.name}: no text of train has a labelled span")
    rows, offsets = {}, {}
    for name in ("train", "dev", "test"):
        texts = [each.text for each in getattr(parts, name)]
        encoded = model.tokenizer(
            texts, truncation=True, max_length=min(budget.max_tokens, model.max_tokens), return_offsets_mapping=True
        )
        rows[name] = [np.array(ids, np.int64) for ids in encoded["input_ids"]]
        offsets[name] = encoded["offset_mapping"]
    tags = [_tags(text, places, labels) for text, places in zip(parts.train, offsets["train"], strict=True)]

    def counts(name: str, predicted: Sequence[NDArray[np.int64]]) -> tuple[list[float], list[float]]:
        hits, sizes = [], []
        for text, places, each in zip(getattr(parts, name), offsets[name], predicted, strict=True):
            true, guess = set(text.spans), _spans(text.text, places, each, labels)
            hits.append(2.0 * len(true & guess))
            sizes.append(float(len(true) + len(guess)))
        return hits, sizes

    def make(frozen: bool) -> Callable[[float, int], Callable[[str], Any]]:
        def tune(rate: float, number: int) -> Callable[[str], Any]:
            predict = finetune.tune_tagger(
                model, rows["train"], tags, 2 * len(labels) + 1, budget, rate=rate, seed=number, frozen=frozen
            )
            return lambda part: counts(part, predict(rows[part]))

        return tune

    def on_dev(value: tuple[list[float], list[float]]) -> float:
        return sum(value[0]) / max(1.0, sum(value[1]))

    found, notes = _modes({"probe": make(True), "full": make(False)}, budget, on_dev, seed)
    ids = [_key(each.text) for each in parts.test]
    metrics = {
        name.replace("*", "f1"): Scores(ids, [v[0] for v in values], [v[1] for v in values])
        for name, values in found.items()
    }
    return _result(metrics, task, budget, seed, notes)


def _predictions(
    parts: _Parts, names: Sequence[str], model: Model, budget: FineTuning, seed: int, *, pairs: bool
) -> tuple[dict[str, list[NDArray[np.float32]]], list[str]]:
    """Per mode and seed the class scores of the test items; for pairs of the dev items followed by the test items."""
    places = {name: number for number, name in enumerate(names)}
    classes = np.array([places[str(each.label)] for each in parts.train])
    dev_truth = np.array([places.get(str(each.label), -1) for each in parts.dev])
    wanted = "dev+test" if pairs else "test"

    def on_dev(values: NDArray[np.float32]) -> float:
        return float((values.argmax(1) == dev_truth).mean()) if len(dev_truth) else 0.0

    if isinstance(model, LexicalModel):
        if model.kind == "bm25" and not pairs:
            raise NotApplicable("bm25 ranks; tfidf is the baseline that classifies")
        vectors = _lexical_vectors(parts, model, pairs)
        predict = _regression(vectors, classes, len(names), on_dev)
        return {"*": [predict(wanted)]}, []
    each = {"train": parts.train, "dev": parts.dev, "test": parts.test}
    together = {
        name: model.tokenize(
            [_first(e) for e in items], budget.max_tokens, [_second(e) for e in items] if pairs else None
        )
        for name, items in each.items()
    }
    together["dev+test"] = [*together["dev"], *together["test"]]

    def full(rate: float, number: int) -> Callable[[str], NDArray[np.float32]]:
        logits = finetune.tune_classifier(
            model, together["train"], classes, len(names), budget, rate=rate, seed=number
        )  # fmt: skip
        return lambda part: logits(together[part])

    fixed: dict[str, Any] = {}

    def probe(rate: float, number: int) -> Callable[[str], NDArray[np.float32]]:
        if not fixed:  # a regression on fixed vectors has one solution: all seeds share it
            fixed["predict"] = _regression(_probe_vectors(each, model, budget, pairs), classes, len(names), on_dev)
        predict: Callable[[str], NDArray[np.float32]] = fixed["predict"]
        return predict

    return _modes({"probe": probe, "full": full}, budget, on_dev, seed, wanted)


def _probe_vectors(
    parts: Mapping[str, Sequence[Example]], model: HuggingFaceEncoder, budget: FineTuning, pairs: bool
) -> dict[str, Any]:
    """Scaled embeddings; of pairs both, their distance and their product."""
    found = {}
    for name, items in parts.items():
        sides = [model.embed_rows(model.tokenize([text(e) for e in items], budget.max_tokens)) for text in (
            (_first, _second) if pairs else (_first,)
        )]  # fmt: skip
        if pairs:
            one, two = sides
            sides = [one, two, np.abs(one - two), one * two]
        found[name] = np.concatenate(sides, 1)
    center, scale = found["train"].mean(0), found["train"].std(0) + 1e-6
    found = {name: (values - center) / scale for name, values in found.items()}
    return {**found, "dev+test": np.concatenate([found["dev"], found["test"]])}


def _lexical_vectors(parts: _Parts, model: LexicalModel, pairs: bool) -> dict[str, Any]:
    """TF-IDF vectors; of pairs how alike they are, in the model's own measure and as the share of words in common."""
    if not pairs:
        train, dev, test = model.vectors(*([e.text for e in each] for each in (parts.train, parts.dev, parts.test)))
        return {"train": train, "dev": dev, "test": test}
    found = {}
    for name, items in (("train", parts.train), ("dev", parts.dev), ("test", parts.test)):
        alike = model.compare([e.text for e in items], [_second(e) for e in items])
        words = [(set(e.text.lower().split()), set(_second(e).lower().split())) for e in items]
        shared = [len(a & b) / max(1, len(a | b)) for a, b in words]
        found[name] = np.stack([alike, np.array(shared)], 1)
    return {**found, "dev+test": np.concatenate([found["dev"], found["test"]])}


def _regression(
    vectors: Mapping[str, Any], classes: NDArray[np.int64], num_classes: int, on_dev: Callable[[Any], float]
) -> Callable[[str], NDArray[np.float32]]:
    """Logistic regression, its penalty chosen on dev; returns part -> class scores `[n, classes]`."""
    from sklearn.linear_model import LogisticRegression

    def predict(fitted: Any, part: str) -> NDArray[np.float32]:
        result = np.full((vectors[part].shape[0], num_classes), -np.inf, np.float32)
        result[:, fitted.classes_] = fitted.predict_log_proba(vectors[part])
        return result

    best: tuple[float, Any] | None = None
    for penalty in _PENALTIES:
        fitted = LogisticRegression(C=penalty, max_iter=300).fit(vectors["train"], classes)
        reached = on_dev(predict(fitted, "dev"))
        if best is None or reached > best[0]:
            best = (reached, fitted)
    assert best is not None
    return lambda part: predict(best[1], part)


def _modes(
    makers: Mapping[str, Callable[[float, int], Callable[[str], Any]]],
    budget: FineTuning,
    on_dev: Callable[[Any], float],
    seed: int,
    wanted: str = "test",
) -> tuple[dict[str, list[Any]], list[str]]:
    """What each mode predicts on `wanted`, a list over seeds; the first mode's key is `*`, the others' `mode.*`."""
    found: dict[str, list[Any]] = {}
    notes = []
    for place, mode in enumerate(budget.modes):
        rates = budget.learning_rates if mode == "full" else budget.learning_rates[:1]
        first = {rate: makers[mode](rate, seed) for rate in rates}
        rate = max(rates, key=lambda each: on_dev(first[each]("dev"))) if len(rates) > 1 else rates[0]
        predictors = [first[rate], *(makers[mode](rate, seed + number) for number in range(1, budget.seeds))]
        found["*" if place == 0 else f"{mode}.*"] = [predict(wanted) for predict in predictors]
        if mode == "full" and len(rates) > 1:
            notes.append(
                f"Full fine-tune: learning rate {rate:g} of {', '.join(f'{r:g}' for r in rates)}, chosen on dev."
            )
    return found, notes


def _result(
    scores: Mapping[str, Scores],
    task: ExampleTask | TaggingTask,
    budget: FineTuning,
    seed: int,
    notes: Sequence[str] = (),
    plain: Mapping[str, Metric] | None = None,
    tables: Mapping[str, Any] | None = None,
) -> EvaluationResult:
    metrics = {name: metric(each, seed) for name, each in scores.items()}
    return EvaluationResult(
        {**metrics, **(plain or {})}, main=next(iter(metrics)), scores=scores, notes=list(notes), tables=tables or {}
    )


def _cut(task: ExampleTask | TaggingTask, budget: FineTuning) -> _Parts:
    """At most the budget's number of examples of each part; which ones, their text decides."""
    parts = []
    for name in ("train", "dev", "test"):
        examples: Sequence[Any] = getattr(task, name)
        if not examples:
            raise DataError(f"{task.name}: there are no examples in {name}")
        if len(examples) > budget.examples:
            examples = sorted(examples, key=lambda e: _key(f"{e.text}\n{getattr(e, 'second', '')}"))[: budget.examples]
        parts.append(examples)
    return _Parts(*parts)


def _key(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _ids(examples: Sequence[Example]) -> list[str]:
    return [_key(f"{each.text}\n{each.second}") for each in examples]


def _groups(examples: Sequence[Example]) -> list[str] | None:
    return [str(each.group) for each in examples] if all(each.group is not None for each in examples) else None


def _first(example: Example) -> str:
    return example.text


def _second(example: Example) -> str:
    return example.second or ""


def _cosine(one: NDArray[np.float32], two: NDArray[np.float32]) -> Floats:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    return np.asarray((one * two).sum(1) / np.maximum(norms, 1e-12), np.float64)


def _rounded(values: Sequence[Floats]) -> list[list[float]]:
    return [np.round(each, 6).tolist() for each in values]


def _threshold(margin: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """The margin from which on calling a pair positive gives the best F1 on dev; 0 if dev has no positive."""
    if not truth.any():
        return 0.0
    order = np.argsort(-margin, kind="stable")
    right = np.cumsum(truth[order])
    f1 = 2 * right / (np.arange(1, len(order) + 1) + truth.sum())
    # Between equal margins no threshold lies.
    last = np.append(np.diff(margin[order]) != 0, True)
    return float(margin[order][np.argmax(np.where(last, f1, -1.0))])


def _macro_f1(guess: Sequence[str], truth: Sequence[str]) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(truth, guess, average="macro", zero_division=0.0))


def _plain(values: Sequence[float], num_items: int) -> Metric:
    many = len(values) > 1
    spread = float(np.std(values, ddof=1)) if many else None
    return Metric(float(np.mean(values)), num_items=num_items, spread=spread, num_seeds=len(values) if many else None)


def _tags(text: TaggedText, places: Sequence[tuple[int, int]], labels: Sequence[str]) -> NDArray[np.int64]:
    """Per token: 0 outside, odd numbers begin a span, even ones continue it; -1 for special tokens."""
    tags = np.full(len(places), _OUTSIDE, np.int64)
    for token, (start, end) in enumerate(places):
        if start == end:
            tags[token] = -1
    for a, b, label in text.spans:
        inside = [token for token, (start, end) in enumerate(places) if start < b and end > a and start < end]
        for order, token in enumerate(inside):
            tags[token] = 1 + 2 * labels.index(label) + (order > 0)
    return tags


def _spans(
    text: str, places: Sequence[tuple[int, int]], tags: NDArray[np.int64], labels: Sequence[str]
) -> set[tuple[int, int, str]]:
    """The spans that tags draw, without blanks at their ends."""
    found: set[tuple[int, int, str]] = set()
    open_span: list[int] | None = None
    for (start, end), tag in zip([*places, (0, 0)], [*tags.tolist(), _OUTSIDE], strict=True):
        label = (int(tag) - 1) // 2 if tag > 0 and start < end else -1
        begins = tag > 0 and tag % 2 == 1
        if open_span is not None and (label != open_span[2] or begins):
            a, b, which = open_span
            piece = text[a:b]
            a, b = a + len(piece) - len(piece.lstrip()), b - (len(piece) - len(piece.rstrip()))
            if a < b:
                found.add((a, b, labels[which]))
            open_span = None
        if label >= 0:
            if open_span is None:
                open_span = [start, end, label]
            else:
                open_span[1] = end
    return found
