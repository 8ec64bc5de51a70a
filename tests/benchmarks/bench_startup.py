"""How long commands take to start: `python tests/benchmarks/bench_startup.py [ROUNDS]`.

Commands alternate, so that other work on the machine slows all of them equally; a bare import of pydantic, yaml and pluggy shows how
fast the machine is at that moment. Prints the median and the fastest of each, as wall time and as CPU time.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "import pydantic, yaml, pluggy": ["-c", "import pydantic, yaml, pluggy"],
    "import numpy": ["-c", "import numpy"],
    "import rexplug": ["-c", "import rexplug"],
    "rexplug --help": ["-m", "rexplug", "--help"],
    "rexplug check recipes/ecommerce.yaml": ["-m", "rexplug", "check", "recipes/ecommerce.yaml"],
    "rexplug show recipes/ecommerce.yaml": ["-m", "rexplug", "show", "recipes/ecommerce.yaml"],
    "rexplug plugins": ["-m", "rexplug", "plugins"],
    "rexplug plan recipes/ecommerce.yaml": ["-m", "rexplug", "plan", "recipes/ecommerce.yaml"],
}


def seconds_of(arguments: list[str]) -> tuple[float, float]:
    """Wall time and CPU time of Python with these arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    )  # fmt: skip
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print a table in Markdown."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for arguments in COMMANDS.values():
        seconds_of(arguments)  # compiles modules and fills the disk's cache
    for _ in range(rounds):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds_of(arguments))
    print("| command | median | fastest | CPU, median |\n| --- | --- | --- | --- |")
    for name, measured in times.items():
        walls, cpu = zip(*measured, strict=True)
        print(f"| `{name}` | {median(walls):.2f} s | {min(walls):.2f} s | {median(cpu):.2f} s |")


if __name__ == "__main__":
    main()
