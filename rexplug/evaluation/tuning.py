"""The loop of a fine-tune, and what is chosen on dev: learning rate, step, and whether to fine-tune at all.

The loop is ours and not a trainer's, so that every model gets the same examples in the same order, on packed rows where it
can; a fine-tune is a function of (model, examples, budget, seed).

A budget that suits a small model trained on masked words ruins a good sentence encoder, and the other way round. So the
model as it is counts as step 0 of each fine-tune, dev is measured several times on the way, and the best step is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from rexplug.components import FineTuning
from rexplug.evaluation.activity import Activity

NOT_TRAINABLE = "The model cannot be fine-tuned: metrics are of the model as it is, and of probes on its embeddings."
T = TypeVar("T")
P = TypeVar("P")


class FineTune(Generic[T]):
    """A fine-tune that runs in parts and can be taken back to its best step.

    AdamW with gradients clipped at norm 1; linear warm-up over a tenth of the steps, then linear decay to 0.

    Args:
        model: what is fine-tuned; whatever it computes follows the present values of `parameters`.
        parameters: what is trained.
        loss: indices of a batch's examples -> loss.
        num_examples: how many examples there are.
        steps: steps of the optimizer.
        batch: examples in a step.
        learning_rate: its peak.
        seed: of the order of examples.
        activity: counts the steps; None for a head on fixed vectors.

    Attributes:
        step: steps done.
        on_dev: step -> score on dev, of the steps that were measured.
    """

    def __init__(
        self,
        model: T,
        parameters: Sequence[nn.Parameter],
        loss: Callable[[list[int]], Tensor],
        num_examples: int,
        *,
        steps: int,
        batch: int,
        learning_rate: float,
        seed: int,
        activity: Activity | None = None,
    ) -> None:
        self.model = model
        self._activity = activity or Activity()
        self._number = self._activity.begin_fine_tune()
        self.steps, self.learning_rate, self.seed = steps, learning_rate, seed
        self.step = 0
        self.on_dev: dict[int, float] = {}
        self._parameters, self._loss = list(parameters), loss
        # One pass over all weights and moments; half the time of a step of few tokens is the optimizer's otherwise.
        fused = self._parameters[0].device.type in ("cpu", "cuda")
        self._optimizer = torch.optim.AdamW(self._parameters, lr=learning_rate, weight_decay=0.01, fused=fused)
        self._batches = _batches(num_examples, batch, steps, seed)
        self._best: list[Tensor] = []

    def run(self, until: int | None = None) -> T:
        """Train up to a step, the last one if left out; returns the model."""
        warmup = max(1, self.steps // 10)
        with self._activity.training(self._number) as done:
            while self.step < (self.steps if until is None else until):
                factor = min((self.step + 1) / warmup, (self.steps - self.step) / max(1, self.steps - warmup + 1))
                for group in self._optimizer.param_groups:
                    group["lr"] = self.learning_rate * factor
                value = self._loss(next(self._batches))
                self._optimizer.zero_grad()
                value.backward()
                torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
                self._optimizer.step()
                self.step += 1
                done(self.step, self.steps)
        return self.model

    def measure(self, on_dev: Callable[[T], float]) -> None:
        """Measure the present step on dev; its weights are kept if no earlier step was as good."""
        score = on_dev(self.model)
        if score > self.best[1]:
            self._best = [parameter.detach().clone() for parameter in self._parameters]
        self.on_dev[self.step] = score

    @property
    def best(self) -> tuple[int, float]:
        """The first of the best measured steps and its score on dev; minus infinity if none was measured."""
        step = max(self.on_dev, key=self.on_dev.__getitem__, default=self.step)
        return step, self.on_dev.get(step, float("-inf"))

    def return_to_best(self) -> None:
        """Give the model the weights of its best measured step."""
        with torch.no_grad():
            for parameter, values in zip(self._parameters, self._best, strict=True):
                parameter.copy_(values)
        self.step = self.best[0]


@dataclass(frozen=True)
class Outcome(Generic[P]):
    """The results of the fine-tunes of a budget.

    Attributes:
        results: of each seed; a single one, that of the model as it is, where fine-tuning did not help on dev.
        notes: what was chosen, for the reader.
        table: every measurement on dev, as rows.
    """

    results: list[P]
    notes: list[str]
    table: list[dict[str, Any]]


def fine_tune(
    begin: Callable[[float, int], FineTune[T]],
    use: Callable[[FineTune[T]], P],
    on_dev: Callable[[T], float] | None,
    untuned: tuple[float, P],
    budget: FineTuning,
    seed: int,
) -> Outcome[P]:
    """Fine-tune with each seed of a budget; learning rate, step and whether to fine-tune at all are chosen on dev.

    The first seed tries each learning rate up to the first checkpoint, the smallest first, and continues with the best one; larger
    ones are left out after one that was worse than the untuned model and than a smaller one. A fine-tune that fell
    at two checkpoints one after the other is stopped, and its best step is used. If no checkpoint of the first seed is better than
    the untuned model, its result is the only one; a later seed that is nowhere better counts with it too.

    Args:
        begin: (learning rate, seed) -> a fine-tune before its first step.
        use: the result of a fine-tuned model.
        on_dev: rates a model on dev; None without dev, where the first learning rate runs to its end.
        untuned: the score on dev and the result of the model as it is; the score is not used without dev.
        budget: learning rates, steps, checkpoints and number of seeds.
        seed: the first seed.
    """
    if on_dev is None:
        return _without_dev(begin, use, budget, seed)
    score, untuned_result = untuned
    steps = checkpoints(budget)
    results: list[P] = []
    notes: list[str] = []
    table = [_row(seed, "-", 0, score)]
    learning_rates = budget.learning_rates
    not_helped = 0
    for number in range(budget.seeds):
        tune, tried_rates = _best_learning_rate(begin, on_dev, learning_rates, steps[0], seed + number, score, table)
        for step in steps[1:]:
            if _only_falls([score, *tune.on_dev.values()]):
                break
            tune.run(step)
            tune.measure(on_dev)
            table.append(_row(tune.seed, f"{tune.learning_rate:g}", step, tune.on_dev[step]))
        step, best = tune.best
        tried = f"learning rate {_chosen(tune.learning_rate, tried_rates)}"
        if best > score:
            if number == 0:
                notes.append(
                    f"Fine-tuned with {tried}, {step} of {budget.steps} steps, chosen on dev ({best:.3f}; untuned {score:.3f})."
                )
            tune.return_to_best()
            results.append(use(tune))
        elif number == 0:
            note = f"Fine-tuning did not help on dev ({score:.3f} untuned, at best {best:.3f} with {tried})"
            return Outcome([untuned_result], [f"{note}: the metric is that of the untuned encoder."], table)
        else:
            not_helped += 1
            results.append(untuned_result)
        learning_rates = (tune.learning_rate,)
    if not_helped:
        notes.append(
            f"With {not_helped} of {budget.seeds} seeds fine-tuning did not help on dev; the untuned encoder counts there."
        )
    return Outcome(results, notes, table)


def by_mode(budget: FineTuning, results: Mapping[str, P]) -> dict[str, P]:
    """Results by the name of their metrics, in which `*` takes the metric's place: `*` of the budget's first mode, and `mode.*`.

    After a full fine-tune the probe's are always kept: they are those of the encoder before it. Of a model that cannot be
    fine-tuned `full` is missing, and the probe's do not take its name.
    """
    first = budget.modes[0]
    others = [mode for mode in results if mode != first and (mode in budget.modes or mode == "probe")]
    named = {"*": results[first]} if first in results else {}
    return {**named, **{f"{mode}.*": results[mode] for mode in others}}


def checkpoints(budget: FineTuning) -> list[int]:
    """The steps after which dev is measured; the last one is the end."""
    parts = range(1, budget.checkpoints + 1)
    return sorted({max(1, round(budget.steps * part / budget.checkpoints)) for part in parts})


def _best_learning_rate(
    begin: Callable[[float, int], FineTune[T]],
    on_dev: Callable[[T], float],
    learning_rates: Sequence[float],
    step: int,
    seed: int,
    untuned: float,
    table: list[dict[str, Any]],
) -> tuple[FineTune[T], list[float]]:
    """The fine-tune whose learning rate is the best on dev at the first checkpoint, and the learning rates that were tried.

    Larger learning rates are not tried after one that was worse than the untuned model and than the rate before it: on a good
    sentence encoder they only do more damage.
    """
    best: FineTune[T] | None = None
    tried: list[float] = []
    previous = float("-inf")
    for learning_rate in sorted(learning_rates):
        if best is not None and previous < untuned and previous < best.best[1]:
            break
        tried.append(learning_rate)
        tune = begin(learning_rate, seed)
        tune.run(step)
        tune.measure(on_dev)
        previous = tune.best[1]
        table.append(_row(seed, f"{learning_rate:g}", step, previous))
        if best is None or previous > best.best[1]:
            best = tune
    assert best is not None
    return best, tried


def _without_dev(
    begin: Callable[[float, int], FineTune[T]], use: Callable[[FineTune[T]], P], budget: FineTuning, seed: int
) -> Outcome[P]:
    learning_rate = budget.learning_rates[0]
    results = []
    for number in range(budget.seeds):
        tune = begin(learning_rate, seed + number)
        tune.run()
        results.append(use(tune))
    return Outcome(results, [f"Learning rate {learning_rate:g}; there is too little training data to choose by."], [])


def _only_falls(scores: Sequence[float]) -> bool:
    """Whether the last two of several scores, the untuned model's first, are each below the one before."""
    return len(scores) > 2 and scores[-1] < scores[-2] < scores[-3]


def _chosen(learning_rate: float, tried: Sequence[float]) -> str:
    return f"{learning_rate:g}" + (f" of {', '.join(f'{other:g}' for other in tried)}" if len(tried) > 1 else "")


def _row(seed: int, learning_rate: str, step: int, score: float) -> dict[str, Any]:
    return {"seed": seed, "learning rate": learning_rate, "steps": step, "dev": round(score, 4)}


def _batches(num_examples: int, batch: int, steps: int, seed: int) -> Iterator[list[int]]:
    """Epoch after epoch in a new order; a batch that an epoch does not fill is filled from the next."""
    generator = np.random.default_rng([seed, num_examples])
    pending: list[int] = []
    for _ in range(steps):
        while len(pending) < min(batch, num_examples):
            pending += generator.permutation(num_examples).tolist()
        yield pending[:batch]
        pending = pending[batch:]
