"""kill -9 at random points of a three-phase run, again and again, and what comes out beside an undisturbed run.

    OMP_NUM_THREADS=1 python tests/benchmarks/kill_table.py [--kills 20] [--seed 0]

One run is killed `--kills` times: a thread of the training process waits for a random step and then for a random part
of a step, and kills the process wherever it is: computing, saving, writing figures. The next process goes on. At the
end weights, moments, positions and figures are compared with those of a run that nobody disturbed, bit by bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ENGINE_TESTS = Path(__file__).parents[1] / "engine"
CHILD = """
import os, random, signal, sys, threading, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest as c
root, seed, last = Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
draw = random.Random(seed)
after, part, seen = draw.randrange(0, 5), draw.random(), []
def killer():
    while len(seen) <= after: time.sleep(0.0005)
    time.sleep(part * (seen[-1] - seen[-2] if len(seen) > 1 else 0.02))
    os.kill(os.getpid(), signal.SIGKILL)
class Watch(c.Silent):
    def update(self, done, **figures):
        if figures: seen.append(time.monotonic())
if seed != "none": threading.Thread(target=killer, daemon=True).start()
phases = [
    c.phase("pretrain", tokens=last, checkpoints={"every_tokens": 700}),
    c.phase("extend", tokens=last, context=128, rope={"global_theta": 160000}, checkpoints={"every_tokens": 700}),
    c.phase("anneal", tokens=last, checkpoints={"every_tokens": 700}, average=2,
            learning_rate={"peak": 5e-3, "schedule": "one_minus_sqrt"}),
]
bench = c.Bench(root, phases)
for each in phases:
    if not (root / "checkpoints" / each["name"] / "final").exists(): bench.train(each["name"], Watch())
"""


def child(root: Path, seed: str, tokens: int) -> int:
    arguments = [sys.executable, "-c", CHILD, str(ENGINE_TESTS), str(root), seed, str(tokens)]
    done = subprocess.run(arguments, capture_output=True, check=False)
    if done.returncode not in (0, -9):
        sys.exit(done.stderr.decode())
    return done.returncode


def where(root: Path) -> str:
    lines = [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines() if line.endswith("}")]
    return f"{lines[-1]['phase']} {lines[-1]['step']}" if lines else "start"


def outcome(root: Path) -> dict[str, str]:
    """Hashes of everything that a run leaves and that a clock does not touch."""
    import torch

    found = {}
    for final in sorted((root / "checkpoints").glob("*/final")):
        name = final.parent.name
        state = json.loads((final / "state.json").read_text())
        del state["seconds"]
        optimizer = torch.load(final / "optimizer.pt", weights_only=True)
        moments = b"".join(
            value.numpy().tobytes()
            for _, each in sorted(optimizer["state"].items())
            for value in each.values()
            if isinstance(value, torch.Tensor)
        )
        parts = {
            "weights": (final / "model.safetensors").read_bytes(),
            "moments": moments,
            "position": json.dumps(state).encode(),
        }
        found |= {f"{name} {key}": hashlib.sha256(value).hexdigest()[:12] for key, value in parts.items()}
    lines = [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]
    figures = [
        [each["phase"], each["step"], each["tokens"], each["loss"], each["accuracy"], each["shares"]] for each in lines
    ]
    return found | {"figures": hashlib.sha256(json.dumps(figures).encode()).hexdigest()[:12]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=2300, help="tokens of each of the three phases")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        calm, harried = Path(folder) / "calm", Path(folder) / "harried"
        child(calm, "none", options.tokens)
        points = []
        for _ in range(options.kills):
            if child(harried, str(draw.random()), options.tokens) == 0:
                break
            points.append(where(harried) if (harried / "metrics.jsonl").exists() else "start")
        while child(harried, "none", options.tokens) != 0:
            pass
        print(f"{len(points)} kills, last line of metrics.jsonl at each: {', '.join(points)}")
        ours, wanted = outcome(harried), outcome(calm)
        print(f"{'':22}{'undisturbed':14}{'killed':14}")
        for key in wanted:
            same = "same" if ours.get(key) == wanted[key] else "DIFFERENT"
            print(f"{key:22}{wanted[key]:14}{ours.get(key, 'missing'):14}{same}")
    sys.exit(0 if ours == wanted else 1)


if __name__ == "__main__":
    main()
