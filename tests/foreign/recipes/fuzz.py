"""Runs the commands on any number of changed recipes and prints what went wrong, grouped by cause.

From the root of the repository:

    PYTHONPATH=tests python -m foreign.recipes.fuzz --from 0 --to 4000
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from foreign.recipes.commands import COMMANDS, faults, prepare, run_command
from foreign.recipes.mutants import mutant


def main() -> None:
    """Run seeds and print what went wrong."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--to", dest="stop", type=int, default=1000)
    parser.add_argument("--save", type=Path, help="where to write the recipes that went wrong")
    options = parser.parse_args()
    causes: Counter[str] = Counter()
    examples: dict[str, str] = {}
    codes: Counter[str] = Counter()
    slowest = (0.0, "")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for seed in range(options.first, options.stop):
            changed = mutant(seed)
            for command in COMMANDS:
                answer = run_command(command, changed, folder)
                codes[f"{command} {answer.code}"] += 1
                slowest = max(slowest, (answer.seconds, f"{command} of seed {seed}: {changed.what[:120]}"))
                for fault in faults(command, answer, folder):
                    causes[fault] += 1
                    examples.setdefault(fault, f"{command} of seed {seed}: {changed.what[:160]!r}")
                    if options.save:
                        options.save.mkdir(parents=True, exist_ok=True)
                        (options.save / f"{seed}.yaml").write_bytes(changed.content)
    print(dict(sorted(codes.items())))  # noqa: T201
    print(f"slowest: {slowest[0]:.1f} s, {slowest[1]}")  # noqa: T201
    print(f"{sum(causes.values())} faults of {sum(codes.values())} calls from {len(causes)} causes")  # noqa: T201
    for cause, count in causes.most_common():
        print(f"{count:6} {cause}\n         {examples[cause]}")  # noqa: T201


if __name__ == "__main__":
    main()
