"""The host reads from the device once in a step: every read waits for all that a GPU was given to do."""

import sys
from collections import Counter
from pathlib import Path

import torch
from engine.helpers import AtStep
from torch.overrides import TorchFunctionMode

READS = {
    getattr(torch.Tensor, name)
    for name in (
        "item", "tolist", "cpu", "numpy", "nonzero", "__bool__", "__int__", "__float__", "__index__", "__contains__",
    )
}  # fmt: skip
CPU_ONLY = ("engine/optimizers/", "model/cpu/")
"""Optimizers read step counts, which are on the host on every device; the rest of their reads, and the attention of a CPU, are not
those of a GPU."""


class Reads(TorchFunctionMode):
    """Counts reads of a tensor's values by the file that makes them."""

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_function__(self, function, types, arguments=(), options=None):
        if function in READS:
            frame = sys._getframe(1)
            while "/torch/" in frame.f_code.co_filename:
                frame = frame.f_back
            path = Path(frame.f_code.co_filename)
            self.found["/".join(path.parts[-3:])] += 1
        return function(*arguments, **(options or {}))


def test_a_step_reads_from_the_device_once(bench, phase):
    made = bench(phases=[phase("first", tokens=3000)])
    reads = Reads()
    watch = AtStep()
    first, last = 3, 8
    steps = 0

    def update(done, **metrics):
        nonlocal steps
        if metrics:
            steps += 1
            if steps == first:
                reads.__enter__()
            if steps == last:
                reads.__exit__(None, None, None)

    watch.update = update
    made.train("first", watch)
    assert steps > last
    found = {name: count for name, count in reads.found.items() if not any(part in name for part in CPU_ONLY)}
    assert found == {"rexplug/engine/callbacks.py": last - first}
    assert len(found) < len(reads.found), "reads of the optimizer were seen, so that others would be"
