"""The Composer callback around each step: learning rate, metrics, guard against bad losses, checkpoints, evaluation, stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from composer.core import Callback
from composer.core import State as ComposerState
from composer.loggers import Logger
from composer.utils import dist

from rexplug import distributed
from rexplug.batches import Position, PositionLog
from rexplug.engine.checkpointer import Checkpointer
from rexplug.engine.composer_model import PackedMaskedLM
from rexplug.engine.job import Evaluate, PhaseJob, PhaseState
from rexplug.engine.metrics import MetricsFile, Throughput, Totals, flatten
from rexplug.engine.optimizers.factory import set_learning_rate
from rexplug.engine.sharding import gradient_norm
from rexplug.engine.stop_request import StopRequest
from rexplug.errors import DataError

_GUARD_FROM = 20
"""Steps before a jump of the loss can be distinguished from its first fall."""
_MOST_SKIPPED = 20
"""Batches skipped in a row before the run is stopped anyway."""
_MOST_DOCUMENTS = 20
"""Documents of a bad batch that its message names."""


@dataclass(eq=False)
class TrainingCallback(Callback):
    """Sets the learning rate before each step and updates the phase's state after it; the same on every rank."""

    job: PhaseJob
    state: PhaseState
    stop: StopRequest
    checkpointer: Checkpointer
    evaluate: Evaluate | None
    metrics: MetricsFile | None
    """None on ranks other than 0, which write nothing."""
    positions: PositionLog | None
    throughput: Throughput

    def __post_init__(self) -> None:
        self._step_began = time.monotonic()
        self._learning_rate = self._gradient_norm = 0.0
        self._totals: Totals | None = None
        self._num_masked = self._num_tokens = 0
        self._skipped_in_a_row = 0
        self._checkpoint_overdue = self._stop_all = False
        self._compiles = self.job.hardware.compiled

    def fit_start(self, state: ComposerState, logger: Logger) -> None:
        """Guard the optimizer's steps, and start the clock where training starts.

        The step is replaced on the instance, as torch's learning rate schedulers do: Composer calls `step` with a closure and
        offers no event between the gradient and the weights, and a wrapper would not be the optimizer that Composer, FSDP and
        checkpoints look into.
        """
        for optimizer in state.optimizers:
            optimizer.step = partial(self._guarded_step, state, optimizer.step)
        self._step_began = time.monotonic()

    def _guarded_step(self, state: ComposerState, step: Callable[[], Any], closure: Callable[[], Any]) -> Any:
        """Compute loss and gradient; then step, unless the batch is skipped.

        Composer hands forward and backward pass to the optimizer as a closure, at whose end `after_train_batch` is called. An
        optimizer that was given the closure would step after it whatever was decided there, so it is not given it.
        """
        self._num_masked = distributed.sum_over_ranks(num_masked(state.batch))
        if not self._num_masked:
            self._skip_empty_batch(state)
            return None
        loss = closure()
        if not self._skipped_in_a_row:
            step()
        return loss

    def _skip_empty_batch(self, state: ComposerState) -> None:
        """A batch without a masked token has no loss, and Composer would divide by zero."""
        zeros = (0.0,) * len(self.job.stream.sources)
        self._totals, self._gradient_norm = Totals(zeros, zeros, zeros), 0.0
        self._check_ranks(self._max_over_ranks(state).tolist())
        self._skip_batch(
            state, "no token of the batch can be masked", stop=False,
            cure="these documents hold nothing but special tokens: filter them out, or use a tokenizer that knows their script",
        )  # fmt: skip

    def batch_start(self, state: ComposerState, logger: Logger) -> None:
        """Set the learning rate of the step from the tokens before it, and reset the model's counts."""
        self._learning_rate = self.job.phase.learning_rate_at(self.state.tokens)
        for optimizer in state.optimizers:
            set_learning_rate(optimizer, self._learning_rate)
        self._num_tokens = state.batch["about"]["num_tokens"]
        _packed_model(state).reset()

    def count(self) -> tuple[int, int]:
        """Tokens of the current global batch, and how many of them are masked."""
        return self._num_tokens, self._num_masked

    def after_train_batch(self, state: ComposerState, logger: Logger) -> None:
        """Sum the counts of all ranks and judge the loss, before the optimizer applies the gradient.

        Reads from the device once: every read waits for it, and it idles until the host gives it more to do.
        """
        totals = _packed_model(state).totals
        dist.all_reduce(totals, "SUM")
        norm = gradient_norm(state.model.parameters())
        read = torch.cat([totals.flatten(), norm.double().view(1), self._max_over_ranks(state)]).tolist()
        size = totals.shape[1]
        self._totals = Totals(*(tuple(read[first : first + size]) for first in range(0, 3 * size, size)))
        self._gradient_norm = read[3 * size]
        self._check_ranks(read[3 * size + 1 :])
        problem = self._problem(self._totals.loss)
        if problem is None:
            self._skipped_in_a_row = 0
            return
        self._skip_batch(
            state, problem, stop=self.job.phase.loss_guard.action == "stop",
            cure="a lower learning_rate.peak is the usual cure, and loss_guard: {action: skip} skips such batches",
        )  # fmt: skip

    def _skip_batch(self, state: ComposerState, problem: str, *, stop: bool, cure: str) -> None:
        """Note that no step is taken on this batch, or end the run.

        Raises:
            DataError: the recipe wants the run to `stop` at such a batch, or too many were skipped in a row.
        """
        self._skipped_in_a_row += 1
        documents = ", ".join(self._document_ids(state.batch["about"]["documents"][:_MOST_DOCUMENTS].tolist()))
        where = (
            f"phase '{self.job.phase.name}', step {self.state.step + 1}: {problem}; documents in the batch: {documents}"
        )
        if stop or self._skipped_in_a_row > _MOST_SKIPPED:
            many = "" if stop else f" The {_MOST_SKIPPED} batches before it were skipped too."
            raise DataError(f"{where}.{many} Checkpoints from before this step are kept; {cure}")
        self.job.progress.note(f"  warning: {where}. No step was taken on it")

    def _document_ids(self, documents: list[list[int]]) -> list[str]:
        """The ids of (source, document) pairs."""
        stream = self.job.stream
        return [stream.stores[stream.sources[source]].ids([document])[0] for source, document in documents]

    def _problem(self, loss: float) -> str | None:
        """Why no step may be taken on this batch."""
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(self._gradient_norm):
            return f"the gradient is {self._gradient_norm}"
        spike, usual = self.job.phase.loss_guard.spike, self.state.smoothed.values.get("loss", math.inf)
        if spike is not None and self.state.step >= _GUARD_FROM and loss > spike * usual:
            return f"the loss jumped to {loss:.3g} from about {usual:.3g}"
        return None

    def _max_over_ranks(self, state: ComposerState) -> torch.Tensor:
        """The position of each rank in the stream, and its requests to stop or to save: maxima over ranks for `_check_ranks`.

        On the device, where ranks share them; empty in a run of one process.
        """
        self._stop_all = self.stop.received or distributed.launcher_died()
        self._checkpoint_overdue = self.metrics is not None and self.checkpointer.folder.overdue()
        device = _packed_model(state).totals.device
        if dist.get_world_size() == 1:
            return torch.empty(0, dtype=torch.float64, device=device)
        about = state.batch["about"]
        step = [about["tokens"], self._learning_rate, *about["tokens_of"].values()]
        requests = self._stop_all, self._checkpoint_overdue
        # Negated too, so that one MAX gives the largest and the smallest value of all ranks.
        values = torch.tensor([*step, *(-value for value in step), *requests], dtype=torch.float64)
        values = values.to(device, non_blocking=True)
        dist.all_reduce(values, "MAX")
        return values

    def _check_ranks(self, maxima: list[float]) -> None:
        """Check that all ranks are at the same step of the same stream, and adopt a request of any of them.

        Raises:
            DataError: they are not.
        """
        if not maxima:
            return
        *step, stop, overdue = maxima
        if step[: len(step) // 2] != [-value for value in step[len(step) // 2 :]]:
            raise DataError(
                "the ranks are not at the same step of the same stream; do they read the same run directory?"
            )
        self._stop_all, self._checkpoint_overdue = bool(stop), bool(overdue)

    def batch_end(self, state: ComposerState, logger: Logger) -> None:
        """Update the state and write the step's metrics; save, evaluate and stop when it is time."""
        assert self._totals is not None
        phase, progress = self.job.phase, self.job.progress
        about, before = state.batch["about"], self.state.tokens
        self.state.step, self.state.position = self.state.step + 1, Position.from_json(about["position"])
        now = time.monotonic()
        seconds = now - self._step_began
        if self._compiles:
            self._compiles = False
            progress.note(f"  {phase.name}: the first step took {seconds:.1f} s, compiling included")
        self.state.seconds += seconds
        line = self._metrics_line(about, self.state.tokens - before, seconds)
        self._step_began = now
        if not self._skipped_in_a_row:
            self.state.smoothed.add(self.state.step, loss=self._totals.loss, accuracy=self._totals.accuracy)
        if self.metrics is not None:
            self.metrics.add(line)
        if self.positions is not None:
            self.positions.append(self.state.position)
        logger.log_metrics(flatten(line), step=self.state.step)
        values = self.state.smoothed.values
        if values:
            progress.update(
                min(self.state.tokens, phase.tokens), loss=values["loss"], accuracy=values["accuracy"],
                learning_rate=self._learning_rate,
            )  # fmt: skip
        self._save_evaluate_or_stop(state, before)

    def _metrics_line(self, about: Mapping[str, Any], tokens: int, seconds: float) -> dict[str, Any]:
        """A line of metrics.jsonl about a step of `tokens` tokens."""
        assert self._totals is not None
        phase, state = self.job.phase, self.state
        line = {
            "phase": phase.name, "step": state.step, "tokens": state.tokens,
            "total_tokens": state.tokens_before + state.tokens, "progress": min(1.0, state.tokens / phase.tokens),
            "loss": self._totals.loss, "accuracy": self._totals.accuracy, "learning_rate": self._learning_rate,
            "gradient_norm": self._gradient_norm, "batch_tokens": about["num_tokens"], "masked": self._totals.masked,
            "fill": about["num_tokens"] / about["capacity"],
            "shares": {name: count / about["num_tokens"] for name, count in about["tokens_of"].items()},
            "planned": about["planned"], **self._totals.by_source(self.job.stream.sources),
            **self.throughput.of_step(about["pairs"], self._totals.masked, tokens, seconds), "seconds": state.seconds,
            "seconds_left": max(0, phase.tokens - state.tokens) * state.seconds / max(1, state.tokens),
        }  # fmt: skip
        if self._skipped_in_a_row:
            line["skipped"] = True
        return line

    def _save_evaluate_or_stop(self, composer_state: ComposerState, before: int) -> None:
        """Do what is due after a step; `before` are the tokens before it."""
        state, phase = self.state, self.job.phase
        # With several ranks, a signal since the last synchronization waits for the next step: all must stop at the same one.
        if self._stop_all or (self.stop.received and dist.get_world_size() == 1):
            state.stopped = True
            composer_state.stop_training()
        on_token_grid = _crosses(phase.checkpoints.every_tokens, before, state.tokens)
        state.evaluation_due = _crosses(phase.evaluate_every, before, state.tokens)
        if state.stopped or self._checkpoint_overdue or on_token_grid:
            self.checkpointer.save(state, on_token_grid)
        if state.evaluation_due and not state.stopped:
            self.checkpointer.evaluate(state, self.evaluate)
            state.evaluation_due = False
        # Saving and evaluating do not count as training time.
        self._step_began = time.monotonic()


def _crosses(every: int | None, before: int, after: int) -> bool:
    """Whether a multiple of `every` tokens is between two moments, so that the grid is the same after any resume."""
    return every is not None and after // every > before // every


def num_masked(batch: Mapping[str, Any]) -> int:
    """Masked tokens of this rank's part of a batch."""
    return sum(batch["sizes"]["labels"])


def _packed_model(state: ComposerState) -> PackedMaskedLM:
    model = state.model
    unwrapped = getattr(model, "module", model)  # DDP wraps it
    assert isinstance(unwrapped, PackedMaskedLM)
    return unwrapped
