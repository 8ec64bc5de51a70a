"""The loss guard: a batch that is skipped leaves weights, moments and the optimizer's count of steps unchanged."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rexplug.errors import DataError
from rexplug.progress import Silent
from rexplug.run_directory import read_metrics
from rexplug.tokens.store import close_store, write_shard

HERE = str(Path(__file__).parent)
EVERY_STEP = {"every_tokens": 1, "keep": 50, "keep_best": 50}


class Fault(Silent):
    """Makes the gradients of one step NaN, while its loss stays a number, as an overflow in one layer does."""

    def __init__(self, step: int) -> None:
        self.step, self.done, self.notes = step, 0, []

    def update(self, done: float, **metrics: float) -> None:
        self.done += bool(metrics)

    def note(self, text: str) -> None:
        self.notes.append(text.strip())

    @contextmanager
    def injected(self) -> Iterator[None]:
        def listen(module: Any, arguments: Any, output: Any) -> None:
            if self.done == self.step - 1 and isinstance(output, torch.Tensor) and output.requires_grad:
                output.register_hook(lambda gradient: gradient * math.nan)

        handle = torch.nn.modules.module.register_module_forward_hook(listen)
        try:
            yield
        finally:
            handle.remove()


def left_by(folder: Path) -> dict[str, Any]:
    """Weights to the bit, moments, and how many steps the optimizer counted."""
    optimizer = torch.load(folder / "optimizer.pt", weights_only=True)
    return {
        "weights": (folder / "model.safetensors").read_bytes(),
        "moments": [value for _, entry in sorted(optimizer["state"].items()) for value in entry.values()],
        "counts": [int(group["step"]) for group in optimizer["param_groups"]],
    }


def same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    moments = zip(one["moments"], two["moments"], strict=True)
    return (one["weights"], one["counts"]) == (two["weights"], two["counts"]) and all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a is b for a, b in moments
    )


def lines_of(training: Any) -> list[dict[str, Any]]:
    return list(read_metrics(training.run.metrics))


def assert_only_step_3_was_skipped(training: Any) -> None:
    lines = lines_of(training)
    assert [line["step"] for line in lines if line.get("skipped")] == [3]
    assert lines[2]["gradient_norm"] is None, "JSON has no NaN"
    assert all(math.isfinite(line["loss"]) and line["learning_rate"] > 0 for line in lines)
    folder = training.run.checkpoints / "first"
    after = [left_by(folder / f"step-{step:09d}") for step in range(2, len(lines))]
    assert same(after[0], after[1]), "no weight, no moment and no count moved in step 3"
    assert [line["counts"] for line in after[:3]] == [[2, 2], [2, 2], [3, 3]]
    assert not same(after[1], after[2])


@pytest.mark.slow
def test_a_batch_whose_loss_jumps_stops_the_run_or_is_skipped(bench, phase):
    """A learning rate that is far too high makes the loss jump."""
    wild = {"tokens": 15_000, "learning_rate": {"peak": 1e-3, "schedule": "constant"}}
    training = bench("stop", [phase("first", **wild, loss_guard={"spike": 1.000001})])
    with pytest.raises(
        DataError, match=r"phase 'first', step \d+: the loss jumped to [\d.]+ from about [\d.]+; documents in"
    ):
        training.train("first")
    skip = bench("skip", [phase("first", **wild, loss_guard={"spike": 1.000001, "action": "skip"})])
    progress = Fault(0)
    skip.train("first", progress)
    skipped = [line["step"] for line in lines_of(skip) if line.get("skipped")]
    assert skipped
    assert min(skipped) > 20
    assert sum("No step was taken on it" in note for note in progress.notes) == len(skipped)


def test_a_nan_loss_names_the_step_and_its_documents(bench, phase):
    training = bench(
        phases=[phase("first", learning_rate={"peak": 1, "schedule": "constant"}, optimizer={"use": "adamw"})]
    )
    training.peak = 1e30
    with pytest.raises(DataError) as error:
        training.train("first")
    message = str(error.value)
    assert message.startswith("phase 'first', step 2: the loss is nan; documents in the batch: ")
    assert "web-" in message or "retail-" in message
    assert [line["step"] for line in lines_of(training)] == [1]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["stable_adamw", "adamw"])
def test_a_nan_gradient_is_never_applied(bench, phase, optimizer):
    learning = {"peak": 1e-2, "schedule": "constant"}
    training = bench(
        phases=[
            phase(
                "first", tokens=1400, learning_rate=learning, checkpoints=EVERY_STEP, optimizer={"use": optimizer},
                loss_guard={"action": "skip"},
            )
        ]
    )  # fmt: skip
    fault = Fault(3)
    with fault.injected():
        training.train("first", fault)
    assert_only_step_3_was_skipped(training)
    (warning,) = [line for line in fault.notes if line.startswith("warning")]
    assert warning.startswith("warning: phase 'first', step 3: the gradient is nan; documents in the batch: ")
    assert warning.endswith(". No step was taken on it")


@pytest.mark.slow
def test_stopping_takes_no_step_either(bench, phase):
    training = bench(phases=[phase("first", tokens=1400, checkpoints=EVERY_STEP)])
    fault = Fault(3)
    with fault.injected(), pytest.raises(DataError, match="phase 'first', step 3: the gradient is nan; documents in"):
        training.train("first", fault)
    before = left_by(training.run.checkpoints / "first" / "step-000000002")
    training.train("first")  # without the fault, as if on a sound machine
    calm = bench("calm", [phase("first", tokens=1400, checkpoints=EVERY_STEP)])
    calm.train("first")
    final = [left_by(each.run.checkpoints / "first" / "final") for each in (training, calm)]
    assert before["counts"] == [2, 2]
    assert same(*final)


@pytest.mark.slow
def test_a_loss_that_stays_nan_stops_the_run_after_twenty_batches(bench, phase):
    """A learning rate of 1e30 ruins the weights in the first step, which is taken; the guard sees the next loss."""
    wild = phase(
        "first", tokens=8000, learning_rate={"peak": 1, "schedule": "constant"}, checkpoints=EVERY_STEP,
        optimizer={"use": "adamw"}, loss_guard={"action": "skip"},
    )  # fmt: skip
    training = bench(phases=[wild])
    training.peak = 1e30
    with pytest.raises(DataError) as error:
        training.train("first")
    message = str(error.value)
    assert message.startswith("phase 'first', step 22: the loss is nan; documents in the batch: ")
    assert " The 20 batches before it were skipped too. Checkpoints from before this step are kept; a lower " in message
    assert [line["loss"] for line in lines_of(training)[1:]] == [None] * 20
    folder = training.run.checkpoints / "first"
    first, last = (left_by(folder / f"step-{step:09d}") for step in (1, 21))
    assert same(first, last)
    assert last["counts"] == [1, 1]


def store_documents(training: Any, documents: list[list[int]]) -> None:
    """Token stores in which both sources hold these documents."""
    for source in ("web", "retail"):
        folder = training.root / "tokens" / source
        folder.mkdir(parents=True)
        write_shard(
            folder, 0, tokens=[np.array(document) for document in documents], channels={},
            documents={"id": [f"{source}-{number}" for number in range(len(documents))]}, vocabulary_size=64,
        )  # fmt: skip
        close_store(folder, 1, [], "toy", 64)


TINY = {
    "tokens": 640, "context": 16, "microbatch_tokens": 16, "batch_tokens": 16, "checkpoints": EVERY_STEP,
    "learning_rate": {"peak": 1e-2, "schedule": "constant"},
}  # fmt: skip


@pytest.mark.slow
def test_a_batch_without_a_token_to_mask_is_skipped(bench, phase):
    """Every fourth document is one of unknown tokens only; a row holds one document, and a batch one row."""
    training = bench(phases=[phase("first", **TINY)])
    store_documents(training, [[0] * 14 if number % 4 == 0 else [5 + number] * 14 for number in range(40)])
    notes = Fault(0)
    result = training.train("first", notes)
    lines = lines_of(training)
    empty = [line["step"] for line in lines if not line["masked"]]
    assert 0 < len(empty) < len(lines) == 40 == result["steps"]
    assert [line["step"] for line in lines if line.get("skipped")] == empty
    assert all((line["loss"] is None) == (line["step"] in empty) for line in lines)
    warnings = [line for line in notes.notes if line.startswith("warning")]
    assert len(warnings) == len(empty)
    assert all("no token of the batch can be masked; documents in the batch: " in line for line in warnings)
    folder = training.run.checkpoints / "first"
    assert left_by(folder / "final")["counts"] == [len(lines) - len(empty)] * 2
    before, after = (left_by(folder / f"step-{empty[0] + moved:09d}") for moved in (-1, 0))
    assert same(before, after)


def test_a_phase_without_a_token_to_mask_says_what_to_change(bench, phase):
    training = bench(phases=[phase("first", **TINY)])
    store_documents(training, [[0] * 14] * 40)
    with pytest.raises(DataError) as error:
        training.train("first")
    message = str(error.value)
    assert message.startswith("phase 'first', step 21: no token of the batch can be masked; documents in the batch: ")
    assert message.endswith(
        " The 20 batches before it were skipped too. Checkpoints from before this step are kept; these documents hold nothing "
        "but special tokens: filter them out, or use a tokenizer that knows their script"
    )
    short = bench("short", phases=[phase("first", **{**TINY, "tokens": 100})])
    store_documents(short, [[0] * 14] * 40)
    with pytest.raises(DataError, match="phase 'first' ended without a single step: every batch was skipped"):
        short.train("first")


SCRIPT = (
    "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import conftest as c\n"
    "from test_guard import EVERY_STEP, Fault\n"
    "from rexplug import distributed\n"
    "training = c.Bench(Path(sys.argv[2]), [c.phase('first', **eval(sys.argv[3]))], parallel=sys.argv[4])\n"
    "fault = Fault(3)\n"
    "with fault.injected(): training.train('first', fault)\n"
    "distributed.exit_process(0)\n"
)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["fsdp", "ddp"])
def test_no_rank_applies_a_nan_gradient(bench, phase, tmp_path, monkeypatch, parallel):
    from rexplug import distributed
    from rexplug.engine import initial_checkpoint

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    options = {
        "tokens": 1400, "checkpoints": EVERY_STEP, "loss_guard": {"action": "skip"},
        "learning_rate": {"peak": 1e-2, "schedule": "constant"},
    }  # fmt: skip
    training = bench(phases=[phase("first", **options)], parallel=parallel)
    initial_checkpoint(training.recipe, training.stream("first").special, training.run)
    arguments = [sys.executable, "-c", SCRIPT, HERE, str(training.root), repr(options), parallel]
    assert distributed.launch(2, arguments, training.run.logs) == 0
    assert_only_step_3_was_skipped(training)
