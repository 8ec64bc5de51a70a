"""Runs through the real engine: made documents, a recipe, phases that may be stopped by SIGTERM and resumed, and what they wrote."""

from __future__ import annotations

import json
import os
import signal
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from common import TINY, result
from made_stream import Nothing, One, store_tokens

from rexplug.batches import BatchStream
from rexplug.batches.policies import RandomMasking
from rexplug.engine import initial_checkpoint, train_phase
from rexplug.errors import RunInterrupted
from rexplug.progress import Silent
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore

SIZE, VOCABULARY = ("nano", 512) if TINY else ("micro", 50_368)
ROW = 1024 if TINY else 65_536
BATCH = 4 * ROW
LONG = 512 if TINY else 8192


def write_tokenizer(folder: Path, vocabulary: int = VOCABULARY) -> Path:
    """A tokenizer of the right size, with [CLS] 1, [SEP] 2, [PAD] 3, [MASK] 4: it is not trained, since ids are drawn."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    words = {word: i for i, word in enumerate([*special, *(f"w{i}" for i in range(5, vocabulary))])}
    made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens(special)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=made,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    return folder


def write_documents(folder: Path, total: int) -> TokenStore:
    """Documents of about `total` tokens, in arithmetic sequences that a model can learn; some of them fill `LONG`."""
    draw = np.random.default_rng(0)
    tokens = []
    while total > 0:
        size = int(np.clip(draw.lognormal(np.log(100 if TINY else 600), 0.9), 6, LONG))
        tokens.append(
            (5 + (draw.integers(VOCABULARY - 5) + np.arange(size - 2) * 3) % min(500, VOCABULARY - 5)).astype(np.uint32)
        )
        total -= size
    return store_tokens(folder, tokens, VOCABULARY)


def phase_of(name: str, context: int, tokens: int, **more: Any) -> dict[str, Any]:
    """A phase in rows of `ROW`, four to a step."""
    return {
        "name": name,
        "tokens": tokens,
        "context": context,
        "batch_tokens": BATCH,
        "microbatch_tokens": ROW,
        "mixing": One(),
        "masking": RandomMasking(rate=0.3),
        "checkpoints": {"every_tokens": max(1, tokens // 3)},
        "learning_rate": {"peak": 2e-3, "schedule": "wsd", "warmup": min(BATCH, tokens // 4), "decay": 0},
        **more,
    }


def recipe_of(phases: Sequence[Mapping[str, Any]], *, seed: int = 0, **model: Any) -> Recipe:
    """A recipe of such phases; `model` are options of its model."""
    return Recipe.model_validate(
        {
            "name": "kit",
            "seed": seed,
            "sources": {"made": Nothing()},
            "tokenizer": {"use": "train"},
            "model": {"size": SIZE, **model},
            "phases": [dict(phase) for phase in phases],
        }
    )


class Watch(Silent):
    """Stops the run after so many steps, and prints what the engine notes."""

    def __init__(self, stop: int | None = None) -> None:
        self.left = stop

    def note(self, text: str) -> None:
        print("    ", text.strip())

    def update(self, done: float, **metrics: float | str) -> None:
        if metrics and self.left is not None:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGTERM)


def stream_of(phase: Phase, stores: Mapping[str, TokenStore], special: SpecialTokens, seed: int) -> BatchStream:
    """The batches of a phase, from the stores of the sources that its mixture has."""
    return BatchStream(
        {source: store for source, store in stores.items() if source in phase.mixing.weights(0.0)},
        special=special, context=phase.context, row_tokens=phase.row_tokens, batch_tokens=phase.batch_tokens_at,
        total_tokens=phase.tokens, min_tokens=phase.min_tokens, mixing=phase.mixing, masking=phase.masking, seed=seed,
        phase=phase.name,
    )  # fmt: skip


@dataclass(frozen=True)
class Finished:
    """A run that ended."""

    run: RunDirectory
    outcomes: list[dict[str, Any]]
    """What each phase returned."""
    seconds: list[float]
    """How long each phase took, with its preparation."""

    def lines(self, phase: str | None = None) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, of one phase or of all."""
        lines = [json.loads(line) for line in self.run.metrics.read_text().splitlines()]
        return [line for line in lines if phase in (None, line["phase"])]

    def weights(self, phase: str) -> dict[str, torch.Tensor]:
        """The weights at the end of a phase."""
        from safetensors.torch import load_file

        return load_file(self.run.checkpoints / phase / "final" / "model.safetensors")


def median_of(lines: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """The median of a metric over the second half of the steps, without the last one, which is a part of a batch."""
    late = [line[key] for line in lines[len(lines) // 2 :][:-1] or lines[-1:] if line.get(key) is not None]
    return statistics.median(late) if late else None


def train(
    folder: Path,
    plan: Recipe,
    store: TokenStore,
    special: SpecialTokens,
    stop: Mapping[str, int] = MappingProxyType({}),
    *,
    quiet: bool = False,
    stream_seed: int = 1,
    progress: Watch | None = None,
) -> Finished:
    """Train the phases of a recipe; a phase named in `stop` is stopped after so many steps and resumed.

    `quiet`: print no line of results; `progress`: receives every step, for runs that are not stopped.
    """
    run = RunDirectory(folder)
    before = run.checkpoints / "initial"
    initial_checkpoint(plan, special, run)
    outcomes, walls = [], []
    for phase in plan.phases:
        began = time.perf_counter()
        for attempt in range(2):
            try:
                outcome = train_phase(
                    recipe=plan,
                    phase=phase,
                    stream=stream_of(phase, {"made": store}, special, stream_seed),
                    start=before,
                    run=run,
                    progress=progress or Watch(stop.get(phase.name) if attempt == 0 else None),
                )
            except RunInterrupted as reason:
                print("    ", reason)
                continue
            break
        outcomes.append(outcome)
        walls.append(time.perf_counter() - began)
        before = run.checkpoints / phase.name / "final"
    finished = Finished(run, outcomes, walls)
    if not quiet:
        report(folder.name, finished)
    return finished


def report(name: str, finished: Finished, step: str = "train", **more: Any) -> None:
    """A line for each phase: losses, speed and share of the peak by the median step, memory, time to the first step."""
    for outcome, wall in zip(finished.outcomes, finished.seconds, strict=True):
        phase = Path(outcome["checkpoint"]).parent.name
        lines = finished.lines(phase)
        result(
            step,
            run=name,
            phase=phase,
            steps=outcome["steps"],
            row=outcome["microbatch_tokens"],
            first_loss=lines[0]["loss"],
            last_loss=lines[-1]["loss"],
            tokens_s=median_of(lines, "tokens_per_second"),
            mfu=median_of(lines, "mfu"),
            memory_gib=lines[-1]["memory_gib"],
            wall=wall,
            to_first_step=wall - outcome["seconds"] + lines[0]["seconds"],
            backend=outcome["backend"],
            precision=outcome["precision"],
            compiled=outcome["compiled"],
            deterministic=outcome["deterministic"],
            **more,
        )


@dataclass(frozen=True)
class Difference:
    """How two runs differ."""

    losses: float
    weights: float
    same_bits: bool
    """Whether all losses and all weights are the same to the last bit."""

    @classmethod
    def between(cls, one: Finished, other: Finished) -> Difference:
        """Compare the losses of all steps and the last weights of two runs of one recipe."""
        first, second = ([line["loss"] for line in run.lines()] for run in (one, other))
        assert len(first) == len(second), (len(first), len(second))
        last = Path(one.outcomes[-1]["checkpoint"]).parent.name
        a, b = one.weights(last), other.weights(last)
        return cls(
            max(abs(x - y) for x, y in zip(first, second, strict=True)),
            max(float((a[name] - b[name]).abs().max()) for name in a),
            first == second and all(torch.equal(a[name], b[name]) for name in a),
        )
