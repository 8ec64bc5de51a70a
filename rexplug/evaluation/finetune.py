"""Fine-tunes with a fixed budget: one small training loop, and the losses and heads that use it.

The loop is ours and not a trainer's, so that every model gets the same examples in the same order for the same number of
steps, on packed rows where it can; a run of it is a function of (model, examples, budget, seed).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from rexplug.components import FineTuning
from rexplug.evaluation.encoder import HuggingFaceEncoder

_COSENT_SCALE = 20.0
"""As in sentence-transformers' CoSENTLoss and MultipleNegativesRankingLoss."""
_HEAD_RATE = 1e-2
"""Learning rate of a probe's head: a few thousand weights on fixed vectors need no sweep."""
_HEAD_STEPS = 300
_WHITENING = 500
"""Texts of either side that embeddings are whitened by before a fine-tune, at most."""
Rows = list[NDArray[np.int64]]


def train(
    parameters: Sequence[nn.Parameter],
    loss: Callable[[list[int]], Tensor],
    num_examples: int,
    *,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
) -> None:
    """AdamW on `loss(indices of a batch)`, warm-up over a tenth of the steps, then a line to 0, gradients cut at norm 1."""
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    warmup = max(1, steps // 10)
    for step, indices in enumerate(_batches(num_examples, batch, steps, seed)):
        factor = min((step + 1) / warmup, (steps - step) / max(1, steps - warmup + 1))
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        value = loss(indices)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()


def _batches(num_examples: int, batch: int, steps: int, seed: int) -> Iterator[list[int]]:
    """Epoch after epoch in a new order, without short batches."""
    generator = np.random.default_rng([seed, num_examples])
    waiting: list[int] = []
    for _ in range(steps):
        while len(waiting) < min(batch, num_examples):
            waiting += generator.permutation(num_examples).tolist()
        yield waiting[:batch]
        waiting = waiting[batch:]


def tune_similarity(
    encoder: HuggingFaceEncoder, first: Rows, second: Rows, labels: NDArray[np.float64], budget: FineTuning, *, rate: float,
    seed: int,
) -> HuggingFaceEncoder:  # fmt: skip
    """A copy tuned with CoSENT: of two pairs with different labels, the one with the higher label is to be more alike."""
    tuned = encoder.clone()
    tuned.whiten([*first[:_WHITENING], *second[:_WHITENING]])
    wanted = torch.from_numpy(labels)

    def loss(indices: list[int]) -> Tensor:
        vectors = F.normalize(tuned.pooled([first[i] for i in indices] + [second[i] for i in indices]), dim=-1)
        one, two = vectors.chunk(2)
        return cosent((one * two).sum(-1), wanted[indices].to(one.device))

    _train_all(tuned, loss, len(first), budget, rate, seed)
    return tuned


def cosent(similarity: Tensor, labels: Tensor) -> Tensor:
    """CoSENT loss of `similarity` `[b]` and `labels` `[b]`: log(1 + sum of exp(20 (s_i - s_j)) where label_i < label_j)."""
    scaled = similarity * _COSENT_SCALE
    differences = scaled[:, None] - scaled[None, :]
    wrong = labels[:, None] < labels[None, :]
    return torch.logsumexp(torch.cat([differences.new_zeros(1), differences[wrong]]), 0)


def tune_ranking(
    encoder: HuggingFaceEncoder, queries: Rows, documents: Rows, same: Sequence[str], budget: FineTuning, *, rate: float,
    seed: int,
) -> HuggingFaceEncoder:  # fmt: skip
    """A copy tuned with in-batch negatives; `same[i]` names the query of pair i: its other documents are no negatives."""
    tuned = encoder.clone()
    tuned.whiten([*queries[:_WHITENING], *documents[:_WHITENING]])
    numbers = np.unique(np.asarray(same, object).astype(str), return_inverse=True)[1]

    def loss(indices: list[int]) -> Tensor:
        vectors = F.normalize(tuned.pooled([queries[i] for i in indices] + [documents[i] for i in indices]), dim=-1)
        asked, answers = vectors.chunk(2)
        scores = asked @ answers.T * _COSENT_SCALE
        group = torch.from_numpy(numbers[indices]).to(scores.device)
        other = (group[:, None] == group[None, :]) & ~torch.eye(len(indices), dtype=torch.bool, device=scores.device)
        return F.cross_entropy(
            scores.masked_fill(other, float("-inf")), torch.arange(len(indices), device=scores.device)
        )

    _train_all(tuned, loss, len(queries), budget, rate, seed)
    return tuned


def tune_classifier(
    encoder: HuggingFaceEncoder, rows: Rows, classes: NDArray[np.int64], num_classes: int, budget: FineTuning, *, rate: float,
    seed: int,
) -> Callable[[Rows], NDArray[np.float32]]:  # fmt: skip
    """All weights and a linear head on the embedding; returns rows -> class logits `[n, classes]`."""
    tuned = encoder.clone()
    head = _head(tuned.num_dimensions, num_classes, seed).to(tuned.device)
    wanted = torch.from_numpy(classes)
    sample = rows[:_WHITENING]
    center, scale = _scale(torch.stack([each.mean(0) for each in tuned.token_vectors(sample)]))

    def mean(batch: Rows) -> Tensor:
        return (torch.stack([each.mean(0) for each in tuned.hidden(batch)]) - center) / scale

    def loss(indices: list[int]) -> Tensor:
        return F.cross_entropy(head(mean([rows[i] for i in indices])), wanted[indices].to(tuned.device))

    _train_all(tuned, loss, len(rows), budget, rate, seed, head)

    def logits(asked: Rows) -> NDArray[np.float32]:
        result = np.zeros((len(asked), num_classes), np.float32)
        with torch.no_grad():
            for indices in tuned.batches(asked):
                result[indices] = head(mean([asked[i] for i in indices])).cpu().numpy()
        return result

    return logits


def tune_tagger(
    encoder: HuggingFaceEncoder, rows: Rows, tags: list[NDArray[np.int64]], num_tags: int, budget: FineTuning, *, rate: float,
    seed: int, frozen: bool,
) -> Callable[[Rows], list[NDArray[np.int64]]]:  # fmt: skip
    """A linear head on every token, with all weights or (`frozen`) alone; tag -1 counts for nothing.

    Returns rows -> tag of each token.
    """
    tuned = encoder.clone()
    head = _head(tuned.num_dimensions, num_tags, seed).to(tuned.device)
    wanted = [torch.from_numpy(each) for each in tags]
    fixed = encoder.token_vectors(rows) if frozen else None
    center, scale = _scale(torch.cat(fixed if fixed is not None else encoder.token_vectors(rows[:_WHITENING])))

    def scores(vectors: Tensor) -> Tensor:
        logits: Tensor = head((vectors - center) / scale)
        return logits

    def loss(indices: list[int]) -> Tensor:
        vectors = [fixed[i] for i in indices] if fixed is not None else tuned.hidden([rows[i] for i in indices])
        truth = torch.cat([wanted[i] for i in indices]).to(tuned.device)
        return F.cross_entropy(scores(torch.cat(list(vectors))), truth, ignore_index=-1)

    if frozen:
        train(
            list(head.parameters()), loss, len(rows), steps=_HEAD_STEPS, batch=budget.batch, rate=_HEAD_RATE, seed=seed
        )
    else:
        _train_all(tuned, loss, len(rows), budget, rate, seed, head)

    def predict(asked: Rows) -> list[NDArray[np.int64]]:
        with torch.no_grad():
            return [scores(each).argmax(-1).cpu().numpy() for each in tuned.token_vectors(asked)]

    return predict


def probe_similarity(
    first: NDArray[np.float32], second: NDArray[np.float32], labels: NDArray[np.float64], *, batch: int, seed: int
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """A linear map of fixed embeddings, trained with CoSENT; returns embeddings -> mapped embeddings."""
    vectors = torch.from_numpy(np.concatenate([first, second]))
    center, scale = _scale(vectors)
    one, two = ((torch.from_numpy(each) - center) / scale for each in (first, second))
    wanted = torch.from_numpy(labels)
    size = one.shape[1]
    linear = nn.Linear(size, size, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.eye(size))

    def loss(indices: list[int]) -> Tensor:
        a, b = (F.normalize(linear(each[indices]), dim=-1) for each in (one, two))
        return cosent((a * b).sum(-1), wanted[indices])

    rate = _HEAD_RATE / 10  # starts from the identity, not from nothing
    train(list(linear.parameters()), loss, len(one), steps=_HEAD_STEPS, batch=batch, rate=rate, seed=seed)

    def mapped(values: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            result: NDArray[np.float32] = linear((torch.from_numpy(values) - center) / scale).numpy()
        return result

    return mapped


def _train_all(
    tuned: HuggingFaceEncoder, loss: Callable[[list[int]], Tensor], count: int, budget: FineTuning, rate: float, seed: int,
    *heads: nn.Module,
) -> None:  # fmt: skip
    parameters = [each for module in (tuned.module, *heads) for each in module.parameters() if each.requires_grad]
    train(parameters, loss, count, steps=budget.steps, batch=budget.batch, rate=rate, seed=seed)


def _head(size: int, num: int, seed: int) -> nn.Linear:
    head = nn.Linear(size, num)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.copy_(torch.randn(num, size, generator=generator) * 0.02)
        head.bias.zero_()
    return head


def _scale(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each dimension: embeddings of masked language models lie in a narrow cone."""
    return vectors.mean(0), vectors.std(0).clamp_min(1e-6)
