"""Losses and heads of fine-tunes, each as a `FineTune` that runs in parts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from rexplug.components import FineTuning
from rexplug.evaluation.device_batches import to_device
from rexplug.evaluation.embedding_modules import Transform
from rexplug.evaluation.text_encoder import TextEncoder
from rexplug.evaluation.tuning import FineTune

_LOSS_SCALE = 20.0
"""Scale of cosines, as in sentence-transformers' CoSENTLoss and MultipleNegativesRankingLoss."""
HEAD_LEARNING_RATE = 1e-2
"""Learning rate of a probe's head: a few thousand weights on fixed vectors need no choice."""
_HEAD_STEPS = 300
_STATISTICS_TEXTS = 500
"""Texts whose mean and deviation features are scaled by before a head that is not given, at most."""
Rows = list[NDArray[np.int64]]
"""Token ids of texts, special tokens included."""
Feature = Literal["embedding", "mean"]
"""What a classifier's head reads."""
T = TypeVar("T")


@dataclass(frozen=True)
class Head:
    """A linear head on features that are scaled by their mean and standard deviation.

    Attributes:
        center: `[features]`.
        scale: `[features]`.
        weight: `[outputs, features]`.
        bias: `[outputs]`.
    """

    center: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor

    @classmethod
    def drawn(cls, features: Tensor, num_outputs: int, seed: int) -> Head:
        """A head with random weights for such features `[n, features]`, on their device."""
        size = features.shape[1]
        weight = torch.randn(num_outputs, size, generator=torch.Generator().manual_seed(seed)) * 0.02
        center, scale = _center_and_scale(features)
        return cls(center, scale, weight.to(center.device), torch.zeros(num_outputs, device=center.device))

    def to(self, device: torch.device) -> Head:
        """The same on a device."""
        return Head(*(values.to(device) for values in (self.center, self.scale, self.weight, self.bias)))

    def trainable(self) -> Head:
        """A copy whose weights are parameters."""
        weight, bias = (nn.Parameter(values.detach().clone()) for values in (self.weight, self.bias))
        return Head(self.center, self.scale, weight, bias)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The weights of a trainable head."""
        return [values for values in (self.weight, self.bias) if isinstance(values, nn.Parameter)]

    def __call__(self, features: Tensor) -> Tensor:
        """Outputs `[n, outputs]` of features `[n, features]`; differentiable."""
        return F.linear((features - self.center) / self.scale, self.weight, self.bias)


def tune_similarity(
    encoder: TextEncoder,
    first: Rows,
    second: Rows,
    labels: NDArray[np.float64],
    budget: FineTuning,
    *,
    learning_rate: float,
    seed: int,
    transform: Transform | None = None,
) -> FineTune[TextEncoder]:
    """Fine-tune a copy with CoSENT, on pairs `first[i]`, `second[i]` whose degree of similarity is `labels[i]`.

    `transform` is applied to embeddings in the fine-tune and after it.
    """
    tuned = encoder.clone_with(transform)

    def loss(indices: list[int]) -> Tensor:
        vectors = F.normalize(tuned.pooled([first[i] for i in indices] + [second[i] for i in indices]), dim=-1)
        one, two = vectors.chunk(2)
        return cosent((one * two).sum(-1), to_device(labels[indices], one.device))

    return _of_all_weights(tuned, tuned, loss, len(first), budget, learning_rate, seed)


def cosent(similarity: Tensor, labels: Tensor) -> Tensor:
    """CoSENT loss of `similarity` `[b]` and `labels` `[b]`: log(1 + sum of exp(20 (s_i - s_j)) where label_i < label_j)."""
    scaled = similarity * _LOSS_SCALE
    differences = scaled[:, None] - scaled[None, :]
    wrong = labels[:, None] < labels[None, :]
    # Choosing them on a GPU would wait for it, to learn how many are wrong.
    on_cpu = differences.device.type == "cpu"
    counted = differences[wrong] if on_cpu else differences.masked_fill(~wrong, float("-inf")).flatten()
    return torch.logsumexp(torch.cat([differences.new_zeros(1), counted]), 0)


def tune_ranking(
    encoder: TextEncoder,
    queries: Rows,
    documents: Rows,
    pairs: Sequence[tuple[str, str]],
    budget: FineTuning,
    *,
    learning_rate: float,
    seed: int,
    transform: Transform | None = None,
) -> FineTune[TextEncoder]:
    """Fine-tune a copy with in-batch negatives, on pairs of `queries[i]` and its relevant `documents[i]`.

    `pairs` are their texts: documents of the same query, and other occurrences of the same document, are not negatives.
    `transform` is applied to embeddings in the fine-tune and after it.
    """
    tuned = encoder.clone_with(transform)
    query_numbers, document_numbers = (_numbers([pair[side] for pair in pairs]) for side in (0, 1))

    def loss(indices: list[int]) -> Tensor:
        vectors = F.normalize(tuned.pooled([queries[i] for i in indices] + [documents[i] for i in indices]), dim=-1)
        query_vectors, document_vectors = vectors.chunk(2)
        scores = query_vectors @ document_vectors.T * _LOSS_SCALE
        same = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
        for numbers in (query_numbers, document_numbers):
            of_batch = to_device(numbers[indices], scores.device)
            same |= of_batch[:, None] == of_batch[None, :]
        same &= ~torch.eye(len(indices), dtype=torch.bool, device=scores.device)
        truth = torch.arange(len(indices), device=scores.device)
        return F.cross_entropy(scores.masked_fill(same, float("-inf")), truth)

    return _of_all_weights(tuned, tuned, loss, len(queries), budget, learning_rate, seed)


class Classifier:
    """Class scores by a linear head on a feature of each text.

    Args:
        encoder: computes the features.
        head: the head.
        feature: `embedding` as the model computes it, or `mean` of the token vectors, which pairs of texts have too.
    """

    def __init__(self, encoder: TextEncoder, head: Head, feature: Feature) -> None:
        self.encoder, self.head, self._feature = encoder, head, feature

    def scores(self, batch: Rows) -> Tensor:
        """Class scores `[n, classes]` of one batch; differentiable."""
        return self.head(features(self.encoder, batch, self._feature))

    def logits(self, rows: Rows) -> NDArray[np.float32]:
        """Class scores `[n, classes]` of texts."""
        result = np.zeros((len(rows), len(self.head.bias)), np.float32)
        for indices, of_batch in self.encoder.compute(rows, lambda of: self.scores([rows[i] for i in of])):
            result[indices] = of_batch
        return result


def features(encoder: TextEncoder, batch: Rows, feature: Feature) -> Tensor:
    """What a classifier's head reads of each text of a batch, `[n, features]`; differentiable."""
    return encoder.pooled(batch) if feature == "embedding" else encoder.means(batch)


def tune_classifier(
    encoder: TextEncoder,
    rows: Rows,
    classes: NDArray[np.int64],
    num_classes: int,
    budget: FineTuning,
    *,
    learning_rate: float,
    seed: int,
    feature: Feature = "mean",
    head: Head | None = None,
) -> FineTune[Classifier]:
    """Fine-tune all weights of a copy and a linear head, which starts from `head`, or from random weights."""
    tuned = encoder.clone()
    if head is None:
        with torch.no_grad():
            head = Head.drawn(features(tuned, rows[:_STATISTICS_TEXTS], feature), num_classes, seed)
    classifier = Classifier(tuned, head.trainable(), feature)

    def loss(indices: list[int]) -> Tensor:
        return F.cross_entropy(classifier.scores([rows[i] for i in indices]), to_device(classes[indices], tuned.device))

    return _of_all_weights(classifier, tuned, loss, len(rows), budget, learning_rate, seed, classifier.head)


class Tagger:
    """A tag of every token, by a linear head on token vectors."""

    def __init__(self, encoder: TextEncoder, head: Head) -> None:
        self.encoder, self.head = encoder, head

    def tags(self, rows: Rows) -> list[NDArray[np.int64]]:
        """The tag of each token of each row."""
        predicted: list[NDArray[np.int64]] = [np.zeros(0, np.int64)] * len(rows)
        found = self.encoder.compute(rows, lambda of: self.head(self.encoder.hidden([rows[i] for i in of])).argmax(-1))
        for indices, of_batch in found:
            ends = np.cumsum([len(rows[i]) for i in indices])[:-1]
            for index, of_text in zip(indices, np.split(of_batch, ends), strict=True):
                predicted[index] = of_text
        return predicted


def probe_tagger(
    encoder: TextEncoder,
    fixed: Sequence[Tensor],
    tags: list[NDArray[np.int64]],
    num_tags: int,
    *,
    batch: int,
    seed: int,
) -> FineTune[Tagger]:
    """Train a linear head on fixed token vectors; `tags[i]` `[tokens]` are those of `fixed[i]` `[tokens, hidden]`."""
    head = Head.drawn(torch.cat(list(fixed)), num_tags, seed).trainable()

    def loss(indices: list[int]) -> Tensor:
        return _tag_loss(head, torch.cat([fixed[i] for i in indices]), tags, indices)

    return FineTune(
        Tagger(encoder, head), head.parameters, loss, len(fixed), steps=_HEAD_STEPS, batch=batch,
        learning_rate=HEAD_LEARNING_RATE, seed=seed,
    )  # fmt: skip


def tune_tagger(
    encoder: TextEncoder,
    rows: Rows,
    tags: list[NDArray[np.int64]],
    head: Head,
    budget: FineTuning,
    *,
    learning_rate: float,
    seed: int,
) -> FineTune[Tagger]:
    """Fine-tune all weights of a copy and a linear head on every token, which starts from `head`.

    `tags[i]` `[tokens]` are the tags of `rows[i]`; tokens with tag -1 do not count.
    """
    tagger = Tagger(encoder.clone(), head.trainable())

    def loss(indices: list[int]) -> Tensor:
        return _tag_loss(tagger.head, tagger.encoder.hidden([rows[i] for i in indices]), tags, indices)

    return _of_all_weights(tagger, tagger.encoder, loss, len(rows), budget, learning_rate, seed, tagger.head)


def probe_similarity(
    first: NDArray[np.float32], second: NDArray[np.float32], labels: NDArray[np.float64], *, batch: int, seed: int
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Train a linear map of fixed embeddings with CoSENT; returns embeddings -> mapped embeddings."""
    vectors = torch.from_numpy(np.concatenate([first, second]))
    center, scale = _center_and_scale(vectors)
    one, two = ((torch.from_numpy(side) - center) / scale for side in (first, second))
    degrees = torch.from_numpy(labels)
    size = one.shape[1]
    linear = nn.Linear(size, size, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.eye(size))

    def loss(indices: list[int]) -> Tensor:
        a, b = (F.normalize(linear(side[indices]), dim=-1) for side in (one, two))
        return cosent((a * b).sum(-1), degrees[indices])

    # Lower than a head's: the map starts from the identity, not from random weights.
    learning_rate = HEAD_LEARNING_RATE / 10
    parameters = list(linear.parameters())
    FineTune(
        linear, parameters, loss, len(one), steps=_HEAD_STEPS, batch=batch, learning_rate=learning_rate, seed=seed
    ).run()

    def mapped(values: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            result: NDArray[np.float32] = linear((torch.from_numpy(values) - center) / scale).numpy()
        return result

    return mapped


def _of_all_weights(
    model: T,
    tuned: TextEncoder,
    loss: Callable[[list[int]], Tensor],
    num_examples: int,
    budget: FineTuning,
    learning_rate: float,
    seed: int,
    *heads: Head,
) -> FineTune[T]:
    parameters = [parameter for parameter in tuned.module.parameters() if parameter.requires_grad]
    for head in heads:
        parameters += head.parameters
    return FineTune(
        model, parameters, loss, num_examples, steps=budget.steps, batch=budget.batch, learning_rate=learning_rate,
        seed=seed, activity=tuned.activity,
    )  # fmt: skip


def _tag_loss(head: Head, vectors: Tensor, tags: list[NDArray[np.int64]], indices: list[int]) -> Tensor:
    truth = to_device(np.concatenate([tags[i] for i in indices]), vectors.device)
    return F.cross_entropy(head(vectors), truth, ignore_index=-1)


def _numbers(texts: Sequence[Hashable]) -> NDArray[np.int64]:
    """A number for each text, equal for equal texts."""
    number_of = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return np.array([number_of[text] for text in texts], np.int64)


def _center_and_scale(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each dimension: embeddings of masked language models lie in a narrow cone."""
    return vectors.mean(0), vectors.std(0).clamp_min(1e-6)
