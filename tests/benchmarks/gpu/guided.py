"""The arms of guided_ablation.py, trained by the real engine: a process for each size and seed, all on one GPU.

    python guided.py PACKED [--out FOLDER] [--seconds 235] [--sizes micro,nano] [--seeds 5]

PACKED is the folder that `guided_ablation.py corpus` wrote; in the kit it is $KIT_PACKED or stores/ beside this file. Each process
pretrains a model and continues it once for each arm, in the order of ARMS; after each it predicts all masked items and appends a
line to guided.jsonl, so that what is done is kept whenever time ends. The length of the pretraining is chosen once for each size, from the
speed of its first tokens, so that the arms fit into the time: it is the same for all seeds. Without a GPU everything is tiny.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

warnings.simplefilter("ignore")

if TYPE_CHECKING:
    from guided_items import Items, Packed

MARGIN = 12
"""Seconds kept for what is under way at the end."""


@dataclass(frozen=True)
class Budget:
    """Tokens and learning rates of a size."""

    batch: int
    peak: float
    first: int
    """Tokens of the pretraining by which its speed is measured."""
    pretrain: tuple[int, ...]
    """Lengths of the whole pretraining, of which the longest that fits is taken."""
    anneal: int


M = 1_000_000
BUDGETS = {
    # Peaks are ours: evidence.py trains nano at 2e-3 in batches of 1,024 tokens, Ettin its 17M at 3e-3 in far larger ones.
    "nano": Budget(32_768, 4e-3, 4 * M, (50 * M, 36 * M, 24 * M, 16 * M, 8 * M), 6 * M),
    "micro": Budget(32_768, 2e-3, 4 * M, (30 * M, 24 * M, 18 * M, 12 * M, 8 * M), 6 * M),
}
TINY = {name: Budget(1024, budget.peak, 8_192, (32_768, 16_384), 8_192) for name, budget in BUDGETS.items()}
ARMS_TO_FIT = 7
"""Arms, and the pretrained model, for which time is kept."""
OVERHEAD = 6.0
"""Seconds of an arm beside its steps, before any is measured: preparing the phase, the checkpoint, predicting the items."""


def recipe(size: str, seed: int, arm: dict[str, Any], budget: Budget, pretrain: int) -> Any:
    """Pretraining on general text, then an arm."""
    from guided_ablation import masking_of

    from rexplug.plugins.discovery import load_plugins
    from rexplug.recipe import Recipe

    shared = {
        "context": 1024, "batch_tokens": budget.batch, "microbatch_tokens": budget.batch, "optimizer": {"use": "stable_adamw"},
    }  # fmt: skip
    return Recipe.model_validate(
        {
            "name": "guided",
            "seed": seed,
            "sources": {name: {"use": "jsonl", "paths": "none.jsonl"} for name in ("general", "retail")},
            "tokenizer": {"use": "train"},
            "model": {"size": size},
            "phases": [
                {**shared, "name": "pretrain", "tokens": pretrain,
                 "learning_rate": {"peak": budget.peak, "schedule": "wsd", "warmup": budget.first // 4, "decay": 0},
                 "mixing": {"use": "annealing.constant", "shares": {"general": 1.0}},
                 "masking": {"use": "random", "rate": 0.3}},
                {**shared, "name": "anneal", "tokens": budget.anneal,
                 "learning_rate": {"peak": budget.peak / 2, "schedule": "one_minus_sqrt", "final": 0.04},
                 "mixing": arm["mixing"], "masking": masking_of(arm)},
            ],
        },
        context={"components": load_plugins()},
    )  # fmt: skip


def append(path: Path, **values: Any) -> None:
    """Append a line; several processes write to the same file."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(values) + "\n")
        file.flush()


class Worker:
    """A process: one size and seed."""

    def __init__(self, packed: Path, work: Path, out: Path, size: str, seed: int, deadline: float) -> None:
        from common import TINY as IS_TINY
        from guided_items import Packed

        self.work, self.out, self.size, self.seed, self.deadline = work, out, size, seed, deadline
        self.budget = (TINY if IS_TINY else BUDGETS)[size]
        self.packed: Packed = Packed.read(packed, lambda name: name.count(".") == 3)
        self.folder = work / f"{size}-{seed}"

    def left(self) -> float:
        """Seconds until the end."""
        return self.deadline - MARGIN - time.time()

    def stores(self) -> dict[str, Any]:
        """The token stores of the sources."""
        from rexplug.tokens.store import TokenStore

        return {name: TokenStore.open(self.work / "stores" / name) for name in self.packed.about["sources"]}

    def train(self, name: str, plan: Any, phase: Any, start: Path) -> tuple[Path, dict[str, Any]]:
        """Train a phase; returns its last checkpoint and what the engine says of it."""
        from rexplug.batches import BatchStream
        from rexplug.engine import train_phase
        from rexplug.progress import Silent
        from rexplug.run_directory import RunDirectory
        from rexplug.tokens.special import SpecialTokens

        sources = [source for source in plan.sources if source in phase.mixing.weights(0.0)]
        stores = self.stores()
        run = RunDirectory(self.folder / name)
        stream = BatchStream(
            {source: stores[source] for source in sources}, special=SpecialTokens.read(self.packed.tokenizer),
            context=phase.context, row_tokens=phase.row_tokens, batch_tokens=phase.batch_tokens_at,
            total_tokens=phase.tokens, min_tokens=phase.min_tokens, mixing=phase.mixing, masking=phase.masking,
            seed=plan.seed_of_training, phase=phase.name,
        )  # fmt: skip
        outcome = train_phase(recipe=plan, phase=phase, stream=stream, start=start, run=run, progress=Silent())
        return run.checkpoints / phase.name / "final", outcome

    def run(self) -> None:
        """Pretrain, wait for the length that suits all seeds, and train the arms."""
        from guided_ablation import ARMS, BASELINE

        from rexplug.engine import initial_checkpoint
        from rexplug.run_directory import RunDirectory
        from rexplug.tokens.special import SpecialTokens

        budget = self.budget
        plan = recipe(self.size, self.seed, ARMS[BASELINE], budget, budget.first)
        root = RunDirectory(self.folder / "pretrain")
        made = initial_checkpoint(plan, SpecialTokens.read(self.packed.tokenizer), root)
        begun = time.time()
        checkpoint, outcome = self.train("pretrain", plan, plan.phases[0], root.checkpoints / "initial")
        speed = self.speed("pretrain")
        self.say("first", made=made, to_first_step=time.time() - begun - outcome["seconds"], speed=speed,
                 backend=outcome["backend"], compiled=outcome["compiled"], precision=outcome["precision"])  # fmt: skip
        file = self.work / f"speed-{self.size}-{self.seed}"
        file.write_text(str(speed))
        file.rename(file.with_suffix(".txt"))
        length = self.chosen_length()
        if length > budget.first:
            plan = recipe(self.size, self.seed, ARMS[BASELINE], budget, length)
            checkpoint, outcome = self.train("pretrain", plan, plan.phases[0], root.checkpoints / "initial")
        self.record("pretrained", checkpoint, outcome, 0.0)
        spent = 0.0
        for name, arm in ARMS.items():
            if self.left() < spent:
                self.say("no time", arm=name)
                continue
            begun = time.time()
            try:
                plan = recipe(self.size, self.seed, arm, budget, length)
                path, outcome = self.train(name, plan, plan.phases[1], checkpoint)
                self.record(name, path, outcome, time.time() - begun)
            except Exception as error:  # an arm that fails does not end the others
                self.say("failed", arm=name, error=f"{type(error).__name__}: {error}")
            shutil.rmtree(self.folder / name, ignore_errors=True)
            spent = time.time() - begun

    def speed(self, name: str) -> float:
        """Tokens a second in the second half of the steps so far."""
        lines = [json.loads(line) for line in (self.folder / name / "metrics.jsonl").read_text().splitlines()]
        rates = sorted(line["tokens_per_second"] for line in lines[len(lines) // 2 :])
        return float(rates[len(rates) // 2])

    def chosen_length(self) -> int:
        """The length of the pretraining, once the parent has chosen it."""
        path = self.work / f"length-{self.size}"
        while not path.exists():
            if self.left() < 0:
                return self.budget.first
            time.sleep(0.1)
        return int(path.read_text())

    def say(self, event: str, **values: Any) -> None:
        append(
            self.out / "guided.jsonl", event=event, size=self.size, seed=self.seed, left=round(self.left(), 1), **values
        )

    def record(self, arm: str, checkpoint: Path, outcome: dict[str, Any], wall: float) -> None:
        """Predict all items with a checkpoint and write a line with what was right."""
        begun = time.time()
        bits = predict(checkpoint, self.packed)
        self.say(
            "arm", arm=arm, tokens=outcome["tokens"], steps=outcome["steps"], loss=outcome["loss"],
            accuracy=outcome["accuracy"], epochs=outcome["epochs"], speed=self.speed_of(arm), wall=round(wall, 2),
            evaluation=round(time.time() - begun, 2), bits=bits,
        )  # fmt: skip

    def speed_of(self, arm: str) -> float:
        return self.speed("pretrain" if arm == "pretrained" else arm)


def predict(checkpoint: Path, packed: Packed) -> dict[str, str]:
    """Set -> whether each masked token is predicted, as bits in base64."""
    import torch
    from common import DEVICE, GPU

    from rexplug.model.attention import choose_backend
    from rexplug.model.build import load_model
    from rexplug.model.packed import use_packed_attention

    backend, _ = choose_backend("auto", DEVICE, "bf16" if GPU else "fp32")
    model = load_model(checkpoint).eval()
    use_packed_attention(model)
    model.to(DEVICE)
    with torch.no_grad(), torch.autocast(DEVICE.type, torch.bfloat16, enabled=GPU):
        return {
            name: base64.b64encode(np.packbits(hits(model, packed.items(name), backend))).decode()
            for name in packed.about["sets"]
        }


def hits(model: Any, items: Items, backend: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether the most probable token at each masked position is the right one, `[positions]`."""
    import torch
    from common import DEVICE, GPU
    from common import TINY as IS_TINY

    from rexplug.model.attention import Packing
    from rexplug.model.packed import forward_packed

    budget = 131_072 if GPU else 8_192
    lengths, counts = items.lengths.astype(np.int64), items.counts.astype(np.int64)
    firsts, places = np.concatenate([[0], np.cumsum(lengths)]), np.concatenate([[0], np.cumsum(counts)])
    parts, row = [np.zeros(0, np.bool_)], 0
    while row < (min(len(lengths), 40) if IS_TINY else len(lengths)):
        last = max(row + 1, int(np.searchsorted(firsts, firsts[row] + budget, side="right")) - 1)
        ids = torch.from_numpy(items.ids[firsts[row] : firsts[last]].astype(np.int64)).to(DEVICE)
        offsets = np.repeat(firsts[row:last] - firsts[row], counts[row:last])
        positions = torch.from_numpy(items.positions[places[row] : places[last]].astype(np.int64) + offsets).to(DEVICE)
        truth = torch.from_numpy(items.truth[places[row] : places[last]].astype(np.int64)).to(DEVICE)
        cu_seqlens = torch.from_numpy((firsts[row : last + 1] - firsts[row]).astype(np.int32)).to(DEVICE)
        hidden = forward_packed(
            model, ids, Packing(cu_seqlens, len(ids), backend, lengths[row:last].tolist()), positions
        )
        best = torch.cat([model.decoder(model.head(piece)).argmax(-1) for piece in hidden.split(32_768)] or [positions])
        parts.append((best == truth).cpu().numpy())
        row = last
    right = np.zeros(len(items.positions), np.bool_)  # what a tiny run leaves out counts as wrong
    done = np.concatenate(parts)
    right[: len(done)] = done
    return right


def choose_lengths(work: Path, running: dict[str, int], deadline: float, budgets: dict[str, Budget]) -> None:
    """Once the speed of all seeds of a size is known: the longest pretraining after which the arms still fit.

    Args:
        work: where the workers write their speeds, and the choice goes.
        running: processes of each size that still run.
        deadline: when all ends.
        budgets: of each size.
    """
    for size, count in running.items():
        path = work / f"length-{size}"
        speeds = [float(file.read_text()) for file in work.glob(f"speed-{size}-*.txt")]
        if path.exists() or not speeds or len(speeds) < count:
            continue
        budget, slowest = budgets[size], min(speeds)
        left = deadline - MARGIN - time.time() - ARMS_TO_FIT * (budget.anneal / slowest + OVERHEAD)
        fitting = [length for length in budget.pretrain if (length - budget.first) / slowest <= left]
        length = fitting[0] if fitting else budget.pretrain[-1]
        temporary = path.with_suffix(".new")
        temporary.write_text(str(length))
        temporary.rename(path)
        print(f"{size}: {slowest:,.0f} tokens/s, pretraining of {length:,} tokens", flush=True)


def lead(options: argparse.Namespace) -> None:
    """Unpack the data, start the workers, choose lengths, and end what is left at the end."""
    from common import TINY as IS_TINY
    from common import result
    from guided_items import Packed

    deadline = time.time() + options.seconds
    work = Path(tempfile.mkdtemp(prefix="guided"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    sizes = options.sizes.split(",")
    # Imports take as long as unpacking: the workers begin with them.
    workers = {
        (size, seed): subprocess.Popen(
            [sys.executable, __file__, str(options.packed), "--out", str(options.out), "--work", str(work), "--worker",
             f"{size}:{seed}:{deadline}"], env=environment,
        )
        for seed in range(options.seeds) for size in sizes
    }  # fmt: skip
    try:
        packed = Packed.read(options.packed)
        packed.write_stores(work / "stores", 0.02 if IS_TINY else 1.0)
        (work / "ready").touch()
        print(f"unpacked after {options.seconds - (deadline - time.time()):.1f} s", flush=True)
        while time.time() < deadline:
            running = {size: sum(w.poll() is None for (of, _), w in workers.items() if of == size) for size in sizes}
            if not any(running.values()):
                break
            choose_lengths(work, running, deadline, TINY if IS_TINY else BUDGETS)
            time.sleep(0.1)
    finally:
        codes = {f"{size}-{seed}": worker.poll() for (size, seed), worker in workers.items()}
        for worker in workers.values():
            if worker.poll() is None:
                worker.kill()
            worker.wait()
        shutil.rmtree(work, ignore_errors=True)
    path = options.out / "guided.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for line in lines:
        if line["event"] != "arm":
            print(line["event"], {name: value for name, value in line.items() if name not in ("event", "bits")})
    for size in sizes:
        done = [line for line in lines if line["event"] == "arm" and line["size"] == size]
        for arm in dict.fromkeys(line["arm"] for line in done):
            of_arm = [line for line in done if line["arm"] == arm]
            result("guided", size=size, arm=arm, seeds=len(of_arm), tokens=of_arm[0]["tokens"],
                   loss=float(np.mean([line["loss"] for line in of_arm])), speed=float(np.median([line["speed"] for line in of_arm])),
                   wall=float(np.median([line["wall"] for line in of_arm])), evaluation=float(np.median([line["evaluation"] for line in of_arm])))  # fmt: skip
    failed = [line for line in lines if line["event"] == "failed"] or [
        code for code in codes.values() if code not in (0, None)
    ]
    print(f"{'FAIL' if failed else 'ok  '} guided: exit codes {codes} (None: ended because time was over)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).parent
    parser.add_argument("packed", type=Path, nargs="?", default=Path(os.environ.get("KIT_PACKED", here / "stores")))
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")))
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("KIT_GUIDED_SECONDS", "235")))
    parser.add_argument("--sizes", default="micro,nano")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is None:
        lead(options)
        return
    size, seed, deadline = options.worker.split(":")
    import torch  # imported while the parent unpacks

    from rexplug.engine.composer_import import import_composer

    import_composer()
    if torch.cuda.is_available():
        torch.zeros(1, device="cuda")
    while not (options.work / "ready").exists():
        time.sleep(0.05)
    Worker(options.packed, options.work, options.out, size, int(seed), float(deadline)).run()


if __name__ == "__main__":
    main()
