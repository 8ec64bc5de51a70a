"""Helpers of the training tests: a progress that acts at a step, and the outcome of a phase."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from rexplug.run_directory import read_metrics

SAME_ON_ALL_RANKS = ("step", "tokens", "learning_rate", "shares", "masked", "planned")
"""Metrics of a step that do not depend on the number of ranks to the last bit."""
CLOCK = ("tokens_per_second", "flops_per_second", "memory_gib", "seconds", "seconds_left")


class Crash(Exception):
    """An error in place of a crash of the process."""


def crash():
    raise Crash


class AtStep:
    """A progress that keeps notes, and calls `action` at a step counted from its start."""

    def __init__(self, step=0, action=lambda: None):
        self.left, self.action, self.notes = step, action, []

    def start(self, task, total=None, unit=""):
        pass

    def update(self, done, **metrics):
        if metrics:
            self.left -= 1
            if self.left == 0:
                self.action()

    def note(self, text):
        self.notes.append(text.strip())


def lines_of(bench):
    """The lines of metrics.jsonl without times."""
    return [{key: value for key, value in line.items() if key not in CLOCK} for line in read_metrics(bench.run.metrics)]


def lines_of_ranks(bench):
    """What is the same with any number of ranks in each line of metrics.jsonl, and the full lines."""
    lines = list(read_metrics(bench.run.metrics))
    return [{key: line[key] for key in SAME_ON_ALL_RANKS} for line in lines], lines


def outcome(bench, phase="first"):
    """Everything that a phase writes and that does not depend on time."""
    final = bench.run.checkpoints / phase / "final"
    state = json.loads((final / "state.json").read_text())
    del state["seconds"]
    optimizer = torch.load(final / "optimizer.pt", weights_only=True)
    states = [state for _, state in sorted(optimizer["state"].items())]
    return {
        "weights": (final / "model.safetensors").read_bytes(),
        "moments": [value for moments in states for value in moments.values()],
        "first_moments": [moments["exp_avg"] for moments in states],
        "groups": optimizer["param_groups"],
        "state": state,
        "metrics": lines_of(bench),
    }


def assert_same_outcome(one, two):
    for key in ("weights", "state", "metrics"):
        assert one[key] == two[key], key
    assert str(one["groups"]) == str(two["groups"])
    assert len(one["moments"]) == len(two["moments"])
    for a, b in zip(one["moments"], two["moments"], strict=True):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def weights(folder: Path):
    return load_file(folder / "model.safetensors")


def same_weights(one, two):
    return all(torch.equal(one[name], two[name]) for name in two)


def row(number, length=64):
    """A row of two samples of random tokens below 64, a third of them masked."""
    from rexplug.engine.tensor_row import TensorRow

    draw = torch.Generator().manual_seed(number)
    masked = torch.arange(1, length, 3)
    token_ids, labels = (torch.randint(5, 64, (size,), generator=draw) for size in (length, len(masked)))
    ends = torch.tensor([0, length // 3, length], dtype=torch.int32)
    return TensorRow(
        token_ids, ends, masked, labels, torch.zeros(len(masked), dtype=torch.int64), ends.diff().tolist(), length
    )
