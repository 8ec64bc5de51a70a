"""One process with two threads compared with two processes of one thread each: tokens per second, and losses.

    python tests/benchmarks/bench_ranks.py [--size nano] [--vocabulary 8192] [--rounds 3]

All sides train the same weights on the same global batches through `train_phase`; wall time is measured from the
second step on, so nothing else should run on the machine. Rounds of all sides alternate; the first is not counted. With
`fsdp` each process holds half of every weight and moment. The losses of the sides are printed side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

SIDES = {
    "1 process, 1 thread": (1, 1, "auto"),
    "1 process, 2 threads": (1, 2, "auto"),
    "2 processes, ddp": (2, 1, "ddp"),
    "2 processes, fsdp": (2, 1, "fsdp"),
}
WIDTH = 8192


def train(root: Path, parallel: str, options: argparse.Namespace) -> None:
    """Train one rank of one side."""
    from made_stream import recipe_of, special_of, stream_of

    from rexplug import distributed
    from rexplug.engine import train_phase
    from rexplug.progress import Silent
    from rexplug.run_directory import RunDirectory
    from rexplug.tokens.store import TokenStore

    stream = stream_of(
        TokenStore.open(root.parent / "store"), special_of(options.vocabulary), context=WIDTH, row=WIDTH, batch=2 * WIDTH,
        total=options.tokens,
    )  # fmt: skip
    recipe = recipe_of(WIDTH, 2 * WIDTH, options.tokens, parallel=parallel)
    train_phase(
        recipe=recipe, phase=recipe.phases[0], stream=stream, start=root.parent / "initial", run=RunDirectory(root),
        progress=Silent(),
    )  # fmt: skip
    distributed.exit_process(0)  # as `rexplug run` does


def side(folder: Path, number: int, name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Train one side in its own processes; returns its lines of metrics."""
    from rexplug import distributed

    num, threads, parallel = SIDES[name]
    root = folder / f"{number}-{num}-{threads}-{parallel}"
    os.environ["OMP_NUM_THREADS"] = str(threads)
    arguments = [sys.executable, __file__, *sys.argv[1:], "--rank-of", str(root), "--parallel", parallel]
    assert distributed.launch(num, arguments, root / "logs") == 0
    return [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="nano", help="a model size of rexplug")
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--tokens", type=int, default=150_000, help="tokens of all documents")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds, after one that is not counted")
    parser.add_argument("--sides", default="", help="run only sides whose name contains one of these, by commas")
    parser.add_argument("--rank-of", help=argparse.SUPPRESS)
    parser.add_argument("--parallel", default="auto", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank_of:
        train(Path(options.rank_of), options.parallel, options)
        return
    from made_stream import special_of, write_store

    from rexplug.model import build_model
    from rexplug.recipe.schema import Model

    names = [name for name in SIDES if any(part in name for part in options.sides.split(","))]
    speeds: dict[str, list[float]] = {name: [] for name in names}
    losses: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        model = build_model(Model(size=options.size), special_of(options.vocabulary), context=WIDTH, seed=1)
        model.save_pretrained(folder / "initial")
        write_store(folder / "store", options.tokens, 60, 512, options.vocabulary)
        for number in range(options.rounds + 1):
            for name in names:
                lines = side(folder, number, name, options)
                losses[name] = [line["loss"] for line in lines]
                if number:
                    tokens = sum(line["batch_tokens"] for line in lines[1:])
                    speeds[name].append(tokens / (lines[-1]["seconds"] - lines[0]["seconds"]))
    print(
        f"{options.size}, vocabulary {options.vocabulary:,}, batches of {2 * WIDTH:,} tokens, {len(losses[names[0]])} steps"
    )
    print(f"{'':24}{'tokens/s':>10}{'lowest':>10}{'highest':>10}{'to the first':>14}{'losses differ by':>18}")
    first = names[0]
    for name, values in speeds.items():
        ratio = statistics.median(a / b for a, b in zip(values, speeds[first], strict=True))
        apart = max(abs(a - b) for a, b in zip(losses[name], losses[first], strict=True))
        print(
            f"{name:24}{statistics.median(values):10,.0f}{min(values):10,.0f}{max(values):10,.0f}{ratio:12.2f} x{apart:18.1e}"
        )
    print("\nloss at step    " + "".join(f"{name:>24}" for name in names))
    total = len(losses[first])
    for step in sorted({1, *(max(1, round(i * total / 6)) for i in range(1, 7))}):
        print(f"{step:12}    " + "".join(f"{losses[name][step - 1]:24.7f}" for name in names))


if __name__ == "__main__":
    main()
