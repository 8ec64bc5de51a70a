"""What happens around each step: rate, figures, guard against bad losses, checkpoints, evaluation, stopping."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any

import torch
from composer.core import Callback
from composer.core import State as ComposerState
from composer.loggers import Logger
from composer.utils import dist

from rexplug import distributed
from rexplug.batches import Position, PositionLog
from rexplug.engine.composer_model import PackedMaskedLM
from rexplug.engine.metrics import MetricsFile, Smoothed, Speed, Totals, flat
from rexplug.engine.optimizers.factory import set_rate
from rexplug.engine.sharding import gradient_norm
from rexplug.errors import DataError
from rexplug.progress import Progress
from rexplug.recipe.schema import Phase

_GUARD_FROM = 20
"""Steps before a jump of the loss can be told from its first fall."""
_MOST_SKIPPED = 20
"""Batches skipped one after the other before the run is stopped anyway."""


class StopRequest:
    """Remembers that a signal asked the run to stop; a second SIGTERM or SIGINT ends the process at once.

    SIGHUP is never the second one: whoever ends a session sends it beside another signal.
    """

    def __init__(self) -> None:
        self._heard = self._urged = False
        self._signals = distributed.stop_signals()

    @property
    def asked(self) -> bool:
        """Whether one came, to the process or to this thread alone."""
        return self._heard or not signal.sigpending().isdisjoint(self._signals)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals over for a while and give them back.

        They interrupt a thread that does nothing else: on a virtual machine a signal amid a matrix product was seen to
        leave wrong numbers behind. Python runs the handler in the main thread all the same.
        """
        before = {number: signal.getsignal(number) for number in self._signals}
        for number in before:
            signal.signal(number, self._hear)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, before)
        ready, done = threading.Event(), threading.Event()

        def receive() -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, before)
            ready.set()
            done.wait()

        receiver = threading.Thread(target=receive, name="signals", daemon=True)
        receiver.start()
        ready.wait()
        try:
            yield
        finally:
            done.set()
            receiver.join()
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        distributed.detach_from_terminal(number)
        if self._urged and number != signal.SIGHUP:
            raise KeyboardInterrupt
        self._heard, self._urged = True, self._urged or number != signal.SIGHUP


@dataclass(eq=False)
class Steps(Callback):
    """Sets the learning rate before each step and keeps account after it; the same on every rank.

    `save` writes a checkpoint after this step, due by tokens or not; `evaluate` runs the evaluators; `metrics` is None
    on ranks other than 0, which write nothing. `names` turns (source, document) into ids.
    """

    phase: Phase
    sources: tuple[str, ...]
    rate_at: Callable[[int], float]
    metrics: MetricsFile | None
    progress: Progress
    save: Callable[[Steps, bool], None]
    late: Callable[[], bool]
    evaluate: Callable[[Steps], None] | None
    stop: StopRequest
    names: Callable[[list[list[int]]], list[str]]
    speed: Speed
    total_before: int
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    stopped: bool = False
    due: bool = False
    """Whether the evaluators are to run at this step; a checkpoint remembers it, in case the run ends before they did."""
    smoothed: Smoothed = field(default_factory=Smoothed)
    last_position: dict[str, Any] = field(default_factory=dict)
    positions: PositionLog | None = None
    compiles: bool = False
    """Whether layers are compiled at the first step, whose time is then said."""

    def __post_init__(self) -> None:
        self._last = time.monotonic()
        self._rate = self._norm = 0.0
        self._totals: Totals | None = None
        self._skipped = 0
        self._late = self._stop_all = False

    def fit_start(self, state: ComposerState, logger: Logger) -> None:
        """Stand between gradients and weights, and start the clock where training starts."""
        for optimizer in state.optimizers:
            optimizer.step = partial(self._judged_step, state, optimizer.step)
        self._last = time.monotonic()

    def _judged_step(self, state: ComposerState, step: Callable[[], Any], closure: Callable[[], Any]) -> Any:
        """Compute loss and gradient; then step, unless the batch is to be passed over.

        Composer hands the forward and the backward pass to the optimizer as a closure, and `after_train_batch` is called at its
        end. An optimizer that was given the closure would step after it whatever was decided there, so it is not given it.
        """
        if not distributed.total(masked_tokens(state.batch)):
            self._pass_over_empty(state)
            return None
        loss = closure()
        if not self._skipped:
            step()
        return loss

    def _pass_over_empty(self, state: ComposerState) -> None:
        """A batch without a masked token has no loss, and Composer would divide by zero."""
        nothing = (0.0,) * len(self.sources)
        self._totals, self._norm = Totals(nothing, nothing, nothing), 0.0
        self._agree(state)
        self._pass_over(
            state, "no token of the batch can be masked", stop=False,
            cure="these documents hold nothing but special tokens: filter them out, or use a tokenizer that knows their script",
        )  # fmt: skip

    def batch_start(self, state: ComposerState, logger: Logger) -> None:
        """Set the rate of the step from the tokens before it, and begin to count."""
        self._rate = self.rate_at(self.tokens)
        for optimizer in state.optimizers:
            set_rate(optimizer, self._rate)
        _model(state).reset()

    def after_train_batch(self, state: ComposerState, logger: Logger) -> None:
        """Gather what the ranks counted and judge the loss, before the optimizer takes the gradient in."""
        totals = _model(state).totals
        dist.all_reduce(totals, "SUM")
        losses, hits, counts = totals.tolist()
        self._totals = Totals(tuple(losses), tuple(hits), tuple(counts))
        self._agree(state)
        self._norm = gradient_norm(state.model.parameters())
        trouble = self._trouble(self._totals.loss)
        if trouble is None:
            self._skipped = 0
            return
        self._pass_over(
            state, trouble, stop=self.phase.loss_guard.action == "stop",
            cure="a lower learning_rate.peak is the usual cure, and loss_guard: {action: skip} passes such batches over",
        )  # fmt: skip

    def _pass_over(self, state: ComposerState, trouble: str, *, stop: bool, cure: str) -> None:
        """Note that no step is taken on this batch, or end the run.

        Raises:
            DataError: the recipe wants the run to `stop` at such a batch, or too many came one after the other.
        """
        self._skipped += 1
        documents = ", ".join(self.names(state.batch["about"]["documents"][:20].tolist()))
        where = f"phase '{self.phase.name}', step {self.step + 1}: {trouble}; documents in the batch: {documents}"
        if stop or self._skipped > _MOST_SKIPPED:
            many = "" if stop else f" So it was with the {_MOST_SKIPPED} batches before it."
            raise DataError(f"{where}.{many} Checkpoints from before this step are kept; {cure}")
        self.progress.note(f"  warning: {where}. No step was taken on it")

    def _trouble(self, loss: float) -> str | None:
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(self._norm):
            return f"the gradient is {self._norm}"
        spike, usual = self.phase.loss_guard.spike, self.smoothed.values.get("loss", math.inf)
        if spike is not None and self.step >= _GUARD_FROM and loss > spike * usual:
            return f"the loss jumped to {loss:.3g} from about {usual:.3g}"
        return None

    def _agree(self, state: ComposerState) -> None:
        """Share the wish to stop or to save, and make sure that all ranks are at the same step of the same stream."""
        mine = [state.batch["about"]["tokens"], self._rate, *state.batch["about"]["tokens_of"].values()]
        wishes = [
            float(self.stop.asked or distributed.launcher_died()),
            float(self.metrics is not None and self.late()),
        ]
        if dist.get_world_size() > 1:
            device = _model(state).totals.device
            both = torch.tensor([*mine, *(-value for value in mine), *wishes], dtype=torch.float64, device=device)
            dist.all_reduce(both, "MAX")
            found = both.tolist()
            if found[: len(mine)] != [-value for value in found[len(mine) : 2 * len(mine)]]:
                raise DataError(
                    "the ranks are not at the same step of the same stream; do they read the same run folder?"
                )
            wishes = found[2 * len(mine) :]
        self._stop_all, self._late = bool(wishes[0]), bool(wishes[1])

    def batch_end(self, state: ComposerState, logger: Logger) -> None:
        """Write the step's figures; save, evaluate and stop when it is time."""
        assert self._totals is not None
        about = state.batch["about"]
        before = self.tokens
        self.step, self.tokens, self.last_position = self.step + 1, about["tokens"], about["position"]
        now = time.monotonic()
        if self.compiles:
            self.compiles = False
            self.progress.note(f"  {self.phase.name}: the first step took {now - self._last:.1f} s, compiling included")
        self.seconds += now - self._last
        line = self._line(about, self.tokens - before, now - self._last)
        self._last = now
        if not self._skipped:
            self.smoothed.add(self.step, loss=self._totals.loss, accuracy=self._totals.accuracy)
        if self.metrics is not None:
            self.metrics.add(line)
        if self.positions is not None:
            self.positions.append(Position.from_json(self.last_position))
        logger.log_metrics(flat(line), step=self.step)
        done = min(self.tokens, self.phase.tokens)
        values = self.smoothed.values
        if values:
            self.progress.update(done, loss=values["loss"], accuracy=values["accuracy"], rate=self._rate)
        self._save_or_stop(state, before)

    def _line(self, about: Mapping[str, Any], tokens: int, seconds: float) -> dict[str, Any]:
        assert self._totals is not None
        line = {
            "phase": self.phase.name, "step": self.step, "tokens": self.tokens,
            "total_tokens": self.total_before + self.tokens, "progress": min(1.0, self.tokens / self.phase.tokens),
            "loss": self._totals.loss, "accuracy": self._totals.accuracy, "learning_rate": self._rate,
            "gradient_norm": self._norm, "batch_tokens": about["num_tokens"], "masked": self._totals.masked,
            "fill": about["num_tokens"] / about["capacity"],
            "shares": {name: count / about["num_tokens"] for name, count in about["tokens_of"].items()},
            "planned": about["planned"], **self._totals.by_source(self.sources),
            **self.speed.of_step(about["pairs"], self._totals.masked, tokens, seconds), "seconds": self.seconds,
            "seconds_left": max(0, self.phase.tokens - self.tokens) * self.seconds / max(1, self.tokens),
        }  # fmt: skip
        if self._skipped:
            line["skipped"] = True
        return line

    def _save_or_stop(self, state: ComposerState, before: int) -> None:
        # With others, a wish that came since they last spoke waits for the next step, or they would wait for this rank.
        if self._stop_all or (self.stop.asked and dist.get_world_size() == 1):
            self.stopped = True
            state.stop_training()
        every = self.phase.checkpoints.every_tokens
        on_grid = every is not None and self.tokens // every > before // every
        every = self.phase.evaluate_every
        self.due = self.evaluate is not None and every is not None and self.tokens // every > before // every
        if self.stopped or self._late or on_grid:
            self.save(self, on_grid)
        if self.due and not self.stopped:
            assert self.evaluate is not None
            self.evaluate(self)
            self.due = False
        # What saving and evaluating take is no training time.
        self._last = time.monotonic()


def masked_tokens(batch: Mapping[str, Any]) -> int:
    """Masked tokens of this rank's part of a batch."""
    return sum(batch["sizes"]["labels"])


def _model(state: ComposerState) -> PackedMaskedLM:
    model = state.model
    found = getattr(model, "module", model)
    assert isinstance(found, PackedMaskedLM)
    return found
