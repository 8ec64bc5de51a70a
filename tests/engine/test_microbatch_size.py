"""Out of memory: the message, and the microbatch that `auto` finds and keeps."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from rexplug.engine import hardware, train_phase
from rexplug.engine.hardware import Hardware
from rexplug.errors import DataError
from rexplug.progress import Silent

PAGE = os.sysconf("SC_PAGE_SIZE")


@contextmanager
def room_for(mebibytes: int) -> Iterator[None]:
    """Limit this process to so much more memory than it has now: allocations beyond that truly fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * PAGE
    resource.setrlimit(resource.RLIMIT_AS, (used + mebibytes * 2**20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class Notes(Silent):
    """Keeps notes, crashes at a step, and lifts the memory limit once rows were chosen.

    (What a trial has freed stays with its thread, where a limit on addresses counts it and other threads cannot have it.)
    """

    def __init__(self, at: int = 0) -> None:
        self.said: list[str] = []
        self.left = at
        self.limits = resource.getrlimit(resource.RLIMIT_AS)

    def note(self, text: str) -> None:
        self.said.append(text.strip())
        if "microbatch_tokens of" in text:
            resource.setrlimit(resource.RLIMIT_AS, self.limits)

    def update(self, done: float, **metrics: float) -> None:
        if metrics:
            self.left -= 1
            if self.left == 0:
                raise KeyError("an error in place of a crash of the process")


WIDE = {"tokens": 24_000, "batch_tokens": 8192, "checkpoints": {"every_tokens": 8000}}


def short_of_memory(root: Path) -> None:
    """Train three phases in a process of its own, whose memory is counted from its first phase on."""
    from conftest import Bench, phase

    from rexplug.engine import initial_checkpoint

    def weights(made: Bench) -> bytes:
        return (made.run.checkpoints / "first" / "final" / "model.safetensors").read_bytes()

    Bench(root / "warm", [phase("first")]).train("first")  # libraries have their workspaces
    said: dict[str, Any] = {}
    auto = Bench(root / "auto", [phase("first", **WIDE, microbatch_tokens="auto")])
    auto.stream("first")
    notes = Notes(at=2)
    try:
        with room_for(200):
            auto.train("first", notes)
    except KeyError:
        said["found"] = notes.said
    again = Notes()
    said["rows"] = auto.train("first", again)["microbatch_tokens"]  # with all memory back
    said["again"] = again.said
    calm = Bench(root / "calm", [phase("first", **WIDE, microbatch_tokens="auto")])
    calm.stream("first")
    rows = calm.run.checkpoints / "first" / "rows.json"
    rows.parent.mkdir(parents=True)
    rows.write_bytes((auto.run.checkpoints / "first" / "rows.json").read_bytes())
    calm.train("first")
    said["same"] = weights(auto) == weights(calm)
    fixed = Bench(root / "fixed", [phase("first", **WIDE, microbatch_tokens=None)])
    stream, initial = fixed.stream("first"), fixed.run.checkpoints / "initial"
    initial_checkpoint(fixed.recipe, stream.special, fixed.run)
    try:
        with room_for(40):
            train_phase(
                recipe=fixed.recipe, phase=fixed.recipe.phases[0], stream=stream, start=initial, run=fixed.run,
                progress=Silent(), tokens_that_fit=lambda room, gpu: 5000,
            )  # fmt: skip
    except DataError as error:
        said["error"] = str(error)
    (root / "said.json").write_text(json.dumps(said))


@pytest.mark.slow
def test_out_of_memory_is_explained_and_auto_finds_what_fits_and_keeps_it(tmp_path):
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import test_microbatch_size\n"
        "test_microbatch_size.short_of_memory(Path(sys.argv[2]))"
    )
    arguments = [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads((tmp_path / "said.json").read_text())
    assert said["error"].startswith("phase 'first' ran out of memory on the CPU (")
    assert " GiB) with microbatch_tokens of 64 (" in said["error"]
    assert said["error"].endswith(
        "; set phases.first.microbatch_tokens to auto, which finds what fits: a CPU takes several rows at a time otherwise"
    )
    assert said["rows"] in (4096, 2048, 1024, 512, 256, 128, 64)
    assert f"first: microbatch_tokens of {said['rows']:,} fit on the CPU" in said["found"]
    assert any("resumes after step" in line for line in said["again"])
    assert not any("microbatch_tokens" in line for line in said["again"])
    assert said["same"]


def test_auto_takes_the_batch_where_memory_is_enough(bench, phase):
    made = bench(phases=[phase("first", tokens=2000, batch_tokens=512, microbatch_tokens="auto")])
    result = made.train("first")
    assert result["microbatch_tokens"] == 512
    lines = [json.loads(line) for line in made.run.metrics.read_text().splitlines()]
    assert len(lines) == result["steps"] >= 4
    fixed = bench("fixed", [phase("first", tokens=2000, batch_tokens=512, microbatch_tokens=512)])
    fixed.train("first")
    weights = [(each.run.checkpoints / "first" / "final" / "model.safetensors").read_bytes() for each in (made, fixed)]
    assert weights[0] == weights[1], "what was found, written into the recipe, makes the same run"


def test_the_row_size_that_auto_chose_is_read_by_every_stream(tokenized_run):
    from rexplug.errors import DataError
    from rexplug.phase_stream import ROWS, phase_stream

    _, recipe, run = tokenized_run
    phase = recipe.phases[0].model_copy(update={"microbatch_tokens": "auto"})
    assert phase_stream(recipe, phase, run).row_tokens == phase.context
    path = run.checkpoints / phase.name / ROWS
    path.parent.mkdir(parents=True)
    try:
        path.write_text(json.dumps({"microbatch_tokens": 2 * phase.context}))
        assert phase_stream(recipe, phase, run).row_tokens == 2 * phase.context
        left_out = phase.model_copy(update={"microbatch_tokens": None})
        assert phase_stream(recipe, left_out, run).row_tokens == 2 * phase.context, "what a GPU chose"
        named = phase.model_copy(update={"microbatch_tokens": 4 * phase.context})
        assert phase_stream(recipe, named, run).row_tokens == 4 * phase.context
        path.write_text("[]")
        with pytest.raises(DataError) as error:
            phase_stream(recipe, phase, run)
        assert str(error.value) == f"{path} holds no microbatch_tokens; do the phase again (--from train.{phase.name})"
    finally:
        path.unlink()
        path.parent.rmdir()


@pytest.mark.parametrize(
    ("size", "batch", "world", "room", "rows"),
    [
        (22 * 768, 2**20, 1, None, 65_536),
        (
            7 * 256,
            2**20,
            1,
            None,
            262_144,
        ),  # the 17M model: a row is so soon done that Python would be what takes the time
        (19 * 512, 2**20, 1, None, 65_536),
        (28 * 1024, 2**20, 1, None, 65_536),
        (22 * 768, 2**20, 1, 40_000, 32_768),
        (22 * 768, 2**20, 1, 500, 8192),  # at least one sample; training reports it if that does not fit
        (22 * 768, 49_152, 1, None, 49_152),
        (7 * 256, 2**20, 8, None, 131_072),
    ],
)
def test_rows_fill_a_gpu_where_the_recipe_names_none(phase, size, batch, world, room, rows):
    from rexplug.engine.microbatch_size import gpu_row_tokens
    from rexplug.recipe.schema import Phase

    given = phase("first", tokens=10**7, context=8192, batch_tokens=batch, microbatch_tokens=None)
    assert gpu_row_tokens(Phase.model_validate(given), size, world, room) == rows


CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")


@pytest.mark.parametrize(
    ("rows", "setting", "fits", "cure"),
    [
        (32_768, 32_768, 20_480, "by the plan 20,480 fit: set phases.first.microbatch_tokens to that or less, or to auto, "),
        (32_768, 32_768, 40_000, "set phases.first.microbatch_tokens to 16,384, or to auto, which finds what fits"),
        (32_768, 32_768, None, "set phases.first.microbatch_tokens to 16,384, or to auto, which finds what fits"),
        (32_768, 32_768, 500, "by the plan a device of that size has room for 500 tokens, which is less than `context` (1,0"),
        (32_768, "auto", 20_480, "do the phase again with what fits now (--from train.first)"),
        (1024, "auto", 20_480, "no row holds less than `context` tokens; take a shorter context, a smaller model or another "),
    ],
)  # fmt: skip
def test_the_cure_is_the_number_that_fits_by_the_plan(phase, monkeypatch, rows, setting, fits, cure):
    from rexplug.engine.microbatch_size import explain_out_of_memory
    from rexplug.recipe.schema import Phase

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA L4")
    monkeypatch.setattr(hardware, "device_memory", lambda device: 24e9)
    given = phase("first", tokens=10**6, context=1024, batch_tokens=65_536, microbatch_tokens=setting)
    gpu = Hardware(torch.device("cuda", 0), "bf16", "flash", "", compiled=False, compile_reason="")
    with (
        pytest.raises(DataError) as error,
        explain_out_of_memory(Phase.model_validate(given), gpu, lambda memory, on_gpu: fits, rows),
    ):
        raise CUDA
    assert str(error.value).startswith(
        f"phase 'first' ran out of memory on the NVIDIA L4 (22.4 GiB) with microbatch_tokens of {rows:,} (CUDA out of memory. "
        f"Tried to allocate 2.00 GiB.); {cure}"
    )


def test_other_errors_are_not_mistaken_for_out_of_memory(phase):
    from rexplug.engine.microbatch_size import explain_out_of_memory
    from rexplug.recipe.schema import Phase

    cpu = Hardware(torch.device("cpu"), "fp32", "blocks", "", compiled=False, compile_reason="")
    with (
        pytest.raises(RuntimeError, match="sizes do not match"),
        explain_out_of_memory(Phase.model_validate(phase("first")), cpu, None, 64),
    ):
        raise RuntimeError("sizes do not match")
