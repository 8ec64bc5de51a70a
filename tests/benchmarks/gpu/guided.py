"""The arms of guided_ablation.py, trained by the real engine: a process for each size and seed, all on one GPU.

    python guided.py PACKED [--out FOLDER] [--seconds 235] [--sizes micro,nano] [--seeds 5]       a GPU machine, minutes
    python guided.py PACKED --small [--processes 1] [--out FOLDER]                                  a CPU, 35 minutes a seed and core

PACKED is the folder that `guided_ablation.py corpus` wrote; in the kit it is $KIT_PACKED or stores/ beside this file. Each process
pretrains a model and continues it once for each arm, in the order of ARMS; after each it predicts all masked items and appends a
line to guided.jsonl, so that what is done is kept whenever time ends. The length of the pretraining is chosen once for each size, from the
speed of its first tokens, so that the arms fit into the time: it is the same for all seeds. `--small` is evidence.py's own size: nano,
2.4M and 1.2M tokens in batches of 1,024, a part of the general items, one seed after another. Otherwise everything is tiny without a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from guided_budgets import ARMS_TO_FIT, MARGIN, OVERHEAD, Budget, budgets

warnings.simplefilter("ignore")


def choose_lengths(work: Path, running: dict[str, int], deadline: float, of_size: dict[str, Budget]) -> None:
    """Once the speed of all seeds of a size is known: the longest pretraining after which the arms still fit.

    Args:
        work: where the workers write their speeds, and the choice goes.
        running: processes of each size that still run.
        deadline: time at which all workers are killed.
        of_size: tokens of each size.
    """
    for size, count in running.items():
        path = work / f"length-{size}"
        speeds = [float(file.read_text()) for file in work.glob(f"speed-{size}-*.txt")]
        if path.exists() or not speeds or len(speeds) < count:
            continue
        budget, slowest = of_size[size], min(speeds)
        left = deadline - MARGIN - time.time() - ARMS_TO_FIT * (budget.anneal / slowest + OVERHEAD)
        fitting = [length for length in budget.pretrain if (length - budget.first) / slowest <= left]
        length = fitting[0] if fitting else budget.pretrain[-1]
        temporary = path.with_suffix(".new")
        temporary.write_text(str(length))
        temporary.rename(path)
        print(f"{size}: {slowest:,.0f} tokens/s, pretraining of {length:,} tokens", flush=True)


def lead(options: argparse.Namespace) -> None:
    """Unpack the data, start the workers, choose lengths, kill the workers that still run at the deadline, and print results."""
    deadline = time.time() + options.seconds
    work = Path(tempfile.mkdtemp(prefix="guided"))
    options.out.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    sizes = ["nano"] if options.small else options.sizes.split(",")
    waiting = [(size, seed) for seed in range(options.seeds) for size in sizes]
    workers: dict[tuple[str, int], subprocess.Popen[bytes]] = {}

    def start_workers() -> None:
        running = sum(worker.poll() is None for worker in workers.values())
        while waiting and running < (options.processes or len(waiting) + running):
            size, seed = waiting.pop(0)
            command = [sys.executable, __file__, str(options.packed), "--out", str(options.out), "--work", str(work)]
            command += ["--worker", f"{size}:{seed}:{deadline}", *(["--small"] if options.small else [])]
            workers[size, seed] = subprocess.Popen(command, env=environment)
            running += 1

    try:
        start_workers()  # their imports take as long as ours and unpacking
        from common import TINY as IS_TINY
        from common import result
        from guided_items import Packed

        packed = Packed.read(options.packed, lambda name: name.count(".") == 1)
        packed.write_stores(work / "stores", 0.02 if IS_TINY and not options.small else 1.0)
        (work / "ready").touch()
        print(f"unpacked after {options.seconds - (deadline - time.time()):.1f} s", flush=True)
        while time.time() < deadline:
            start_workers()
            running = {size: sum(w.poll() is None for (of, _), w in workers.items() if of == size) for size in sizes}
            if not any(running.values()):
                break
            choose_lengths(work, running, deadline, budgets(options.small, IS_TINY))
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
            medians = {
                name: float(np.median([line[name] for line in of_arm])) for name in ("speed", "wall", "evaluation")
            }
            result(
                "guided", size=size, arm=arm, seeds=len(of_arm), tokens=of_arm[0]["tokens"],
                loss=float(np.mean([line["loss"] for line in of_arm])), **medians,
            )  # fmt: skip
    failed = [line for line in lines if line["event"] == "failed"] or [
        code for code in codes.values() if code not in (0, None)
    ]
    print(f"{'FAIL' if failed else 'ok  '} guided: exit codes {codes} (None: ended because time was over)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).parent
    parser.add_argument("packed", type=Path, nargs="?", default=Path(os.environ.get("KIT_PACKED", here / "stores")))
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")))
    parser.add_argument("--seconds", type=float, help="235, or a day with --small")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--processes", type=int, help="at a time; all if left out, one with --small")
    parser.add_argument("--sizes", default="micro,nano")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is None:
        options.seconds = options.seconds or (
            86_400.0 if options.small else float(os.environ.get("KIT_GUIDED_SECONDS", "235"))
        )
        options.processes = options.processes or (1 if options.small else None)
        lead(options)
        return
    size, seed, deadline = options.worker.split(":")
    import torch

    from rexplug.engine.composer_import import import_composer

    import_composer()
    from guided_worker import Worker

    if torch.cuda.is_available():
        torch.zeros(1, device="cuda")
    while not (options.work / "ready").exists():
        time.sleep(0.05)
    Worker(options.packed, options.work, options.out, size, int(seed), float(deadline), options.small).run()


if __name__ == "__main__":
    main()
