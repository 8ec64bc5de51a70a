"""Composer's trainer without its reads of the device: each makes the host wait until the GPU has finished
all the work that it was given.

In every step Composer reads back whether the loader has ended, the number of masked tokens, the loss (twice), and the time,
samples and tokens of all ranks. All of it but the loss is known on the host, and the loss is read by `TrainingCallback`, once,
together with all else that a step reads.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from composer import Trainer
from composer.core import Event

from rexplug import distributed
from rexplug.engine.sharding import our_replicas, zero_gradients


class PhaseTrainer(Trainer):
    """Trains with closures and without gradient scaling; the only metrics are those of the callback."""

    def __init__(self, *, count: Callable[[], tuple[int, int]], **options: Any) -> None:
        """Set up as Composer does.

        Args:
            count: tokens and masked tokens of the current global batch.
            options: those of Composer's trainer.
        """
        self._count = count
        with our_replicas():
            super().__init__(**options)

    def _iter_dataloader(self, trainer_mode: Any) -> Iterator[Any]:
        """The batches; every rank has as many, so that none has to ask whether another has ended."""
        batches = iter(self.state.dataloader)
        while True:
            self.engine.run_event(Event.BEFORE_DATALOADER)
            try:
                batch = next(batches)
            except StopIteration:
                self.engine.run_marker_only_event(Event.AFTER_DATALOADER)
                return
            yield batch

    def _train_batch(self, use_grad_scaling: bool) -> None:
        """Step every optimizer on the current batch; returns no loss, which Composer would read and log."""
        microbatches = self._train_data_spec.split_batch(self.state.batch, self.state.device_train_microbatch_size)
        for optimizer in self.state.optimizers:
            optimizer.step(closure=lambda: self._train_microbatches(microbatches, {}))
        self.first_train_batch_complete = True

    def _train_microbatches(
        self, microbatches: Sequence[Any], total_loss_dict: dict[str, Any], ddp_sync: bool = True
    ) -> None:
        """Forward and backward pass of all microbatches, each weighted by its masked tokens."""
        self.engine.run_event(Event.BEFORE_TRAIN_BATCH)
        for optimizer in self.state.optimizers:
            zero_gradients(optimizer, self.state.model)
        masked_per_rank = self._count()[1] / distributed.world_size()
        batch = self.state.batch
        for number, microbatch in enumerate(microbatches, 1):
            self.state.batch = self.state.device.batch_to_device(microbatch)
            self._train_microbatch(
                use_grad_scaling=False,
                current_batch_size=masked_per_rank,
                is_final_microbatch=number == len(microbatches),
            )
        self.state.batch = batch
        self.engine.run_event(Event.AFTER_TRAIN_BATCH)

    def _accumulate_time_across_ranks(
        self, num_samples: int | float, num_tokens: int, batch_time: datetime.timedelta
    ) -> tuple[int, int, datetime.timedelta]:
        """Rows and tokens of the global batch; all ranks have as many rows."""
        return int(num_samples) * distributed.world_size(), self._count()[0], batch_time
