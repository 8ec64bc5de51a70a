"""A process of guided.py: pretrains a model of one size and seed with the real engine, continues it for each arm, predicts the items."""

from __future__ import annotations

import base64
import fcntl
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import DEVICE, GPU
from common import TINY as IS_TINY
from engine_runs import stream_of
from guided_ablation import ARMS, BASELINE, PRETRAINED
from guided_budgets import MARGIN, ROWS_OF_GENERAL, budgets, recipe
from guided_items import Items, Packed

from rexplug.engine import initial_checkpoint, train_phase
from rexplug.model.attention import Packing, choose_backend
from rexplug.model.build import load_model
from rexplug.model.packed import forward_packed, use_packed_attention
from rexplug.progress import Silent
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore


def append(path: Path, **values: Any) -> None:
    """Append a line; several processes write to the same file."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(values) + "\n")
        file.flush()


class Worker:
    """A process: one size and seed."""

    def __init__(self, packed: Path, work: Path, out: Path, size: str, seed: int, deadline: float, small: bool) -> None:
        self.work, self.out, self.size, self.seed, self.deadline = work, out, size, seed, deadline
        self.budget, self.small = budgets(small, IS_TINY)[size], small
        self.packed: Packed = Packed.read(packed, lambda name: name.count(".") == 3)
        self.folder = work / f"{size}-{seed}"

    def left(self) -> float:
        """Seconds until the end."""
        return self.deadline - MARGIN - time.time()

    def train(self, name: str, plan: Recipe, phase: Phase, start: Path) -> tuple[Path, dict[str, Any]]:
        """Train a phase; returns its last checkpoint and the outcome that the engine reports."""
        run = RunDirectory(self.folder / name)
        stores = {source: TokenStore.open(self.work / "stores" / source) for source in plan.sources}
        stream = stream_of(phase, stores, SpecialTokens.read(self.packed.tokenizer), plan.seed_of_training)
        outcome = train_phase(recipe=plan, phase=phase, stream=stream, start=start, run=run, progress=Silent())
        return run.checkpoints / phase.name / "final", outcome

    def run(self) -> None:
        """Pretrain, wait for the length that suits all seeds, and train the arms."""
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
        self.record(PRETRAINED, checkpoint, outcome, wall=0.0, speed=self.speed("pretrain"))
        spent = 0.0
        for name, arm in ARMS.items():
            if self.left() < spent:
                self.say("no time", arm=name)
                continue
            begun = time.time()
            try:
                plan = recipe(self.size, self.seed, arm, budget, length)
                path, outcome = self.train(name, plan, plan.phases[1], checkpoint)
                self.record(name, path, outcome, wall=time.time() - begun, speed=self.speed(name))
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
        if len(self.budget.pretrain) == 1:
            return self.budget.pretrain[0]
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

    def record(self, arm: str, checkpoint: Path, outcome: dict[str, Any], *, wall: float, speed: float) -> None:
        """Predict all items with a checkpoint and write a line with the bits of the correct ones."""
        begun = time.time()
        rows = self.rows()
        bits = predict(checkpoint, self.packed, rows)
        self.say(
            "arm", arm=arm, tokens=outcome["tokens"], steps=outcome["steps"], loss=outcome["loss"],
            accuracy=outcome["accuracy"], epochs=outcome["epochs"], speed=speed, wall=round(wall, 2),
            evaluation=round(time.time() - begun, 2), rows=rows, bits=bits,
        )  # fmt: skip

    def rows(self) -> dict[str, int]:
        """Set -> how many of its rows are predicted: all on a GPU."""
        limits = {}
        for name in self.packed.about["sets"]:
            count = len(self.packed.items(name).lengths)
            if self.small and not GPU:
                limits[name] = min(count, ROWS_OF_GENERAL) if name.startswith("general.") else count
            else:
                limits[name] = count if GPU else min(count, 40)
        return limits


def predict(checkpoint: Path, packed: Packed, rows: dict[str, int]) -> dict[str, str]:
    """Set -> whether each masked token of its first rows is predicted, as bits in base64."""
    backend, _ = choose_backend("auto", DEVICE, "bf16" if GPU else "fp32")
    model = load_model(checkpoint).eval()
    use_packed_attention(model)
    model.to(DEVICE)
    with torch.no_grad(), torch.autocast(DEVICE.type, torch.bfloat16, enabled=GPU):
        return {
            name: base64.b64encode(np.packbits(hits(model, packed.items(name), backend, rows[name])).tobytes()).decode()
            for name in packed.about["sets"]
        }


def hits(model: Any, items: Items, backend: str, num_rows: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether the most probable token at each masked position of the first rows is the right one, `[positions]`."""
    budget = 131_072 if GPU else 8_192
    lengths, counts = items.lengths.astype(np.int64), items.counts.astype(np.int64)
    firsts, places = np.concatenate([[0], np.cumsum(lengths)]), np.concatenate([[0], np.cumsum(counts)])
    parts, row = [np.zeros(0, np.bool_)], 0
    while row < num_rows:
        last = max(row + 1, int(np.searchsorted(firsts, firsts[row] + budget, side="right")) - 1)
        last = min(last, num_rows)
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
    return np.concatenate(parts)
