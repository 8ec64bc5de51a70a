"""Kinds of damage to a run's files: functions that return the damage of a given file, or are a damage themselves."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from foreign.run_folders.small_run import STEP

Damage = Callable[[Path, random.Random], None]
"""Damages the run directory it is given, with the generator for what is random."""


def write(name: str, content: str | bytes) -> Damage:
    """Replace the content of a file."""

    def damage(run: Path, draw: random.Random) -> None:
        (run / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return damage


def write_over(name: str, old: str, new: str) -> Damage:
    """Replace a text everywhere in a file."""

    def damage(run: Path, draw: random.Random) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new))

    return damage


def cut(name: str, share: float = 0.5) -> Damage:
    """Truncate a file."""

    def damage(run: Path, draw: random.Random) -> None:
        content = (run / name).read_bytes()
        (run / name).write_bytes(content[: int(len(content) * share)])

    return damage


def flip(name: str) -> Damage:
    """Flip a random bit in the second half of a file."""

    def damage(run: Path, draw: random.Random) -> None:
        content = bytearray((run / name).read_bytes())
        content[draw.randrange(len(content) // 2, len(content))] ^= 1 << draw.randrange(8)
        (run / name).write_bytes(content)

    return damage


def randomize(name: str) -> Damage:
    """Replace a file by as many random bytes."""

    def damage(run: Path, draw: random.Random) -> None:
        (run / name).write_bytes(draw.randbytes((run / name).stat().st_size))

    return damage


def remove(name: str) -> Damage:
    """Remove a file or folder."""

    def damage(run: Path, draw: random.Random) -> None:
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


def replace_by_folder(name: str) -> Damage:
    """Put a folder in place of a file."""

    def damage(run: Path, draw: random.Random) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return damage


def replace_by_file(name: str) -> Damage:
    """Put a file in place of a folder."""

    def damage(run: Path, draw: random.Random) -> None:
        shutil.rmtree(run / name)
        (run / name).write_text("not a folder")

    return damage


def set_value(name: str, path: str, new: object) -> Damage:
    """Set a value of a JSON file; `path` is its keys and places in lists, with slashes between."""

    def damage(run: Path, draw: random.Random) -> None:
        content = json.loads((run / name).read_text())
        place = content
        *parents, last = path.split("/")
        for parent in parents:
            place = place[int(parent) if isinstance(place, list) else parent]
        place[int(last) if isinstance(place, list) else last] = new
        (run / name).write_text(json.dumps(content))

    return damage


def torch_saved(name: str, content: object) -> Damage:
    """Write a file with torch.save that is not an optimizer state."""

    def damage(run: Path, draw: random.Random) -> None:
        import torch

        torch.save(content, run / name)

    return damage


def replace_by_link(name: str, to: str | None = None) -> Damage:
    """Move a folder and link to it; with `to`, remove it and link to that path instead, which is not a folder."""

    def damage(run: Path, draw: random.Random) -> None:
        path = run / name
        if to is None:
            elsewhere = run.parent / f"elsewhere-{path.name}"
            path.rename(elsewhere)
            path.symlink_to(elsewhere)
        else:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            path.symlink_to(to)

    return damage


def other_table(name: str, columns: dict[str, list[object]]) -> Damage:
    """Write a Parquet file with other columns."""

    def damage(run: Path, draw: random.Random) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(columns), run / name)

    return damage


def empty_run(run: Path, draw: random.Random) -> None:
    """Remove everything in the run directory."""
    shutil.rmtree(run)
    run.mkdir()


def swap_ids(run: Path, draw: random.Random) -> None:
    """Swap the ids of two tokens of the tokenizer."""
    path = run / "tokenizer" / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    one, other = draw.sample(sorted(token for token, number in vocabulary.items() if number > 10), 2)
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    path.write_text(json.dumps(content))


def stopped(*more: Damage) -> Damage:
    """Make the phase unfinished, with the checkpoint of a step as its last one, then apply the damages `more`."""

    def damage(run: Path, draw: random.Random) -> None:
        set_value("run.json", "stages/train.anneal/status", "running")(run, draw)
        (run / "checkpoints/anneal/final").rename(run / STEP)
        for extra in more:
            extra(run, draw)

    return damage
