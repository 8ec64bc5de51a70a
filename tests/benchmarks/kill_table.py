"""kill -9 at many points of a three-phase run; the outcome is compared with that of an undisturbed run.

    OMP_NUM_THREADS=1 python tests/benchmarks/kill_table.py [--kills 20] [--seed 0]

The undisturbed run comes first. From its steps, checkpoints and evaluations the moments are drawn at which the other run
is killed, before that starts: three in five anywhere within a step, the others while a checkpoint is written, while the
evaluators run, and while a phase ends. The training thread signals that the moment begins, and another thread sends SIGKILL
during it; the next process resumes. At the end weights, optimizer moments, positions, metrics and evaluations of both are
compared, bit by bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from outcomes import print_outcomes

ENGINE_TESTS = Path(__file__).parents[1] / "engine"
NAMES = ("pretrain", "extend", "anneal")
SAVE_EVERY, EVALUATE_EVERY = 700, 1500
USUAL = "usual.json"
"""How long each moment takes in an undisturbed run, in seconds."""
MOMENTS = {"step": 0.6, "save": 0.2, "evaluate": 0.1, "end": 0.1}
"""What the process is doing when it is killed, and the share of the kills, in the order within a step."""


@dataclass(frozen=True)
class Point:
    """A moment to be killed at: in `step` of `phase`, which begins (or ends, but for `step`) after `tokens`."""

    phase: str
    step: int
    moment: str
    tokens: int
    part: float

    @property
    def order(self) -> tuple[int, int, int, float]:
        return NAMES.index(self.phase), self.step, list(MOMENTS).index(self.moment), self.part


def phases(c: Any, tokens: int) -> list[dict[str, Any]]:
    often = {"tokens": tokens, "checkpoints": {"every_tokens": SAVE_EVERY}, "evaluate_every": EVALUATE_EVERY}
    return [
        c.phase("pretrain", **often),
        c.phase("extend", **often, context=128, rope={"global_theta": 160000}),
        c.phase("anneal", **often, average=2, learning_rate={"peak": 5e-3, "schedule": "one_minus_sqrt"}),
    ]


class Watch:
    """Follows the run and kills it at a point; in an undisturbed run it measures how long the moments take.

    The training thread signals that a moment begins; another thread then waits for its share of the moment's usual
    length and kills the process, so that the kill occurs anywhere within the moment.
    """

    def __init__(self, point: Point | None, usual: dict[str, float]) -> None:
        self.point, self.usual = point, usual
        self.phase, self.done = "", 0.0
        self.began: dict[str, float] = {}
        self.seconds: dict[str, list[float]] = {moment: [] for moment in MOMENTS}
        self.reached = threading.Event()
        if point is not None:
            threading.Thread(target=self._kill, daemon=True).start()
        sys.addaudithook(self._hear)

    def start(self, task: str, total: float | None = None, unit: str = "") -> None:
        if task in NAMES:
            # A phase reports its start, sets itself up, and reports its start again before its first step.
            again, self.phase, self.done = task == self.phase, task, 0.0
            if again:
                self.begins("step")

    def update(self, done: float, **metrics: float | str) -> None:
        self.ends("step")
        self.done = done
        self.begins("step")

    def note(self, text: str) -> None:
        pass

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Saving begins where a temporary folder is made inside the phase's own and ends where it gets its name."""
        if event not in ("os.mkdir", "os.rename"):
            return
        folder = Path(os.fsdecode(arguments[0]))
        if folder.name.startswith(".tmp-") and folder.parent.name == self.phase:
            moment = "end" if folder.name.endswith("-final") else "save"
            if event == "os.mkdir":
                self.begins(moment)
            else:
                self.ends(moment)

    def begins(self, moment: str) -> None:
        self.began[moment] = time.monotonic()
        point = self.point
        if point is not None and (self.phase, moment) == (point.phase, point.moment) and self.done >= point.tokens:
            self.reached.set()

    def ends(self, moment: str) -> None:
        if moment in self.began:
            self.seconds[moment].append(time.monotonic() - self.began.pop(moment))

    def _kill(self) -> None:
        assert self.point is not None
        self.reached.wait()
        time.sleep(self.point.part * self.usual[self.point.moment])
        os.kill(os.getpid(), signal.SIGKILL)


def child(root: Path, tokens: int, point: Point | None) -> None:
    """Train what is not trained yet; the process may be killed."""
    sys.path.insert(0, str(ENGINE_TESTS))
    import conftest as c
    import torch
    from transformers import AutoModelForMaskedLM

    from rexplug.engine import initial_checkpoint, train_phase
    from rexplug.io.atomic import write_json

    bench = c.Bench(root, phases(c, tokens))
    usual = json.loads((root.parent / USUAL).read_text()) if point else {}
    recipe, watch, start = bench.recipe, Watch(point, usual), root / "checkpoints" / "initial"
    bench.stream(NAMES[0])
    if not start.exists():
        initial_checkpoint(recipe, c.SPECIAL, bench.run)
    for phase in recipe.phases:

        def evaluate(folder: Path, seen: int, name: str = phase.name) -> None:
            watch.begins("evaluate")
            logits = AutoModelForMaskedLM.from_pretrained(folder)(torch.arange(5, 60)[None]).logits
            write_json(root / "evaluation" / f"{name}-{seen}.json", logits.detach().flatten().tolist())
            watch.ends("evaluate")

        final = root / "checkpoints" / phase.name / "final"
        if not final.exists():
            train_phase(
                recipe=recipe, phase=phase, stream=bench.stream(phase.name), start=start, run=bench.run,
                progress=watch, evaluate=evaluate,
            )  # fmt: skip
        start = final
    if point is None and not (root.parent / USUAL).exists():
        usual = {moment: statistics.median(seconds) for moment, seconds in watch.seconds.items()}
        write_json(root.parent / USUAL, usual)


def run(root: Path, tokens: int, point: Point | None) -> int:
    arguments = json.dumps({"root": str(root), "tokens": tokens, "point": asdict(point) if point else None})
    done = subprocess.run([sys.executable, __file__, "--child", arguments], capture_output=True, check=False)
    if done.returncode not in (0, -9):
        sys.exit(done.stderr.decode())
    return done.returncode


def lines_of(root: Path) -> list[dict[str, Any]]:
    if not (root / "metrics.jsonl").exists():
        return []
    lines = (root / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines if line.endswith("}")]


def draw_points(calm: Path, kills: int, length: int, draw: random.Random) -> list[Point]:
    """The moments of a whole run, drawn without replacement, in the order in which they come.

    A phase of `length` tokens reports at most that many, even where its last batch exceeds them.
    """
    candidates: dict[str, list[Point]] = {moment: [] for moment in MOMENTS}
    before = dict.fromkeys(NAMES, 0)
    last = {line["phase"]: line["step"] for line in lines_of(calm)}
    for line in lines_of(calm):
        name, tokens = line["phase"], line["tokens"]
        moments = {"step": before[name]}
        if tokens // SAVE_EVERY > before[name] // SAVE_EVERY:
            moments["save"] = tokens
        if tokens // EVALUATE_EVERY > before[name] // EVALUATE_EVERY:
            moments["evaluate"] = tokens
        if line["step"] == last[name]:
            moments["end"] = tokens
        for moment, at in moments.items():
            candidates[moment].append(Point(name, line["step"], moment, min(at, length), draw.random()))
        before[name] = tokens
    chosen: list[Point] = []
    for moment in ("end", "evaluate", "save"):
        chosen += draw.sample(candidates[moment], min(len(candidates[moment]), round(kills * MOMENTS[moment])))
    chosen += draw.sample(candidates["step"], kills - len(chosen))
    return sorted(chosen, key=lambda point: point.order)


def outcome(root: Path) -> dict[str, str]:
    """Hashes of everything that a run writes and that does not depend on time."""
    import torch

    hashes: dict[str, str] = {}
    for name in NAMES:
        final = root / "checkpoints" / name / "final"
        state = json.loads((final / "state.json").read_text())
        del state["seconds"]
        optimizer = torch.load(final / "optimizer.pt", weights_only=True)
        moments = b"".join(
            value.numpy().tobytes()
            for _, entry in sorted(optimizer["state"].items())
            for value in entry.values()
            if isinstance(value, torch.Tensor)
        )
        parts = {
            "weights": (final / "model.safetensors").read_bytes(),
            "moments": moments,
            "position": json.dumps(state).encode(),
            "lineage": (final.parent / "positions.log").read_bytes(),
        }
        hashes |= {f"{name} {key}": hashlib.sha256(value).hexdigest()[:12] for key, value in parts.items()}
    metrics = [
        [line[key] for key in ("phase", "step", "tokens", "loss", "accuracy", "gradient_norm", "shares")]
        for line in lines_of(root)
    ]
    evaluations = {path.name: path.read_text() for path in sorted((root / "evaluation").glob("*.json"))}
    hashes["metrics"] = hashlib.sha256(json.dumps(metrics).encode()).hexdigest()[:12]
    hashes[f"{len(evaluations)} evaluations"] = hashlib.sha256(json.dumps(evaluations).encode()).hexdigest()[:12]
    return hashes


def standing(root: Path) -> str:
    """What a killed process left: its last line of metrics, its newest checkpoint, and any incomplete checkpoint."""
    lines = lines_of(root)
    where = f"{lines[-1]['phase']} {lines[-1]['step']}" if lines else "no line"
    folders = [path for path in (root / "checkpoints").glob("*/*") if path.is_dir() and not path.name.startswith(".")]
    newest = max(folders, key=lambda path: path.stat().st_mtime, default=None)
    saved = f"{newest.parent.name}/{newest.name.replace('step-', '').lstrip('0')}" if newest else "none"
    half = len([*(root / "checkpoints").rglob(".tmp-*"), *(root / "checkpoints").rglob(".old-*")])
    return f"{where:14}{saved:16}{'half a checkpoint' if half else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=5000, help="tokens of each of the three phases")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        settings = json.loads(options.child)
        point = Point(**settings["point"]) if settings["point"] else None
        child(Path(settings["root"]), settings["tokens"], point)
        return
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        calm, harried = Path(folder) / "calm", Path(folder) / "harried"
        assert run(calm, options.tokens, None) == 0
        points = draw_points(calm, options.kills, options.tokens, draw)
        print(f"{len(lines_of(calm))} steps, {len(points)} kills")
        print(f"{'killed in':24}{'last line':14}{'last checkpoint':16}")
        for point in points:
            if run(harried, options.tokens, point) == 0:
                sys.exit(f"the run was over before {point}")
            print(f"{point.phase:9} {point.step:3} {point.moment:10}{standing(harried)}", flush=True)
        assert run(harried, options.tokens, None) == 0
        same = print_outcomes(outcome(harried), outcome(calm))
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
