"""The engine as users run it, with rows of the default size: speed, host time, reads of the device, `auto`, and a full memory."""

import collections
import contextlib
import shutil
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from common import GPU, TINY, counted_waits, part, result

warnings.simplefilter("ignore")
from engine_runs import Watch, phase_of, recipe_of, report, train, write_documents, write_tokenizer

from rexplug.errors import DataError
from rexplug.recipe import Recipe
from rexplug.tokens.special import SpecialTokens

CONTEXT = 256 if TINY else 1024
DEFAULT_BATCH = 2048 if TINY else 524_288
STEPS = 4 if TINY else 12
SIZES = ("nano",) if TINY else ("micro", "nano")
root = Path(tempfile.mkdtemp())


class Reads(Watch):
    """Counts calls that wait for the GPU in some steps in the middle of a run, and the places that make them."""

    FIRST, LAST = (2, 3) if TINY else (4, 9)

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.places: collections.Counter[str] = collections.Counter()
        self._counting = contextlib.ExitStack()

    def update(self, done: float, **metrics: float | str) -> None:
        if not metrics:
            return
        self.steps += 1
        if self.steps == self.FIRST:
            self.places = self._counting.enter_context(counted_waits())
        if self.steps == self.LAST:
            self._counting.close()

    def report(self, size: str) -> None:
        """Write the number of reads per step."""
        result(
            "reads", size=size, per_step=sum(self.places.values()) / (self.LAST - self.FIRST),
            where=str(dict(self.places.most_common(8))),
        )  # fmt: skip


def plan_of(size: str, **phase: Any) -> Recipe:
    """One phase whose rows have the default size, unless it names another."""
    options = phase_of(
        "only", CONTEXT, STEPS * DEFAULT_BATCH, batch_tokens=DEFAULT_BATCH, checkpoints={"every_minutes": 999}
    )
    del options["microbatch_tokens"]
    model = {"size": size} | phase.pop("model", {})
    return recipe_of([options | phase], **model)


def main() -> None:
    special = SpecialTokens.read(write_tokenizer(root / "tokenizer"))
    store = write_documents(root / "documents", 4 * DEFAULT_BATCH)
    for size in SIZES:
        with part(f"default rows, {size}"):
            report(
                f"default-{size}",
                train(root / f"default-{size}", plan_of(size), store, special, quiet=True),
                "engine",
                size=size,
            )
        with part(f"reads of the device, {size}"):
            progress = Reads()
            train(root / f"reads-{size}", plan_of(size), store, special, quiet=True, progress=progress)
            progress.report(size)
    size = SIZES[-1]
    for row in (DEFAULT_BATCH // 2, 2 * DEFAULT_BATCH):  # do rows above the default hide the host's time?
        with part(f"rows of {row}, {size}"):
            batch = 2 * DEFAULT_BATCH
            plan = plan_of(size, microbatch_tokens=row, batch_tokens=batch, tokens=(STEPS + 1) // 2 * batch)
            report(f"rows-{row}", train(root / f"rows-{row}", plan, store, special, quiet=True), "engine", size=size)
    with part("microbatch_tokens: auto"):
        began = time.perf_counter()
        batch = DEFAULT_BATCH * (8 if GPU and not TINY else 1)
        plan = plan_of(SIZES[0], microbatch_tokens="auto", batch_tokens=batch, tokens=2 * batch)
        outcome = train(root / "auto", plan, store, special, quiet=True).outcomes[0]
        result(
            "auto",
            size=SIZES[0],
            batch=batch,
            row=outcome["microbatch_tokens"],
            seconds=time.perf_counter() - began,
        )
    if not GPU:
        print("     memory of a CPU is not filled on purpose")
        return
    with part("out of memory"):
        began, said = time.perf_counter(), ""
        batch = 32 * DEFAULT_BATCH if not TINY else 2**25
        try:
            plan = plan_of(
                SIZES[0], microbatch_tokens=batch, batch_tokens=batch, tokens=batch, model={"compile": False}
            )
            train(root / "full", plan, store, special, quiet=True)
        except DataError as error:
            said = str(error)
        free, total = torch.cuda.mem_get_info()
        result(
            "out of memory", seconds=time.perf_counter() - began, said=said, free_gib=free / 2**30, of_gib=total / 2**30
        )
        assert "ran out of memory on the" in said, said


if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(root, ignore_errors=True)
