"""Ablation of the residual stream in bf16: the same seeds, data and masks with `model.residual` fp32 and bf16, through the engine.

A process for each seed, all on one GPU at the same time, trains both arms; odd seeds begin with bf16. Printed are, for each seed,
the mean training loss of the last tenth of the steps (documents are not repeated if the store has enough of them), and the mean paired
difference with its 95 % interval.

    KIT_STORE=FOLDER          a packed corpus (about.json.xz, tokenizer/), or a token store runs/NAME/tokens/SOURCE; made documents
                              without it
    KIT_RESIDUAL_TOKENS=24e6  KIT_RESIDUAL_SEEDS=3  KIT_RESIDUAL_SIZE=micro
"""

from __future__ import annotations

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
import numpy as np
from common import TINY, part, result
from engine_runs import SIZE, median_of, phase_of, recipe_of, train, write_documents, write_tokenizer
from guided_items import Packed

from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore

TOKENS = int(float(os.environ.get("KIT_RESIDUAL_TOKENS", "12288" if TINY else "24e6")))
SEEDS = int(os.environ.get("KIT_RESIDUAL_SEEDS", "2" if TINY else "3"))
MODEL = os.environ.get("KIT_RESIDUAL_SIZE", SIZE)
CONTEXT, BATCH = (256, 2048) if TINY else (1024, 65_536)
ARMS = ("fp32", "bf16")
STUDENT = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""97.5 % quantile of Student's t for so many differences."""


def prepare(root: Path) -> None:
    """Write the token store and the tokenizer that all processes read."""
    store, tokenizer = root / "documents", root / "tokenizer"
    given = Path(os.environ.get("KIT_STORE") or Path(__file__).parent / "stores")
    if (given / "about.json.xz").is_file():
        packed = Packed.read(given, lambda name: name.count(".") == 1)
        source = packed.about["sources"][0]
        lengths = packed.lengths(source)
        count = min(len(lengths), int(np.searchsorted(np.cumsum(lengths), 1.05 * TOKENS)) + 1)
        packed.write_store(source, store, count)
        shutil.copytree(packed.tokenizer, tokenizer)
        text = f"packed corpus {given.name}"
    elif os.environ.get("KIT_STORE"):
        shutil.copytree(given, store, symlinks=True)
        shutil.copytree(given.parent.parent / "tokenizer", tokenizer)
        text = str(given)
    else:
        write_documents(store, int(1.05 * TOKENS))
        write_tokenizer(tokenizer)
        text = "made"
    print("     text:", text)


def worker(root: Path, seed: int) -> None:
    """Train both arms of a seed; a line of JSON for each."""
    special, store = SpecialTokens.read(root / "tokenizer"), TokenStore.open(root / "documents")
    for arm in ARMS if seed % 2 == 0 else reversed(ARMS):
        phase = phase_of(
            "only", CONTEXT, TOKENS, batch_tokens=BATCH, microbatch_tokens=BATCH, checkpoints={"every_minutes": 999},
            learning_rate={"peak": 2e-3, "schedule": "wsd", "warmup": TOKENS // 10, "decay": TOKENS // 5},
        )  # fmt: skip
        finished = train(
            root / f"{seed}-{arm}", recipe_of([phase], seed=seed, size=MODEL, residual=arm), store, special,
            quiet=True, stream_seed=seed,
        )  # fmt: skip
        lines = finished.lines()[:-1]  # the last step may be a part of a batch
        late = lines[-max(1, len(lines) // 10) :]
        found = {
            "seed": seed,
            "arm": arm,
            "steps": len(lines),
            "loss": statistics.fmean(line["loss"] for line in late),
            "accuracy": statistics.fmean(line["accuracy"] for line in late),
            "tokens_s": median_of(lines, "tokens_per_second"),
            "memory_gib": lines[-1]["memory_gib"],
            "precision": finished.outcomes[0]["precision"],
            "epochs": finished.outcomes[0]["epochs"]["made"],
        }
        (root / f"{seed}-{arm}.json").write_text(json.dumps(found))


def main(root: Path) -> None:
    with part("text"):
        prepare(root)
    processes = [
        subprocess.Popen([sys.executable, __file__, "--worker", str(root), str(seed)]) for seed in range(SEEDS)
    ]
    losses: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for seed, process in enumerate(processes):
        with part(f"seed {seed}"):
            assert process.wait() == 0, f"exit code {process.returncode}"
            for arm in ARMS:
                found = json.loads((root / f"{seed}-{arm}.json").read_text())
                losses[arm].append(found["loss"])
                result("residual", size=MODEL, tokens=TOKENS, processes=SEEDS, **found)
    with part("difference"):
        differences = [b - a for a, b in zip(losses["fp32"], losses["bf16"], strict=True)]
        mean, count = statistics.fmean(differences), len(differences)
        half = STUDENT[count] * statistics.stdev(differences) / math.sqrt(count)
        result(
            "residual difference", size=MODEL, seeds=count, fp32=statistics.fmean(losses["fp32"]),
            bf16=statistics.fmean(losses["bf16"]), bf16_minus_fp32=mean, low=mean - half, high=mean + half,
        )  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        folder = Path(tempfile.mkdtemp())
        try:
            main(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
