"""When a phase saves itself, which of its checkpoints stay, and what becomes of the last ones."""

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
from rexplug.engine.checkpoints import FINAL, State, read_state, step_folder, write_checkpoint
from rexplug.errors import DataError
from rexplug.progress import Progress
from rexplug.recipe.schema import Phase

TEMPORARY = ".tmp-evaluation"
"""Weights that evaluators measure while a phase goes on; what a kill leaves of them goes with the other leftovers."""
DISK_ERRORS = (OSError, RuntimeError, SafetensorError)
"""What writing a checkpoint raises when the disk is full, by the library that notices."""


@dataclass
class Saver:
    """Writes and prunes the checkpoints of a phase, in `folder`."""

    phase: Phase
    folder: Path
    progress: Progress
    saved_at: float = field(default_factory=time.monotonic)

    def due(self, before: int, tokens: int) -> bool:
        """Whether a multiple of `every_tokens` lies between, so that the grid is the same after any resume."""
        every = self.phase.checkpoints.every_tokens
        return every is not None and tokens // every > before // every

    def late(self) -> bool:
        """Whether the last checkpoint is too long ago."""
        return time.monotonic() - self.saved_at >= self.phase.checkpoints.every_minutes * 60

    def save(self, state: State, model: Any, moments: dict[str, Any]) -> bool:
        """Write a checkpoint and prune the others; False, and a note, if it could not be written."""
        self.saved_at = time.monotonic()
        try:
            write_checkpoint(step_folder(self.folder, state.step), model, moments, state)
        except DISK_ERRORS as error:
            self.progress.note(f"  warning: {self._failed(error)}; training goes on and tries again")
            return False
        self._prune()
        return True

    def finish(self, state: State, model: Any, moments: dict[str, Any]) -> Path:
        """Write `final`, averaged if the phase says so, and remove what is not to be kept.

        Raises:
            DataError: it could not be written; the last checkpoint of the phase is still there.
        """
        final = self.folder / FINAL
        kept = self._steps()
        sources = [path for path, each in kept if each.grid and each.step < state.step][-(self.phase.average - 1) :]
        own = None
        if self.phase.average > 1 and sources:
            for path in sources:
                require_intact(path, f"the phase ends with a mean of which it is a part; remove {path} to leave it out")
            own = {name: value.detach().clone() for name, value in model.state_dict().items()}
            model.load_state_dict(averaged(own, [path / "model.safetensors" for path in sources]))
            state = replace(state, averaged=[int(path.name.split("-")[1]) for path in sources] + [state.step])
        try:
            write_checkpoint(final, model, moments, state)
        except DISK_ERRORS as error:
            raise DataError(f"{self._failed(error)}; make room, and the same command goes on from there") from None
        finally:
            if own is not None:
                model.load_state_dict(own)
        best = self._best(kept)
        for path, _ in kept:
            if path not in best:
                shutil.rmtree(path)
        return final

    def _failed(self, error: BaseException, what: str = "a checkpoint") -> str:
        newest = [path.name for path, _ in self._steps()]
        left = f"the last good one is {newest[-1]}" if newest else "there is none of this phase yet"
        return f"{what} could not be written to {self.folder} ({why_not_written(error, self.folder)}); {left}"

    @contextmanager
    def copy(self, model: Any) -> Iterator[Path]:
        """A folder with the weights as they are now, for as long as evaluators want it.

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
                    f"{self._failed(error, 'weights to evaluate')}; make room, and the same command goes on from there"
                ) from None
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _steps(self) -> list[tuple[Path, State]]:
        """The checkpoints of the running phase with what they know, oldest first."""
        found = []
        for path in sorted(self.folder.glob("step-*")):
            try:
                found.append((path, read_state(path)))
            except DataError:
                continue
        return found

    def _best(self, found: Sequence[tuple[Path, State]]) -> list[Path]:
        ranked = sorted(found, key=lambda pair: (pair[1].figures.get("loss", float("inf")), -pair[1].step))
        return [path for path, _ in ranked[: self.phase.checkpoints.keep_best]]

    def _prune(self) -> None:
        found = self._steps()
        kept = [path for path, _ in found[-self.phase.checkpoints.keep :]] + self._best(found)
        if self.phase.average > 1:
            # One more than the end needs: the last of them may turn out to be the end.
            kept += [path for path, state in found if state.grid][-self.phase.average :]
        for path, _ in found:
            if path not in kept:
                shutil.rmtree(path)


def why_not_written(error: BaseException, folder: Path) -> str:
    """What the system says, and how much room there is where `folder` lies."""
    reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return f"{reason}; {shutil.disk_usage(folder.parent).free / 2**30:.1f} GiB free"


def averaged(own: dict[str, torch.Tensor], files: Sequence[Path]) -> dict[str, torch.Tensor]:
    """The mean of weights and of those in `files`; summed in fp64, in order, so that it is the same each time."""
    sums = {name: value.double() for name, value in own.items()}
    for file in files:
        loaded = load_file(file)
        for name in sums:
            # A tied weight is stored once, under the name of the embedding.
            stored = loaded[name] if name in loaded else loaded["model.embeddings.tok_embeddings.weight"]
            sums[name] += stored.to(sums[name].device)
    return {name: (value / (1 + len(files))).to(own[name].dtype) for name, value in sums.items()}
