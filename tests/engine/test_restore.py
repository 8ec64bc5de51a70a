"""A phase that was crashed, killed or stopped resumes to the same bits, and reports what changed in between."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from engine.helpers import AtStep, Crash, assert_same_outcome, crash, lines_of, outcome

from rexplug.errors import RunInterrupted


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 4, 11])
def test_a_crashed_run_resumes_to_the_same_bits(bench_at, tmp_path, undisturbed, steps):
    training = bench_at(tmp_path / "run")
    with pytest.raises(Crash):
        training.train("first", AtStep(steps, crash))
    progress = AtStep(-1, crash)
    training.train("first", progress)
    assert_same_outcome(outcome(training), undisturbed)
    resumed = [note for note in progress.notes if "resumes after step" in note]
    assert len(resumed) == (0 if steps == 1 else 1)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [2, 7])
def test_a_killed_process_leaves_nothing_that_changes_the_outcome(bench_at, tmp_path, undisturbed, steps):
    """SIGKILL, which Python cannot handle, in a separate process."""
    script = (
        "import os, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import conftest as c\n"
        "class Kill(c.Silent):\n"
        "    left = int(sys.argv[3])\n"
        "    def update(self, done, **metrics):\n"
        "        Kill.left -= 1\n"
        "        if not Kill.left: os.kill(os.getpid(), signal.SIGKILL)\n"
        "c.frequent(Path(sys.argv[2])).train('first', Kill())\n"
    )
    arguments = [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path / "run"), str(steps)]
    done = subprocess.run(arguments, capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    training = bench_at(tmp_path / "run")
    training.train("first")
    assert_same_outcome(outcome(training), undisturbed)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_skipped(bench_at, tmp_path, undisturbed):
    training = bench_at(tmp_path / "run")
    with pytest.raises(Crash):
        training.train("first", AtStep(9, crash))
    folders = sorted((training.run.checkpoints / "first").glob("step-*"))
    assert len(folders) == 2, "keep: 2"
    weights = folders[-1] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    (training.run.checkpoints / "first" / ".tmp-1-step-000000099").mkdir()
    training.train("first")
    assert_same_outcome(outcome(training), undisturbed)


def test_a_finished_phase_is_not_trained_again(bench_at, tmp_path):
    training = bench_at(tmp_path / "run")
    first = training.train("first")
    before = outcome(training)
    assert training.train("first", AtStep(1, crash)) == first
    assert_same_outcome(outcome(training), before)


@pytest.mark.slow
def test_a_lengthened_phase_warns_of_jumps_of_learning_rate_and_mixture(bench, phase):
    from rexplug_annealing import Linear

    mixing = Linear(start={"web": 0.9, "retail": 0.1}, end={"web": 0.1, "retail": 0.9})
    first = phase("first", tokens=1500, mixing=mixing)
    training = bench(phases=[first])
    assert training.train("first")["warnings"] == []
    assert training.train("first")["warnings"] == []
    training.phases = [{**first, "tokens": 3000}]
    tokens = lines_of(training)[-1]["tokens"]
    progress = AtStep(-1, crash)
    warnings = training.train("first", progress)["warnings"]
    rate = 1e-2 * (1 - (tokens - 500) / 2500)
    share = 0.9 - 0.8 * tokens / 3000
    assert warnings == [
        f"phase 'first' resumes after {tokens:,} tokens with a learning rate of {rate:.3g}, but stopped at 0; this undoes what "
        "the decay gained. Add a phase of its own, or resume from a checkpoint before the decay",
        "phase 'first' resumes with another mixture than it stopped with: "
        f"'web' has {share:.1%} of the tokens instead of 10.0%, 'retail' has {1 - share:.1%} of the tokens instead of 90.0%",
    ]
    assert [f"warning: {item}" for item in warnings] == [line for line in progress.notes if line.startswith("warning")]


@pytest.mark.slow
def test_an_unchanged_phase_resumes_without_warnings(bench_at, tmp_path):
    training = bench_at(tmp_path / "run")
    with pytest.raises(RunInterrupted):
        training.train("first", AtStep(7, lambda: signal.raise_signal(signal.SIGTERM)))
    assert training.train("first")["warnings"] == []
