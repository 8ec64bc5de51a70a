"""What guided.py trains: tokens, batches and learning rates by size, and the recipe of an arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MARGIN = 12
"""Seconds reserved before the deadline, so that an arm in progress can finish."""


@dataclass(frozen=True)
class Budget:
    """Tokens and learning rates of a size."""

    batch: int
    peak: float
    warmup: int
    first: int
    """Tokens of the pretraining by which its speed is measured."""
    pretrain: tuple[int, ...]
    """Lengths of the whole pretraining, of which the longest that fits is taken."""
    anneal: int


M = 1_000_000
BUDGETS = {
    # Peaks are ours: evidence.py trains nano at 2e-3 in batches of 1,024 tokens, Ettin its 17M at 3e-3 in far larger ones.
    "nano": Budget(32_768, 4e-3, M, 4 * M, (50 * M, 36 * M, 24 * M, 16 * M, 8 * M), 6 * M),
    "micro": Budget(32_768, 2e-3, M, 4 * M, (30 * M, 24 * M, 18 * M, 12 * M, 8 * M), 6 * M),
}
TINY = {name: Budget(1024, budget.peak, 2_048, 8_192, (32_768, 16_384), 8_192) for name, budget in BUDGETS.items()}
SMALL = {"nano": Budget(1024, 2e-3, 120_000, 2_400_000, (2_400_000,), 1_200_000)}
ROWS_OF_GENERAL = 600
"""Rows of each set of general items that are predicted on a CPU."""
ARMS_TO_FIT = 7
"""Arms, and the pretrained model, for which time is kept."""
OVERHEAD = 6.0
"""Seconds of an arm beside its steps, before any is measured: preparing the phase, the checkpoint, predicting the items."""


def budgets(small: bool, tiny: bool) -> dict[str, Budget]:
    """The budgets of each size: of `--small`, of a tiny run, or of a GPU."""
    return SMALL if small else TINY if tiny else BUDGETS


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
                 "learning_rate": {"peak": budget.peak, "schedule": "wsd", "warmup": budget.warmup, "decay": 0},
                 "mixing": {"use": "annealing.constant", "shares": {"general": 1.0}},
                 "masking": {"use": "random", "rate": 0.3}},
                {**shared, "name": "anneal", "tokens": budget.anneal,
                 "learning_rate": {"peak": budget.peak / 2, "schedule": "one_minus_sqrt", "final": 0.04},
                 "mixing": arm["mixing"], "masking": masking_of(arm)},
            ],
        },
        context={"components": load_plugins()},
    )  # fmt: skip
