"""kill -9 of `rexplug run` in every kind of stage; the outcome is compared with that of an undisturbed run.

    OMP_NUM_THREADS=1 python tests/benchmarks/kill_command.py [--seed 0] [--stages curate train.anneal export]

A smaller demo recipe. One kill per stage, at a moment drawn from the time that the stage takes undisturbed;
the same command then resumes. At the end corpus, tokens, weights, evaluations and exported model are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from outcomes import print_outcomes

ROOT = Path(__file__).parents[2]
STAGES = (
    "relevance", "curate", "tokenize", "train.initial", "train.pretrain", "train.extend", "train.anneal",
    "evaluate.anneal", "export", "report",
)  # fmt: skip
SMALL = (
    "sources.web.pages=1200", "sources.retail.pages=1200", "phases.pretrain.tokens=60k",
    "phases.pretrain.learning_rate.warmup=5k", "phases.extend.tokens=60k", "phases.anneal.tokens=60k",
    "phases.pretrain.checkpoints={every_tokens: 10k}", "phases.extend.checkpoints={every_tokens: 16k}",
    "phases.anneal.checkpoints={every_tokens: 10k}", "evaluators=[masked_recovery]", "baselines=[]",
)  # fmt: skip


def start(root: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", "from rexplug.cli import main; main()", "run", "recipes/ecommerce.yaml", *SMALL]
    arguments += ["--run-dir", str(root), "--quiet"]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate()
    if process.returncode != 0:
        sys.exit(f"exit code {process.returncode}: {errors}")


def stage_of(root: Path, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((root / "run.json").read_text())["stages"].get(name, {})
    except FileNotFoundError:
        return {}
    return found


def kill_in(root: Path, stage: str, after: float) -> float | None:
    """Start the command and kill it some seconds into a stage; returns the seconds, None if the stage ended before."""
    process = start(root)
    while stage_of(root, stage).get("status") != "running":
        if process.poll() is not None:
            finish(process)
            return None
        time.sleep(0.005)
    time.sleep(after)
    reached = stage_of(root, stage).get("status") == "running"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return after if reached and process.returncode == -signal.SIGKILL else None


def digest(paths: Iterable[Path]) -> str:
    made = hashlib.sha256()
    for path in sorted(paths):
        made.update(path.name.encode() + path.read_bytes())
    return made.hexdigest()[:12]


def outcome(root: Path) -> dict[str, str]:
    """Hashes of what does not depend on time."""
    import pyarrow.parquet as pq

    kept = []
    for path in sorted((root / "corpus").rglob("*.parquet")):
        kept += [str(row) for row in pq.read_table(path).select(["id", "text"]).to_pylist()]
    found = {
        "corpus": hashlib.sha256("\n".join(sorted(kept)).encode()).hexdigest()[:12],
        "tokenizer": digest((root / "tokenizer").glob("tokenizer.json")),
        "tokens": digest((root / "tokens").rglob("*.npy")),
        "exported model": digest((root / "model").glob("*.safetensors")),
    }
    for phase in ("initial", "pretrain", "extend", "anneal"):
        found[f"weights {phase}"] = digest((root / "checkpoints" / phase).rglob("model.safetensors"))
        results = json.loads((root / "evaluation" / phase / "masked_recovery.json").read_text())["metrics"]
        found[f"evaluation {phase}"] = hashlib.sha256(json.dumps(results).encode()).hexdigest()[:12]
    lines = [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]
    metrics = [[line["phase"], line["step"], line["tokens"], line["loss"], line["shares"]] for line in lines]
    return found | {"metrics": hashlib.sha256(json.dumps(metrics).encode()).hexdigest()[:12]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stages", nargs="+", default=STAGES, choices=STAGES)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        calm, harried = Path(folder) / "calm", Path(folder) / "harried"
        finish(start(calm))
        moments = {name: draw.uniform(0, 0.9) * stage_of(calm, name)["seconds"] for name in options.stages}
        done = 0
        for name in sorted(options.stages, key=STAGES.index):
            seconds = kill_in(harried, name, moments[name])
            done += seconds is not None
            of = stage_of(calm, name)["seconds"]
            what = f"after {seconds:.2f} of {of:.2f} s" if seconds is not None else "was over before it could be killed"
            left = ", ".join(sorted({path.name.split("-")[0] for path in harried.rglob(".tmp-*")})) or "nothing"
            print(f"{name:18}{what:34}half-written: {left}", flush=True)
        finish(start(harried))
        print(f"\n{done} kills")
        same = print_outcomes(outcome(harried), outcome(calm))
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
