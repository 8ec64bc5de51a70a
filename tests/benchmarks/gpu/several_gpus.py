"""Several ranks through the real engine: DDP and FSDP beside one process, a rank that is killed, and a resume by one process.

With two GPUs or more every rank has one: speeds say how training scales. With one GPU two ranks share it and use NCCL
over the loopback interface, like two machines: all code of several GPUs runs, and speeds mean nothing. Without a GPU they are
two processes that use gloo.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__" and len(sys.argv) > 1 and sys.argv[4] == "shared":
    # Two ranks with one GPU: NCCL refuses them unless it takes them for two machines.
    os.environ |= {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "NODE_RANK": os.environ["RANK"]}
    os.environ |= {"NCCL_HOSTID": f"kit-{os.environ['RANK']}", "NCCL_SOCKET_IFNAME": "lo"}

import torch
from common import GPU, TINY, part, result
from made_stream import recipe_of, special_of, stream_of, write_store

from rexplug import distributed
from rexplug.engine import initial_checkpoint, train_phase
from rexplug.errors import DataError
from rexplug.progress import Silent
from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory
from rexplug.tokens.store import TokenStore

NUM_GPUS = torch.cuda.device_count() if GPU else 0
SHARED = NUM_GPUS == 1
SIZE, VOCABULARY, ROW, ROWS, STEPS = "nano", 512, 512, 4, 6
if GPU and not TINY:
    SIZE, VOCABULARY, ROW, ROWS, STEPS = "base", 50_368, 65_536, 4 * NUM_GPUS, 12
    if SHARED:
        SIZE, ROW = "micro", 16_384
NUM_RANKS = 2 if NUM_GPUS < 2 else NUM_GPUS
TOKENS = STEPS * ROWS * ROW
KILLED_AT = STEPS - 1
TOLERANCE = 2e-2 if GPU else 1e-4
"""How far losses may be from those of one process: in bf16 on a GPU two equal runs differ too."""
MOST_SECONDS = 15.0
"""Seconds within which all ranks must have ended after one was killed."""


class Killing(Silent):
    """Kills this process by SIGKILL after a step, and writes the time into a file."""

    def __init__(self, step: int, moment: Path) -> None:
        self.left, self.moment = step, moment

    def note(self, text: str) -> None:
        print("    ", text.strip(), flush=True)

    def update(self, done: float, **metrics: float | str) -> None:
        self.left -= bool(metrics)
        if metrics and self.left == 0:
            self.moment.write_text(str(time.time()))
            os.kill(os.getpid(), signal.SIGKILL)


def recipe(parallel: str) -> Recipe:
    """One phase in rows of a fixed size, with a checkpoint at every second step."""
    plain = recipe_of(ROW, ROWS * ROW, TOKENS, size=SIZE, parallel=parallel)
    changes = {
        "microbatch_tokens": ROW,
        "checkpoints": plain.phases[0].checkpoints.model_copy(update={"every_tokens": 2 * ROWS * ROW}),
    }
    return plain.model_copy(update={"phases": (plain.phases[0].model_copy(update=changes),)})


def train(root: Path, name: str, parallel: str, kill: int = 0) -> None:
    """Train or resume the run `name`; with `kill`, this process is killed after so many steps."""
    plan, run = recipe(parallel), RunDirectory(root / name)
    stream = stream_of(
        TokenStore.open(root / "store"), special_of(VOCABULARY), context=ROW, row=ROW, batch=ROWS * ROW, total=TOKENS
    )
    train_phase(
        recipe=plan, phase=plan.phases[0], stream=stream, start=root / "run" / "checkpoints" / "initial", run=run,
        progress=Killing(kill, root / "killed"),
    )  # fmt: skip


def lines_of(root: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / name / "metrics.jsonl").read_text().splitlines()]


def speed(lines: list[dict[str, Any]]) -> float:
    """Tokens per second from the third step on."""
    later = lines[2:]
    return float(sum(line["batch_tokens"] for line in later) / (later[-1]["seconds"] - lines[1]["seconds"]))


def apart(lines: list[dict[str, Any]], others: list[dict[str, Any]]) -> float:
    return max(abs(float(line["loss"]) - float(other["loss"])) for line, other in zip(lines, others, strict=False))


def launch(root: Path, name: str, kill: int = 0) -> int:
    arguments = [sys.executable, __file__, str(root), name, str(kill), "shared" if SHARED else "own"]
    began = time.perf_counter()
    try:
        return distributed.launch(NUM_RANKS, arguments, root / name / "logs")
    finally:
        print(f"     {name}: {time.perf_counter() - began:.1f} s with start and end")
        for log in sorted((root / name / "logs").glob("*.log")):
            for line in log.read_text().splitlines()[-8:]:
                print(f"     {log.stem}: {line}")


def main() -> None:
    kind = f"{NUM_RANKS} ranks, " + (
        "gloo on CPUs" if not GPU else "one GPU shared by NCCL" if SHARED else "a GPU each"
    )
    print(f"{kind}; {SIZE}, rows of {ROW:,}, {ROWS} rows a step, {STEPS} steps", flush=True)
    root = Path(tempfile.mkdtemp())
    try:
        write_store(root / "store", int(1.1 * TOKENS), 60 if TINY else 600, 500 if TINY else 1022, VOCABULARY)
        initial_checkpoint(recipe("auto"), special_of(VOCABULARY), RunDirectory(root / "run"))
        with part("ranks: one process"):
            train(root, "alone", "auto")
        alone = lines_of(root, "alone")
        with part("ranks: ddp, rank 1 killed near the end"):
            try:
                code = launch(root, "ddp", KILLED_AT)
                raise AssertionError(f"no rank was killed; exit code {code}")
            except DataError as error:
                reason = str(error)
            ended = time.time() - float((root / "killed").read_text())
            print("    ", reason)
            assert "rank 1 of" in reason, "another rank failed than the one that was killed"
            lines = lines_of(root, "ddp")
            result(
                "ranks", kind=kind, parallel="ddp", tokens_s=speed(lines), times_one=speed(lines) / speed(alone),
                losses_differ_by=apart(lines, alone), others_ended_after=ended, memory_gib=lines[-1]["memory_gib"],
                memory_alone_gib=alone[-1]["memory_gib"],
            )  # fmt: skip
            assert apart(lines, alone) < TOLERANCE
            assert ended < MOST_SECONDS
        with part("ranks: the killed run is resumed by one process"):
            train(root, "ddp", "auto")
            lines = lines_of(root, "ddp")
            result("ranks", kind=kind, resumed_losses_differ_by=apart(lines, alone), steps=len(lines))
            assert len(lines) == len(alone)
            assert apart(lines, alone) < TOLERANCE
        with part("ranks: fsdp"):
            assert launch(root, "fsdp") == 0
            lines = lines_of(root, "fsdp")
            result(
                "ranks", kind=kind, parallel="fsdp", tokens_s=speed(lines), times_one=speed(lines) / speed(alone),
                losses_differ_by=apart(lines, alone), memory_gib=lines[-1]["memory_gib"],
            )  # fmt: skip
            assert apart(lines, alone) < TOLERANCE
    finally:
        shutil.rmtree(root, ignore_errors=True)


def rank_main(root: str, name: str, kill: str) -> None:
    """Train in one rank of a launch, and exit with its code."""
    code = 0
    try:
        train(Path(root), name, name, int(kill) if distributed.rank() == 1 else 0)
        distributed.disconnect()
    except DataError as error:
        print(f"rank {distributed.rank()}: {error}", file=sys.stderr, flush=True)
        code = distributed.peer_lost_exit_code()
    distributed.exit_process(code)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        rank_main(*sys.argv[1:4])
    else:
        main()
