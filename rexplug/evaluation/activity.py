"""Counts what an encoder does during an evaluation, and shows it as progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

from rexplug.progress import Progress

_MOST = 0.98
"""Share of an evaluator's expected time that its progress shows, at most."""


@dataclass
class Activity:
    """Counts what an encoder and its fine-tuned copies do, and reports what they are doing.

    `texts` and `tokens` are those read without gradients, padding not included, and `reading_seconds` the time that the network
    took for them; texts whose embeddings were kept from an earlier call do not count. `steps` and `trained_tokens` are those of
    fine-tunes that train all weights, in `training_seconds`.
    """

    texts: int = 0
    tokens: int = 0
    reading_seconds: float = 0.0
    fine_tunes: int = 0
    steps: int = 0
    trained_tokens: int = 0
    training_seconds: float = 0.0
    listener: Callable[[str], None] | None = field(default=None, repr=False)
    """Receives a description of what happens, many times a second."""

    def reset(self) -> None:
        """Set all counts to 0."""
        for of_class in fields(self):
            if of_class.name != "listener":
                setattr(self, of_class.name, of_class.default)

    @property
    def texts_per_second(self) -> float | None:
        """Texts that the network read in a second; None if it read none."""
        return self.texts / self.reading_seconds if self.texts and self.reading_seconds > 0 else None

    def counts(self) -> dict[str, Any]:
        """The counts, for a result's file."""
        counted = {
            of_class.name: getattr(self, of_class.name) for of_class in fields(self) if of_class.name != "listener"
        }
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in counted.items()}

    @contextmanager
    def reading(self, num_texts: int) -> Iterator[Callable[[int, int], None]]:
        """Time and count texts that are read without gradients; gives a function to call with texts and tokens of each batch."""
        done, started = 0, time.perf_counter()

        def batch(texts: int, tokens: int) -> None:
            nonlocal done
            done += texts
            self.texts += texts
            self.tokens += tokens
            self._tell(f"{done:,} of {num_texts:,} texts read")

        yield batch
        self.reading_seconds += time.perf_counter() - started

    def begin_fine_tune(self) -> int:
        """Count a fine-tune of all weights; returns its number."""
        self.fine_tunes += 1
        return self.fine_tunes

    @contextmanager
    def training(self, number: int) -> Iterator[Callable[[int, int], None]]:
        """Time and count steps of a fine-tune; gives a function to call after each step, with its number and that of all steps.

        The encoder counts the tokens.
        """
        started = time.perf_counter()

        def step(done: int, num_steps: int) -> None:
            self.steps += 1
            self._tell(f"fine-tune {number}, step {done:,} of {num_steps:,}")

        yield step
        self.training_seconds += time.perf_counter() - started

    def _tell(self, what: str) -> None:
        if self.listener is not None:
            self.listener(what)


def device_of(model: Any, processor: str) -> str:
    """The name of the GPU that a model is on, or that of the processor."""
    return getattr(model, "device_name", "") or processor


class EvaluatorProgress:
    """Shows how far the evaluators of a model are, weighted by the time that they are expected to take.

    Args:
        progress: where it is shown.
        model: the model's name.
        labels: all evaluators.
        stored: those whose results are stored.
        expected: label -> seconds, as far as known.
    """

    def __init__(
        self,
        progress: Progress,
        model: str,
        labels: Sequence[str],
        stored: Collection[str],
        expected: Mapping[str, float],
    ) -> None:
        self._progress = progress
        self._labels = list(labels)
        self._expected = expected
        usual = sum(expected.values()) / len(expected) if expected else 1.0
        computed = any(label not in stored for label in labels)
        self._weights = {label: 0.0 if label in stored and computed else expected.get(label, usual) for label in labels}
        self._done = 0.0
        self._metrics: dict[str, float] = {}
        progress.start(f"evaluate {model}", 1.0)

    @contextmanager
    def during(self, label: str, model: Any) -> Iterator[None]:
        """Show what the model does while an evaluator runs; its counts start at 0."""
        activity = getattr(model, "activity", None)
        if not isinstance(activity, Activity):
            self._show(label, "", 0.0)
            yield
            return
        started = time.monotonic()

        def listen(what: str) -> None:
            seconds = self._expected.get(label)
            share = min(_MOST, (time.monotonic() - started) / seconds) if seconds else 0.0
            self._show(label, f": {what}", share)

        activity.reset()
        activity.listener = listen
        self._show(label, "", 0.0)
        try:
            yield
        finally:
            activity.listener = None

    def after(self, label: str, metrics: Mapping[str, float] | None = None) -> None:
        """An evaluator has ended; its `metrics` are shown until the next one ends, and those of all at the end."""
        self._done += self._weights[label]
        last = label == self._labels[-1]
        hidden = dict.fromkeys(self._metrics, "")
        self._metrics |= metrics or {}
        shown: Mapping[str, float | str] = {**hidden, **(self._metrics if last else metrics or {})}
        self._progress.update(1.0 if last else self._share(0.0), now="", **shown)

    def _show(self, label: str, what: str, share: float) -> None:
        number = self._labels.index(label) + 1
        now = f"{label} ({number} of {len(self._labels)}){what}"
        self._progress.update(self._share(share * self._weights[label]), now=now)

    def _share(self, of_current: float) -> float:
        return (self._done + of_current) / (sum(self._weights.values()) or 1.0)
