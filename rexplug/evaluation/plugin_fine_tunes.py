"""Fine-tunes with a loss and a head of an evaluator's own; see `EvaluationContext.fine_tune`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from rexplug.components import FineTuned, FineTuning, FineTuningTask
from rexplug.errors import DataError, NotApplicable, PluginError, brief
from rexplug.evaluation.finetune import HEAD_LEARNING_RATE, Rows
from rexplug.evaluation.lexical import LexicalModel
from rexplug.evaluation.model_usage import Role
from rexplug.evaluation.text_encoder import TextEncoder, require_several
from rexplug.evaluation.tuning import FineTune, Outcome, fine_tune

R = TypeVar("R")
Mode = Literal["full", "probe"]
_NOTE_PREFIXES: dict[Mode, str] = {"full": "", "probe": "Head alone: "}
"""Mode -> the prefix of its notes."""


class EncoderCopy:
    """Vectors of texts by a copy of an encoder; implements `rexplug.TrainableEncoder`.

    Args:
        encoder: the copy.
        max_tokens: where texts are cut; at the model's longest input for None.
        trained: whether its weights are trained; vectors are not differentiable otherwise.
    """

    def __init__(self, encoder: TextEncoder, max_tokens: int | None, *, trained: bool) -> None:
        self._encoder, self._max_tokens, self._trained = encoder, max_tokens, trained

    @property
    def device(self) -> torch.device:
        """Where the encoder runs."""
        return self._encoder.device

    @cached_property
    def dimensions(self) -> int:
        """Size of an embedding."""
        return int(self._encoder.encode(["a"]).shape[1])

    @property
    def hidden_size(self) -> int:
        """Size of the vector of a token."""
        return self._encoder.num_dimensions

    def embed(self, texts: Sequence[str], *, role: Role | None = None) -> Tensor:
        """Embeddings `[n, dimensions]`; see `TrainableEncoder.embed`."""
        require_several("embed", texts)
        rows = self._encoder.tokenize(texts, self._max_tokens, role=role)
        if self._differentiable:
            return self._encoder.pooled(rows)
        return torch.from_numpy(self._encoder.embed_rows(rows)).to(self.device)

    def mean_vectors(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Tensor:
        """Means of token vectors `[n, hidden]`; see `TrainableEncoder.mean_vectors`."""
        require_several("mean_vectors", texts, pairs)
        rows = self._encoder.tokenize(texts, self._max_tokens, pairs)
        if self._differentiable:
            return self._encoder.means(rows)
        means = torch.zeros(len(rows), self.hidden_size)
        for indices, of_batch in self._encoder.compute(
            rows, lambda of: self._encoder.means([rows[i] for i in of]).float()
        ):
            means[indices] = torch.from_numpy(of_batch)
        return means.to(self.device)

    def token_vectors(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[Tensor]:
        """Last hidden states of each text, `[n_i, hidden]`; see `TrainableEncoder.token_vectors`."""
        require_several("token_vectors", texts, pairs)
        # No prompt, so that the tokens are those of the text alone.
        rows: Rows = self._encoder.tokenize(texts, self._max_tokens, pairs, prompt="")
        if self._differentiable and rows:
            return list(self._encoder.hidden(rows).split([len(row) for row in rows]))
        return self._encoder.token_vectors(rows)

    @property
    def _differentiable(self) -> bool:
        return self._trained and torch.is_grad_enabled()


@dataclass(frozen=True)
class _Measured(Generic[R]):
    """A fine-tuned encoder with its head, measured by the methods of the task."""

    task: FineTuningTask[R]
    encoder: EncoderCopy
    head: nn.Module | None

    def loss(self, examples: list[int]) -> Tensor:
        """The checked loss of a batch.

        Raises:
            PluginError: it is not a differentiable scalar.
        """
        loss: object = self.task.loss(self.encoder, self.head, examples)
        if not isinstance(loss, Tensor):
            raise PluginError(f"{_of(self.task)}: loss() returned {brief(loss)}; expected a tensor that is a scalar")
        if loss.ndim or not loss.requires_grad:
            shown = f"the shape {list(loss.shape)}" if loss.ndim else "no gradient"
            raise PluginError(
                f"{_of(self.task)}: loss() returned a tensor with {shown}; expected a scalar that is differentiable in the weights"
            )
        return loss

    def on_dev(self) -> float:
        """The checked score on dev; minus infinity if it is not a number.

        Raises:
            PluginError: it is of another type.
        """
        with torch.no_grad():
            score: object = self.task.on_dev(self.encoder, self.head)
        if isinstance(score, Tensor) and score.ndim == 0:
            score = score.item()
        try:
            number = float(score) if isinstance(score, Real) else None
        except OverflowError:
            number = None
        if number is None:
            raise PluginError(f"{_of(self.task)}: on_dev() returned {brief(score)}; expected a number")
        return -math.inf if math.isnan(number) else number

    def on_test(self) -> R:
        """The result on test."""
        with torch.no_grad():
            return self.task.on_test(self.encoder, self.head)


def fine_tune_task(
    task: FineTuningTask[R], model: TextEncoder | LexicalModel, tuning: FineTuning, seed: int
) -> FineTuned[R]:
    """Fine-tune copies of a model; see `EvaluationContext.fine_tune`.

    Raises:
        NotApplicable: the model cannot be fine-tuned.
        DataError: only a head was asked for, and the task has none.
        PluginError: a method of the task returned something else than it should.
    """
    if isinstance(model, LexicalModel) or not model.trainable:
        raise NotApplicable("the model cannot be fine-tuned")
    frozen = model.copy()
    # The texts of a fine-tune are not among the embeddings that are saved, and its batches would displace those that are kept.
    frozen.kept = frozen.log = None

    def prepared(mode: Mode, seed: int) -> tuple[_Measured[R], list[nn.Parameter]]:
        """Encoder and head before the first step, and the weights that are trained."""
        copied = model.clone() if mode == "full" else frozen
        encoder = EncoderCopy(copied, tuning.max_tokens, trained=mode == "full")
        head = _head(task, encoder, seed)
        parameters = list(copied.module.parameters()) if mode == "full" else []
        parameters += list(head.parameters()) if head is not None else []
        return _Measured(task, encoder, head), [weights for weights in parameters if weights.requires_grad]

    before, of_head = prepared("probe", seed)
    modes = [mode for mode in dict.fromkeys(tuning.modes) if mode == "full" or of_head]
    if not modes:
        raise DataError(
            "the mode `probe` trains a head alone, and this task has none; add `full` to the modes of the fine-tune"
        )
    untuned = before.on_dev(), before.on_test()
    if not math.isfinite(untuned[0]):
        # A fine-tune may diverge, which the choice on dev avoids. Before it the score itself is wrong: a mean of no examples.
        raise PluginError(f"{_of(task)}: on_dev() gives no finite number for the encoder before the fine-tune")

    def run(mode: Mode) -> Outcome[R]:
        def begin(learning_rate: float, seed: int) -> FineTune[_Measured[R]]:
            measured, parameters = prepared(mode, seed)
            return FineTune(
                measured, parameters, measured.loss, task.num_examples, steps=tuning.steps, batch=tuning.batch,
                learning_rate=learning_rate, seed=seed, activity=model.activity if mode == "full" else None,
            )  # fmt: skip

        budget = tuning if mode == "full" else tuning.model_copy(update={"learning_rates": (HEAD_LEARNING_RATE,)})
        return fine_tune(
            begin, lambda tune: tune.model.on_test(), lambda measured: measured.on_dev(), untuned, budget, seed
        )

    outcomes = {mode: run(mode) for mode in modes}
    return FineTuned(
        {mode: outcome.results for mode, outcome in outcomes.items()},
        untuned[1],
        [f"{_NOTE_PREFIXES[mode]}{note}" for mode, outcome in outcomes.items() for note in outcome.notes],
        [{"mode": mode, **row} for mode, outcome in outcomes.items() for row in outcome.table],
    )


def _head(task: FineTuningTask[Any], encoder: EncoderCopy, seed: int) -> nn.Module | None:
    """The head of a task, drawn with a seed; the state of torch's generator stays as it was.

    Raises:
        PluginError: it is not a module.
    """
    with torch.random.fork_rng(devices=[encoder.device] if encoder.device.type == "cuda" else []):
        torch.manual_seed(seed)
        head: object = task.head(encoder)
    if head is None:
        return None
    if not isinstance(head, nn.Module):
        raise PluginError(f"{_of(task)}: head() returned {brief(head)}; expected a torch.nn.Module or None")
    return head.to(encoder.device).eval()


def _of(task: FineTuningTask[Any]) -> str:
    return f"task '{type(task).__name__}'"
