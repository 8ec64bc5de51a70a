"""Class scores of texts and of pairs of texts: by full fine-tunes, by probes and by lexical baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.components import FineTuning
from rexplug.errors import NotApplicable
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.finetune import NOT_TRAINABLE, Predictor, predict_by_mode, tune_classifier
from rexplug.evaluation.lexical import LexicalModel
from rexplug.evaluation.splits import Splits, first_text, second_text
from rexplug.text.words import has_unspaced, lower_words

_PENALTIES = (0.01, 0.1, 1.0, 10.0)
"""C of the logistic regressions, chosen on dev."""


def class_scores(
    splits: Splits,
    classes: Sequence[str],
    model: HuggingFaceEncoder | LexicalModel,
    budget: FineTuning,
    seed: int,
    *,
    pairs: bool,
) -> tuple[dict[str, list[NDArray[np.float32]]], list[str]]:
    """Class scores `[n, classes]` of the test items, or for pairs of the dev items and then the test items.

    Returns:
        Mode (as `predict_by_mode` names it) -> scores of each seed, and notes for the reader.

    Raises:
        NotApplicable: the model is BM25 and the items are single texts.
    """
    number_of = {name: number for number, name in enumerate(classes)}
    train_classes = np.array([number_of[str(example.label)] for example in splits.train])
    dev_classes = np.array([number_of.get(str(example.label), -1) for example in splits.dev])
    split = "dev+test" if pairs else "test"

    def on_dev(scores: NDArray[np.float32]) -> float:
        return float((scores.argmax(1) == dev_classes).mean()) if len(dev_classes) else 0.0

    if isinstance(model, LexicalModel):
        if model.kind == "bm25" and not pairs:
            raise NotApplicable("bm25 ranks; tfidf is the baseline that classifies")
        vectors = _lexical_vectors(splits, model, pairs)
        predict = _regression(vectors, train_classes, len(classes), on_dev)
        return {"*": [predict(split)]}, []
    rows: dict[str, Any] = {}

    def full(learning_rate: float, seed: int) -> Predictor:
        if not rows:
            for name, examples in splits.items():
                pair_with = [second_text(e) for e in examples] if pairs else None
                rows[name] = model.tokenize([first_text(e) for e in examples], budget.max_tokens, pair_with)
            rows["dev+test"] = [*rows["dev"], *rows["test"]]
        logits = tune_classifier(
            model, rows["train"], train_classes, len(classes), budget, learning_rate=learning_rate, seed=seed
        )
        return lambda split: logits(rows[split])

    regression: list[Predictor] = []

    def probe(learning_rate: float, seed: int) -> Predictor:
        if not regression:  # a regression on fixed vectors has one solution: all seeds share it
            regression.append(
                _regression(_probe_vectors(splits, model, budget, pairs), train_classes, len(classes), on_dev)
            )
        return regression[0]

    modes = {"probe": probe, "full": full} if model.trainable else {"probe": probe}
    predictions, notes = predict_by_mode(modes, budget, on_dev, seed, split)
    return predictions, notes if model.trainable else [NOT_TRAINABLE, *notes]


def _probe_vectors(splits: Splits, model: HuggingFaceEncoder, budget: FineTuning, pairs: bool) -> dict[str, Any]:
    """Scaled embeddings by split; of pairs those of both texts, their distance and their product side by side."""
    vectors = {}
    for name, examples in splits.items():
        sides = [
            model.embed_rows(model.tokenize([text_of(e) for e in examples], budget.max_tokens))
            for text_of in ((first_text, second_text) if pairs else (first_text,))
        ]
        if pairs:
            one, two = sides
            sides = [one, two, np.abs(one - two), one * two]
        vectors[name] = np.concatenate(sides, 1)
    center, scale = vectors["train"].mean(0), vectors["train"].std(0) + 1e-6
    scaled = {name: (values - center) / scale for name, values in vectors.items()}
    return {**scaled, "dev+test": np.concatenate([scaled["dev"], scaled["test"]])}


def _lexical_vectors(splits: Splits, model: LexicalModel, pairs: bool) -> dict[str, Any]:
    """TF-IDF vectors by split; of pairs two features: the model's own score, and the share of words in common."""
    if not pairs:
        train, dev, test = model.vectors(*([e.text for e in examples] for _, examples in splits.items()))
        return {"train": train, "dev": dev, "test": test}
    vectors = {}
    for name, examples in splits.items():
        compared = model.compare([e.text for e in examples], [second_text(e) for e in examples])
        words = [(_words(e.text), _words(second_text(e))) for e in examples]
        shared = [len(a & b) / max(1, len(a | b)) for a, b in words]
        vectors[name] = np.stack([compared, np.array(shared)], 1)
    return {**vectors, "dev+test": np.concatenate([vectors["dev"], vectors["test"]])}


def _words(text: str) -> set[str]:
    """The words of a text in lower case, divided at white space; in scripts without spaces, by ICU."""
    return set(lower_words(text) if has_unspaced(text) else text.lower().split())


def _regression(
    vectors: Mapping[str, Any], classes: NDArray[np.int64], num_classes: int, on_dev: Callable[[Any], float]
) -> Predictor:
    """Logistic regression, its penalty chosen on dev; the predictor gives class scores `[n, num_classes]`."""
    from sklearn.linear_model import LogisticRegression

    def predict(fitted: Any, split: str) -> NDArray[np.float32]:
        scores = np.full((vectors[split].shape[0], num_classes), -np.inf, np.float32)
        scores[:, fitted.classes_] = fitted.predict_log_proba(vectors[split])
        return scores

    best: tuple[float, Any] | None = None
    for penalty in _PENALTIES:
        fitted = LogisticRegression(C=penalty, max_iter=300).fit(vectors["train"], classes)
        reached = on_dev(predict(fitted, "dev"))
        if best is None or reached > best[0]:
            best = (reached, fitted)
    assert best is not None
    return lambda split: predict(best[1], split)
