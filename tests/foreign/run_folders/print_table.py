"""Prints a table of all damages and commands: exit code and message.

From the root of the repository:

    PYTHONPATH=tests python -m foreign.run_folders.print_table [FOLDER [COMMAND ...]]

FOLDER keeps the run for the next time; without it the folder is temporary.

The tests give each damaged folder the commands that read what is damaged, and in their slow part all that concern it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

from foreign.run_folders.damages import DAMAGES
from foreign.run_folders.readers import COMMANDS, answers
from foreign.run_folders.small_run import build


def main(folder: Path, commands: tuple[str, ...]) -> None:
    """Print the table."""
    began = time.monotonic()
    recipe = folder / "recipe.yaml" if (folder / "recipe.yaml").exists() else build(folder)
    faults: dict[str, list[str]] = {}
    for number, name in enumerate(DAMAGES):
        where = folder / f"case-{number}"
        where.mkdir()
        for command, answer, run in answers(recipe, where, name, commands):
            fault = answer.fault(run)
            if fault:
                faults.setdefault(name, []).append(f"{command}: {fault}")
            shown = " ".join(answer.message.split())[:200] if answer.code else ""
            print(f"{'FAULT' if fault else 'ok':<6}{name:<36}{command:<18}{answer.code}  {fault or shown}", flush=True)  # noqa: T201
        shutil.rmtree(where)
    print(f"{len(faults)} of {len(DAMAGES)} folders with a fault; {time.monotonic() - began:.0f} s")  # noqa: T201


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path([*sys.argv[1:], temporary][0]).resolve(), tuple(sys.argv[2:]) or tuple(COMMANDS))
