"""Fine-tunes with a fixed budget: one small training loop, and the losses and heads that use it.

The loop is ours and not a trainer's, so that every model gets the same examples in the same order for the same number of
steps, on packed rows where it can; a fine-tune is a function of (model, examples, budget, seed).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from rexplug.components import FineTuning
from rexplug.evaluation.device_batches import to_device
from rexplug.evaluation.encoder import HuggingFaceEncoder

_LOSS_SCALE = 20.0
"""Of cosines, as in sentence-transformers' CoSENTLoss and MultipleNegativesRankingLoss."""
_HEAD_LEARNING_RATE = 1e-2
"""Of a probe's head: a few thousand weights on fixed vectors need no sweep."""
_HEAD_STEPS = 300
_STATISTICS_TEXTS = 500
"""Texts (of either side) whose mean and directions embeddings are whitened or scaled by before a fine-tune, at most."""
NOT_TRAINABLE = "The model cannot be fine-tuned: metrics are of the model as it is, and of probes on its embeddings."
Rows = list[NDArray[np.int64]]
"""Token ids of texts, special tokens included."""
Predictor = Callable[[str], Any]
"""Split (`train`, `dev`, `test`) -> predictions for its examples."""


def train(
    parameters: Sequence[nn.Parameter],
    loss: Callable[[list[int]], Tensor],
    num_examples: int,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
) -> None:
    """AdamW with gradients clipped at norm 1; linear warm-up over a tenth of the steps, then linear decay to 0.

    Args:
        parameters: what is trained.
        loss: indices of a batch's examples -> loss.
        num_examples: how many examples there are.
        steps: steps of the optimizer.
        batch: examples in a step.
        learning_rate: its peak.
        seed: of the order of examples.
    """
    # On a GPU one kernel for all weights; on a CPU torch's default.
    fused = True if parameters[0].is_cuda else None
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.01, fused=fused)
    warmup = max(1, steps // 10)
    for step, indices in enumerate(_batches(num_examples, batch, steps, seed)):
        factor = min((step + 1) / warmup, (steps - step) / max(1, steps - warmup + 1))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * factor
        value = loss(indices)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()


def _batches(num_examples: int, batch: int, steps: int, seed: int) -> Iterator[list[int]]:
    """Epoch after epoch in a new order; a batch that an epoch does not fill is filled from the next."""
    generator = np.random.default_rng([seed, num_examples])
    pending: list[int] = []
    for _ in range(steps):
        while len(pending) < min(batch, num_examples):
            pending += generator.permutation(num_examples).tolist()
        yield pending[:batch]
        pending = pending[batch:]


def tune_similarity(
    encoder: HuggingFaceEncoder,
    first: Rows,
    second: Rows,
    labels: NDArray[np.float64],
    budget: FineTuning,
    *,
    learning_rate: float,
    seed: int,
) -> HuggingFaceEncoder:
    """A copy fine-tuned with CoSENT, on pairs `first[i]`, `second[i]` whose degree of similarity is `labels[i]`."""
    tuned = encoder.clone()
    tuned.whiten([*first[:_STATISTICS_TEXTS], *second[:_STATISTICS_TEXTS]])

    def loss(indices: list[int]) -> Tensor:
        vectors = F.normalize(tuned.pooled([first[i] for i in indices] + [second[i] for i in indices]), dim=-1)
        one, two = vectors.chunk(2)
        return cosent((one * two).sum(-1), to_device(labels[indices], one.device))

    _train_all(tuned, loss, len(first), budget, learning_rate, seed)
    return tuned


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
    encoder: HuggingFaceEncoder,
    queries: Rows,
    documents: Rows,
    query_texts: Sequence[str],
    budget: FineTuning,
    *,
    learning_rate: float,
    seed: int,
) -> HuggingFaceEncoder:
    """A copy fine-tuned with in-batch negatives, on pairs of `queries[i]` and its relevant `documents[i]`.

    Pairs with equal `query_texts` share a query: their documents are not negatives of each other.
    """
    tuned = encoder.clone()
    tuned.whiten([*queries[:_STATISTICS_TEXTS], *documents[:_STATISTICS_TEXTS]])
    query_numbers = np.unique(np.asarray(query_texts, object).astype(str), return_inverse=True)[1]

    def loss(indices: list[int]) -> Tensor:
        vectors = F.normalize(tuned.pooled([queries[i] for i in indices] + [documents[i] for i in indices]), dim=-1)
        query_vectors, document_vectors = vectors.chunk(2)
        scores = query_vectors @ document_vectors.T * _LOSS_SCALE
        numbers = to_device(query_numbers[indices], scores.device)
        own = torch.eye(len(indices), dtype=torch.bool, device=scores.device)
        same_query = (numbers[:, None] == numbers[None, :]) & ~own
        return F.cross_entropy(
            scores.masked_fill(same_query, float("-inf")), torch.arange(len(indices), device=scores.device)
        )

    _train_all(tuned, loss, len(queries), budget, learning_rate, seed)
    return tuned


def tune_classifier(
    encoder: HuggingFaceEncoder,
    rows: Rows,
    classes: NDArray[np.int64],
    num_classes: int,
    budget: FineTuning,
    *,
    learning_rate: float,
    seed: int,
) -> Callable[[Rows], NDArray[np.float32]]:
    """Fine-tune all weights and a linear head on the mean of the token vectors; returns rows -> logits `[n, classes]`."""
    tuned = encoder.clone()
    head = _head(tuned.num_dimensions, num_classes, seed).to(tuned.device)
    center, scale = _center_and_scale(
        torch.stack([vectors.mean(0) for vectors in tuned.token_vectors(rows[:_STATISTICS_TEXTS])])
    )

    def scores(batch: Rows) -> Tensor:
        logits: Tensor = head((tuned.means(batch) - center) / scale)
        return logits

    def loss(indices: list[int]) -> Tensor:
        return F.cross_entropy(scores([rows[i] for i in indices]), to_device(classes[indices], tuned.device))

    _train_all(tuned, loss, len(rows), budget, learning_rate, seed, head)

    def logits(texts: Rows) -> NDArray[np.float32]:
        result = np.zeros((len(texts), num_classes), np.float32)
        for indices, of_batch in tuned.compute(texts, lambda indices: scores([texts[i] for i in indices])):
            result[indices] = of_batch
        return result

    return logits


def tune_tagger(
    encoder: HuggingFaceEncoder,
    rows: Rows,
    tags: list[NDArray[np.int64]],
    num_tags: int,
    budget: FineTuning,
    *,
    learning_rate: float,
    seed: int,
    frozen: bool,
) -> Callable[[Rows], list[NDArray[np.int64]]]:
    """Fine-tune a linear head on every token, with all weights or (`frozen`) alone.

    `tags[i]` `[tokens]` are the tags of `rows[i]`; tokens with tag -1 do not count. Returns rows -> tag of each token.
    """
    tuned = encoder.clone()
    head = _head(tuned.num_dimensions, num_tags, seed).to(tuned.device)
    fixed = encoder.token_vectors(rows) if frozen else None
    sample = fixed if fixed is not None else encoder.token_vectors(rows[:_STATISTICS_TEXTS])
    center, scale = _center_and_scale(torch.cat(sample))

    def scores(vectors: Tensor) -> Tensor:
        logits: Tensor = head((vectors - center) / scale)
        return logits

    def loss(indices: list[int]) -> Tensor:
        vectors = torch.cat([fixed[i] for i in indices]) if fixed else tuned.hidden([rows[i] for i in indices])
        truth = to_device(np.concatenate([tags[i] for i in indices]), tuned.device)
        return F.cross_entropy(scores(vectors), truth, ignore_index=-1)

    if frozen:
        train(
            list(head.parameters()), loss, len(rows), steps=_HEAD_STEPS, batch=budget.batch,
            learning_rate=_HEAD_LEARNING_RATE, seed=seed,
        )  # fmt: skip
    else:
        _train_all(tuned, loss, len(rows), budget, learning_rate, seed, head)

    def predict(texts: Rows) -> list[NDArray[np.int64]]:
        predicted: list[NDArray[np.int64]] = [np.zeros(0, np.int64)] * len(texts)
        for indices, of_batch in tuned.compute(
            texts, lambda of: scores(tuned.hidden([texts[i] for i in of])).argmax(-1)
        ):
            ends = np.cumsum([len(texts[i]) for i in indices])[:-1]
            for index, of_text in zip(indices, np.split(of_batch, ends), strict=True):
                predicted[index] = of_text
        return predicted

    return predict


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
    learning_rate = _HEAD_LEARNING_RATE / 10
    parameters = list(linear.parameters())
    train(parameters, loss, len(one), steps=_HEAD_STEPS, batch=batch, learning_rate=learning_rate, seed=seed)

    def mapped(values: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            result: NDArray[np.float32] = linear((torch.from_numpy(values) - center) / scale).numpy()
        return result

    return mapped


def predict_by_mode(
    fine_tunes: Mapping[str, Callable[[float, int], Predictor]],
    budget: FineTuning,
    on_dev: Callable[[Any], float],
    seed: int,
    split: str = "test",
) -> tuple[dict[str, list[Any]], list[str]]:
    """Predictions on a split, a list over seeds for each mode of the budget, and notes for the reader.

    The key of the first mode is `*`, that of others `mode.*`; the metric's name takes the place of the star. Modes without a
    fine-tune are left out; if all are, those that there are take their place, under `mode.*`.

    Args:
        fine_tunes: mode -> (learning rate, seed) -> predictor.
        budget: modes, learning rates and number of seeds.
        on_dev: rates predictions on dev, from which the learning rate is chosen with the first seed.
        seed: the first seed.
        split: the split.
    """
    predictions: dict[str, list[Any]] = {}
    notes = []
    for mode in [mode for mode in budget.modes if mode in fine_tunes] or fine_tunes:
        fine_tune = fine_tunes[mode]
        rates = budget.learning_rates if mode == "full" else budget.learning_rates[:1]
        first = {rate: fine_tune(rate, seed) for rate in rates}
        best = max(rates, key=lambda rate: on_dev(first[rate]("dev"))) if len(rates) > 1 else rates[0]
        predictors = [first[best], *(fine_tune(best, seed + offset) for offset in range(1, budget.seeds))]
        predictions["*" if mode == budget.modes[0] else f"{mode}.*"] = [predict(split) for predict in predictors]
        if mode == "full" and len(rates) > 1:
            notes.append(
                f"Full fine-tune: learning rate {best:g} of {', '.join(f'{r:g}' for r in rates)}, chosen on dev."
            )
    return predictions, notes


def _train_all(
    tuned: HuggingFaceEncoder,
    loss: Callable[[list[int]], Tensor],
    num_examples: int,
    budget: FineTuning,
    learning_rate: float,
    seed: int,
    *heads: nn.Module,
) -> None:
    parameters = [
        parameter for module in (tuned.module, *heads) for parameter in module.parameters() if parameter.requires_grad
    ]
    train(
        parameters, loss, num_examples, steps=budget.steps, batch=budget.batch, learning_rate=learning_rate, seed=seed
    )


def _head(size: int, num_outputs: int, seed: int) -> nn.Linear:
    head = nn.Linear(size, num_outputs)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.copy_(torch.randn(num_outputs, size, generator=generator) * 0.02)
        head.bias.zero_()
    return head


def _center_and_scale(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each dimension: embeddings of masked language models lie in a narrow cone."""
    return vectors.mean(0), vectors.std(0).clamp_min(1e-6)
