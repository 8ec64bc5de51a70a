"""Class scores of texts and of pairs of texts: by full fine-tunes, by probes and by lexical baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rexplug.components import FineTuning
from rexplug.errors import NotApplicable
from rexplug.evaluation.finetune import Classifier, Head, Rows, tune_classifier
from rexplug.evaluation.lexical import LexicalModel
from rexplug.evaluation.splits import Splits, first_text, sample_of, second_text
from rexplug.evaluation.starts import spread_sample
from rexplug.evaluation.text_encoder import TextEncoder
from rexplug.evaluation.tuning import NOT_TRAINABLE, FineTune, by_mode, fine_tune
from rexplug.text.words import has_unspaced, lower_words

_PENALTIES = (0.01, 0.1, 1.0, 10.0)
"""C of the logistic regressions, chosen on dev. Heads of fine-tunes start from the first: with weights that are certain of the
training examples nothing is left to learn from them."""
Scores = NDArray[np.float32]
Floats = NDArray[np.float32]
Predictor = Callable[[str], Scores]


@dataclass(frozen=True)
class ClassScores:
    """Class scores of a task's items.

    Attributes:
        by_mode: mode, as `by_mode` names it -> scores of each seed, `[n, classes]`.
        notes: what was chosen, for the reader.
        table: measurements on dev.
    """

    by_mode: dict[str, list[Scores]]
    notes: Sequence[str] = ()
    table: Sequence[Mapping[str, Any]] = ()


def class_scores(
    splits: Splits,
    classes: Sequence[str],
    model: TextEncoder | LexicalModel,
    budget: FineTuning,
    seed: int,
    rate: Callable[[Scores, Sequence[str]], float],
    *,
    pairs: bool,
) -> ClassScores:
    """Class scores of the test items, or for pairs of the dev items and then the test items.

    A full fine-tune is compared on dev with the probe, a logistic regression on the frozen encoder, which is part of the result
    too. A fine-tune starts from the weights of such a regression (linear probing, then fine-tuning: arXiv 2202.10054): on single
    texts from one on the embeddings that the probe reads, on pairs, which are read as one input, on mean token vectors.

    Args:
        splits: the examples.
        classes: names of the classes.
        model: the model.
        budget: the budget of the fine-tune.
        seed: the first seed.
        rate: (scores, true classes) of dev examples -> the score to choose by; higher is better.
        pairs: whether the items are pairs of texts.

    Raises:
        NotApplicable: the model is BM25 and the items are single texts.
    """
    number_of = {name: number for number, name in enumerate(classes)}
    train_classes = np.array([number_of[str(example.label)] for example in splits.train])
    dev_labels = [str(example.label) for example in splits.dev]
    split = "dev+test" if pairs else "test"

    def accuracy(scores: Scores) -> float:
        return float(
            np.mean([classes[best] == label for best, label in zip(scores.argmax(1), dev_labels, strict=True)])
        )

    def regression(vectors: Mapping[str, Any]) -> tuple[Any, Predictor]:
        return _regression(vectors, train_classes, len(classes), accuracy)

    if isinstance(model, LexicalModel):
        if model.kind == "bm25" and not pairs:
            raise NotApplicable("bm25 ranks texts and does not classify them; tfidf is the lexical baseline that does")
        scores = regression(_lexical_vectors(splits, model, pairs))[1](split)
        # The baseline has one way to classify; either metric of an encoder can be compared with it.
        return ClassScores(by_mode(budget, {mode: [scores] for mode in (*budget.modes, "probe")}))
    vectors, center, scale = _probe_vectors(splits, model, budget, pairs)
    weakest, probe = regression(vectors)
    if not model.trainable:
        return ClassScores(by_mode(budget, {"probe": [probe(split)]}), [NOT_TRAINABLE])
    if "full" not in budget.modes:
        return ClassScores({"*": [probe(split)]})
    rows = {
        name: model.tokenize(
            [first_text(e) for e in examples], budget.max_tokens, [second_text(e) for e in examples] if pairs else None
        )
        for name, examples in splits.items()
    }
    rows["dev+test"] = [*rows["dev"], *rows["test"]]
    sampled = sample_of(splits.dev, budget.dev_examples)
    dev_rows, sampled_labels = [rows["dev"][i] for i in sampled], [dev_labels[i] for i in sampled]
    head = _pair_head(model, rows["train"], train_classes, len(classes)) if pairs else _head(weakest, center, scale)

    def begin(learning_rate: float, seed: int) -> FineTune[Classifier]:
        return tune_classifier(
            model, rows["train"], train_classes, len(classes), budget, learning_rate=learning_rate, seed=seed,
            feature="mean" if pairs else "embedding", head=head.to(model.device),
        )  # fmt: skip

    outcome = fine_tune(
        begin,
        lambda tune: tune.model.logits(rows[split]),
        lambda classifier: rate(classifier.logits(dev_rows), sampled_labels),
        (rate(probe("dev")[sampled], sampled_labels), probe(split)),
        budget,
        seed,
    )
    results = {"full": outcome.results, "probe": [probe(split)]}
    return ClassScores(by_mode(budget, results), outcome.notes, outcome.table)


def _head(fitted: Any, center: Floats, scale: Floats) -> Head:
    """The weights of a logistic regression on scaled features as a head."""
    weight, bias = fitted.coef_, fitted.intercept_
    if len(weight) == 1:  # of two classes scikit-learn keeps the difference
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return Head(*(torch.from_numpy(np.asarray(values, np.float32)) for values in (center, scale, weight, bias)))


def _pair_head(model: TextEncoder, rows: Rows, classes: NDArray[np.int64], num_classes: int) -> Head:
    """A regression on the mean token vectors of some training pairs; random weights if they lack a class."""
    from sklearn.linear_model import LogisticRegression

    sample = spread_sample(range(len(rows)))
    computed = model.compute([rows[i] for i in sample], lambda of: model.means([rows[sample[i]] for i in of]))
    vectors = np.zeros((len(sample), computed[0][1].shape[1]), np.float32)
    for indices, of_batch in computed:
        vectors[indices] = of_batch
    center, scale = vectors.mean(0), vectors.std(0) + 1e-6
    if len(np.unique(classes[sample])) < num_classes:
        return Head.drawn(torch.from_numpy(vectors), num_classes, 0)
    fitted = LogisticRegression(C=_PENALTIES[0], max_iter=300).fit((vectors - center) / scale, classes[sample])
    return _head(fitted, center, scale)


def _probe_vectors(
    splits: Splits, model: TextEncoder, budget: FineTuning, pairs: bool
) -> tuple[dict[str, Any], Floats, Floats]:
    """Scaled embeddings by split, their mean and their deviation before scaling.

    Of pairs the embeddings of both texts, their distance and their product stand side by side.
    """
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
    return {**scaled, "dev+test": np.concatenate([scaled["dev"], scaled["test"]])}, center, scale


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
    vectors: Mapping[str, Any], classes: NDArray[np.int64], num_classes: int, on_dev: Callable[[Scores], float]
) -> tuple[Any, Predictor]:
    """The most regularised logistic regression, and the predictor of the one whose penalty is best on dev.

    A predictor makes class scores `[n, num_classes]` of a split.
    """
    from sklearn.linear_model import LogisticRegression

    def predict(fitted: Any, split: str) -> Scores:
        scores = np.full((vectors[split].shape[0], num_classes), -np.inf, np.float32)
        with np.errstate(divide="ignore"):  # a probability may be 0
            scores[:, fitted.classes_] = fitted.predict_log_proba(vectors[split])
        return scores

    fitted = [LogisticRegression(C=penalty, max_iter=300).fit(vectors["train"], classes) for penalty in _PENALTIES]
    chosen = max(fitted, key=lambda regression: on_dev(predict(regression, "dev")))
    return fitted[0], lambda split: predict(chosen, split)
