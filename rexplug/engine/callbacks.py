"""What happens around each step: rate, figures, checkpoints, stopping."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from composer.core import Callback
from composer.core import State as ComposerState
from composer.loggers import Logger

from rexplug.batches import Position, PositionLog
from rexplug.engine.composer_model import PackedMaskedLM
from rexplug.engine.optimizer import set_rate
from rexplug.errors import DataError
from rexplug.progress import Progress
from rexplug.recipe.schema import Phase
from rexplug.run_directory import write_text

_SMOOTHING = 0.95


class StopRequest:
    """Remembers that SIGTERM or SIGINT came; a second one ends the process at once."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals over for a while and give them back."""
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in before:
            signal.signal(number, self._hear)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@dataclass(eq=False)
class Steps(Callback):
    """Sets the learning rate before each step and keeps account after it.

    `save` writes a checkpoint: called with the step, the tokens of the phase, the stream's position and the seconds.
    """

    phase: Phase
    sources: tuple[str, ...]
    rate_at: Callable[[int], float]
    metrics: Path
    progress: Progress
    save: Callable[[int, int, dict[str, Any], float, dict[str, float]], None]
    stop: StopRequest
    names: Callable[[list[tuple[int, int]]], list[str]]
    total_before: int
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    stopped: bool = False
    figures: dict[str, float] = field(default_factory=dict)
    last_position: dict[str, Any] = field(default_factory=dict)
    positions: PositionLog | None = None

    def __post_init__(self) -> None:
        self._began = self._saved_at = time.monotonic()
        self._saved_tokens = self.tokens
        self._before = self.seconds
        self._step_began = self._began
        self._rate = 0.0

    def fit_start(self, state: ComposerState, logger: Logger) -> None:
        """Start the clock where training starts."""
        self._began = self._saved_at = self._step_began = time.monotonic()

    def batch_start(self, state: ComposerState, logger: Logger) -> None:
        """Set the rate of the step from the tokens before it, and begin to count."""
        self._rate = self.rate_at(self.tokens)
        for optimizer in state.optimizers:
            set_rate(optimizer, self._rate)
        _model(state).reset()

    def after_train_batch(self, state: ComposerState, logger: Logger) -> None:
        """Refuse to go on with a loss that is not a number, before the optimizer takes it in."""
        loss, _, count = _model(state).totals.sum(1).tolist()
        if not math.isfinite(loss / max(count, 1)):
            about = state.batch["about"]
            raise DataError(
                f"phase '{self.phase.name}', step {self.step + 1}: the loss is {loss / max(count, 1)}; documents in the "
                f"batch: {', '.join(self.names(about['documents'])[:20])}. Checkpoints from before this step are kept; "
                "a lower learning_rate.peak is the usual cure"
            )

    def batch_end(self, state: ComposerState, logger: Logger) -> None:
        """Write the step's figures; save and stop when it is time."""
        about = state.batch["about"]
        before = self.tokens
        self.step, self.tokens, self.last_position = self.step + 1, about["tokens"], about["position"]
        now = time.monotonic()
        self.seconds = self._before + now - self._began
        losses, hits, counts = _model(state).totals.tolist()
        masked = sum(counts)
        loss, accuracy = sum(losses) / masked, sum(hits) / masked
        line = {
            "phase": self.phase.name, "step": self.step, "tokens": self.tokens,
            "total_tokens": self.total_before + self.tokens, "progress": min(1.0, self.tokens / self.phase.tokens),
            "loss": loss, "accuracy": accuracy, "learning_rate": self._rate, "batch_tokens": about["num_tokens"],
            "masked": about["num_masked"], "fill": about["num_tokens"] / about["capacity"],
            "shares": {name: count / about["num_tokens"] for name, count in about["tokens_of"].items()},
            "planned": about["planned"],
            "source_loss": {n: a / c for n, a, c in zip(self.sources, losses, counts, strict=True) if c},
            "source_accuracy": {n: h / c for n, h, c in zip(self.sources, hits, counts, strict=True) if c},
            "tokens_per_second": (self.tokens - before) / max(1e-9, now - self._step_began), "seconds": self.seconds,
        }  # fmt: skip
        self._step_began = now
        if self.positions is not None:
            self.positions.append(Position.from_json(self.last_position))
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in (("loss", loss), ("accuracy", accuracy)):
            old = self.figures.get(name, value)
            # A mean over about the last twenty steps, from the first ones on.
            keep = min(_SMOOTHING, 1 - 1 / self.step)
            self.figures[name] = keep * old + (1 - keep) * value
        self.progress.update(
            min(self.tokens, self.phase.tokens),
            loss=self.figures["loss"],
            accuracy=self.figures["accuracy"],
            rate=self._rate,
        )
        self._save_or_stop(state, now)

    def _save_or_stop(self, state: ComposerState, now: float) -> None:
        if self.stop.asked:
            self.stopped = True
            state.stop_training()
        every = self.phase.checkpoints
        due = every.every_tokens is not None and self.tokens - self._saved_tokens >= every.every_tokens
        due = due or now - self._saved_at >= every.every_minutes * 60
        if self.stopped or due:
            self.save(self.step, self.tokens, self.last_position, self.seconds, self.figures)
            self._saved_at, self._saved_tokens = time.monotonic(), self.tokens


def _model(state: ComposerState) -> PackedMaskedLM:
    model = state.model
    found = getattr(model, "module", model)
    assert isinstance(found, PackedMaskedLM)
    return found


def cut_metrics(path: Path, phase: str, step: int) -> None:
    """Take out lines of `phase` after `step`: a killed run wrote them, and they are about to be made again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the line that a kill cut off
        if entry["phase"] != phase or entry["step"] <= step:
            kept.append(line + "\n")
    write_text(path, "".join(kept))
