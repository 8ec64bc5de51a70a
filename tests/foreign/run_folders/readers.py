"""The commands that read a run, which of them concern a damage, and their answers to a damaged run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from foreign.run_folders.command_line import Answer, call
from foreign.run_folders.damages import damaged
from foreign.run_folders.small_run import document_id

COMMANDS: dict[str, tuple[str, ...]] = {
    "verify": ("verify", "RUN"),
    "report": ("report", "RUN"),
    "compare": ("compare", "RUN", "RUN@anneal"),
    "export": ("export", "RUN", "--to", "OUT"),
    "export beside": ("export", "RUN"),
    "lineage step": ("lineage", "RUN", "--step", "1"),
    "lineage document": ("lineage", "RUN", "--document", "ID"),
    "corpus show": ("corpus", "show", "RUN", "--examples"),
    "corpus why": ("corpus", "why", "RUN", "ID"),
    "tokens show": ("tokens", "show", "RUN", "--verify"),
    "evaluate": ("evaluate", "RUN", "--recipe", "RECIPE", "--run-dir", "RUN", "--out", "OUT/results"),
    "run": ("run", "RECIPE", "--run-dir", "RUN", "--quiet"),
}
"""Command lines by name; the words in capitals stand for the run, its recipe, a folder for output, and the id of a document."""
QUICK = ("verify", "compare", "lineage document", "corpus show", "corpus why", "tokens show")
"""Commands that take less than a second."""
READERS = {
    "nothing": QUICK,
    "run.json not": ("verify", "report"),
    "run.json without": ("verify", "report"),
    "run.json trained": ("verify", "report"),
    "run.json": ("verify", "corpus show", "compare"),
    "recipe.yaml of": ("verify", "report"),
    "recipe.yaml": ("verify", "lineage document"),
    "metrics": ("verify", "report"),
    "plan": ("verify", "report"),
    "statistics": ("verify", "corpus show"),
    "kept": ("verify", "corpus why"),
    "held out": ("verify", "corpus why"),
    "dropped": ("verify", "corpus why"),
    "corpus": ("verify", "corpus show", "corpus why"),
    "tokenizer": ("verify", "tokens show", "export"),
    "store.json": ("verify", "tokens show", "lineage document"),
    "tokens": ("verify", "tokens show", "lineage document"),
    "ids": ("verify", "lineage document"),
    "documents": ("verify", "lineage document"),
    "positions": ("verify", "lineage document"),
    "weights": ("verify", "export"),
    "checkpoint": ("verify", "export"),
    "result": ("verify", "compare"),
    "scores": ("verify", "compare"),
    "scorer": ("verify", "report"),
    "exports": ("verify", "export beside"),
    "evaluation": ("verify", "compare"),
    "run ": QUICK,
}
"""Beginnings of damages, and the commands that read what is damaged and take less than a second; `verify` for the others."""
SLOW = {
    "report": ("nothing", "run.json", "recipe.yaml", "metrics", "statistics", "plan", "result", "scores", "run a"),
    "export": ("tokenizer", "weights", "checkpoint", "final", "corpus gone", "stopped, weights"),
    "export beside": ("exports",),
    "evaluate": ("model", "corpus gone", "tokenizer gone"),
    "run": (
        "run.json", "corpus a", "store.json {}", "tokens gone", "stopped", "run ", "plan", "scorer", "lock", "initial", "state",
    ),
}  # fmt: skip
"""Commands that take longer, and the beginnings of the damages that concern them."""


def readers(name: str) -> tuple[str, ...]:
    """The quick commands that read what is damaged."""
    return next((commands for start, commands in READERS.items() if name.startswith(start)), ("verify",))


def others(name: str) -> tuple[str, ...]:
    """The other commands that concern a damage; `run` comes last, since it repairs."""
    slow = (command for command, starts in SLOW.items() if name.startswith(starts))
    return tuple(command for command in (*QUICK, *slow) if command not in readers(name))


def run_command(run: Path, recipe: Path, command: str) -> Answer:
    """Run a command on a run directory."""
    out = run.parent / "out"
    names = {"RUN": str(run), "RECIPE": str(recipe), "OUT": str(out), "ID": document_id(recipe)}
    arguments = []
    for argument in COMMANDS[command]:
        for name, text in names.items():
            if argument == name or argument.startswith((f"{name}/", f"{name}@")):
                argument = text + argument.removeprefix(name)
                break
        arguments.append(argument)
    return call(*arguments)


def answers(recipe: Path, where: Path, name: str, commands: tuple[str, ...]) -> Iterator[tuple[str, Answer, Path]]:
    """The answer of each command to a damaged run; `run` comes last, since it repairs."""
    run = damaged(recipe.parent / "run", where, name)
    for command in commands:
        yield command, run_command(run, recipe, command), run
