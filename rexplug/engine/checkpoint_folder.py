"""The checkpoints of a phase on disk: when they are written, which are kept, and what the final one is made of."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from rexplug.checksums import require_intact
from rexplug.engine.checkpoints import FINAL, CheckpointState, read_state, step_folder, write_checkpoint
from rexplug.errors import DataError
from rexplug.model.family import DEFAULT_FAMILY
from rexplug.progress import Progress
from rexplug.recipe.schema import Phase

TEMPORARY = ".tmp-evaluation"
"""Weights for evaluators to measure during a phase; the prefix has them removed with other unfinished files after a kill."""
DISK_ERRORS = (OSError, RuntimeError, SafetensorError)
"""What writing a checkpoint raises when the disk is full; it depends on the library that notices."""


@dataclass
class CheckpointFolder:
    """Writes and prunes the checkpoints of a phase in `folder`; rank 0 calls it."""

    phase: Phase
    folder: Path
    progress: Progress
    saved_at: float = field(default_factory=time.monotonic)

    def overdue(self) -> bool:
        """Whether the last checkpoint is older than `every_minutes`."""
        return time.monotonic() - self.saved_at >= self.phase.checkpoints.every_minutes * 60

    def save(self, state: CheckpointState, model: Any, optimizer: dict[str, Any]) -> None:
        """Write a checkpoint and prune the others; note why if it could not be written."""
        self.saved_at = time.monotonic()
        try:
            write_checkpoint(step_folder(self.folder, state.step), model, optimizer, state)
        except DISK_ERRORS as error:
            self.progress.note(f"  warning: {self._not_written(error)}; training continues and tries again")
        else:
            self._prune()

    def finish(self, state: CheckpointState, model: Any, optimizer: dict[str, Any]) -> None:
        """Write the final checkpoint, averaged if the phase says so, and remove the others but for the best ones.

        Raises:
            DataError: it could not be written; the last checkpoint of the phase is still there.
        """
        final = self.folder / FINAL
        kept = self._kept()
        averaged_with = [path for path, other in kept if other.on_token_grid and other.step < state.step]
        averaged_with = averaged_with[-(self.phase.average - 1) :]
        own = None
        if self.phase.average > 1 and averaged_with:
            for path in averaged_with:
                require_intact(path, f"the phase ends with an average that includes it; remove {path} to leave it out")
            own = {name: value.detach().clone() for name, value in model.state_dict().items()}
            model.load_state_dict(average_weights(own, [path / "model.safetensors" for path in averaged_with]))
            state = replace(state, averaged=[int(path.name.split("-")[1]) for path in averaged_with] + [state.step])
        try:
            write_checkpoint(final, model, optimizer, state)
        except DISK_ERRORS as error:
            raise DataError(f"{self._not_written(error)}; make room, and the same command resumes from there") from None
        finally:
            if own is not None:
                model.load_state_dict(own)
        best = self._best(kept)
        for path, _ in kept:
            if path not in best:
                shutil.rmtree(path)

    def _not_written(self, error: BaseException, what: str = "a checkpoint") -> str:
        newest = [path.name for path, _ in self._kept()]
        left = f"the last good one is {newest[-1]}" if newest else "the phase has none yet"
        return f"{what} could not be written to {self.folder} ({why_not_written(error, self.folder)}); {left}"

    @contextmanager
    def temporary_copy(self, model: Any) -> Iterator[Path]:
        """A folder with the present weights, removed at the end of the context.

        Raises:
            DataError: it could not be written.
        """
        temporary = self.folder / TEMPORARY
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            try:
                temporary.mkdir(parents=True)
                model.save_pretrained(temporary)
            except DISK_ERRORS as error:
                raise DataError(
                    f"{self._not_written(error, 'weights to evaluate')}; make room, and the same command resumes from there"
                ) from None
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _kept(self) -> list[tuple[Path, CheckpointState]]:
        """The readable checkpoints of the running phase with their states, oldest first."""
        kept = []
        for path in sorted(self.folder.glob("step-*")):
            try:
                kept.append((path, read_state(path)))
            except DataError:
                continue
        return kept

    def _best(self, candidates: Sequence[tuple[Path, CheckpointState]]) -> list[Path]:
        ranked = sorted(candidates, key=lambda pair: (pair[1].smoothed.get("loss", float("inf")), -pair[1].step))
        return [path for path, _ in ranked[: self.phase.checkpoints.keep_best]]

    def _prune(self) -> None:
        checkpoints = self._kept()
        kept = [path for path, _ in checkpoints[-self.phase.checkpoints.keep :]] + self._best(checkpoints)
        if self.phase.average > 1:
            # One more than the average needs: the last of them may turn out to be the end of the phase.
            kept += [path for path, state in checkpoints if state.on_token_grid][-self.phase.average :]
        for path, _ in checkpoints:
            if path not in kept:
                shutil.rmtree(path)


def why_not_written(error: BaseException, folder: Path) -> str:
    """The system's error message, and how much disk space is left where `folder` is."""
    reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return f"{reason}; {shutil.disk_usage(folder.parent).free / 2**30:.1f} GiB free"


def average_weights(own: dict[str, torch.Tensor], files: Sequence[Path]) -> dict[str, torch.Tensor]:
    """The mean of weights and of those in `files`; summed in fp64 and in order, so that it is reproducible."""
    sums = {name: value.double() for name, value in own.items()}
    for file in files:
        loaded = load_file(file)
        for name in sums:
            # A tied weight is stored once, under the name of the embedding.
            stored = loaded[name] if name in loaded else loaded[DEFAULT_FAMILY.layout.embedding_weight]
            sums[name] += stored.to(sums[name].device)
    return {name: (value / (1 + len(files))).to(own[name].dtype) for name, value in sums.items()}
