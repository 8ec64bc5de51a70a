"""Training with products in bf16 on a CPU: near fp32, with fp32 weights, the same bits after a resume."""

import pytest
import torch
from engine.helpers import AtStep, Crash, assert_same_outcome, crash, lines_of, outcome
from safetensors.torch import load_file

from rexplug.errors import DataError
from rexplug.model.cpu.instructions import bf16_instructions

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
needs_bf16 = pytest.mark.skipif(not bf16_instructions(), reason="needs a CPU with AVX512-BF16 or AMX")


@needs_bf16
@pytest.mark.slow
def test_losses_are_near_fp32_and_weights_are_fp32(bench_at, tmp_path):
    progress = AtStep()
    in_fp32, in_bf16 = bench_at(tmp_path / "fp32"), bench_at(tmp_path / "bf16", precision="bf16")
    in_fp32.train("first")
    result = in_bf16.train("first", progress)
    assert (result["device"], result["precision"], result["instructions"]) == ("cpu", "bf16", bf16_instructions())
    assert any(f"cpu, bf16 ({bf16_instructions()})" in note for note in progress.notes)
    pairs = list(zip(lines_of(in_fp32), lines_of(in_bf16), strict=True))
    assert any(fp32["loss"] != bf16["loss"] for fp32, bf16 in pairs)
    assert all(bf16["loss"] == pytest.approx(fp32["loss"], abs=0.02) for fp32, bf16 in pairs)
    final = in_bf16.run.checkpoints / "first" / "final"
    assert {tensor.dtype for tensor in load_file(final / "model.safetensors").values()} == {torch.float32}
    state = torch.load(final / "optimizer.pt", weights_only=True)["state"]
    moments = [
        value for of_weight in state.values() for value in of_weight.values() if value is not None and value.ndim
    ]
    assert {value.dtype for value in moments} == {torch.float32}


@needs_bf16
@pytest.mark.slow
def test_a_crashed_run_resumes_to_the_same_bits(bench_at, tmp_path):
    undisturbed, training = bench_at(tmp_path / "whole", precision="bf16"), bench_at(tmp_path / "run", precision="bf16")
    undisturbed.train("first")
    with pytest.raises(Crash):
        training.train("first", AtStep(4, crash))
    training.train("first")
    assert_same_outcome(outcome(training), outcome(undisturbed))


@needs_bf16
@pytest.mark.slow
def test_with_a_residual_stream_in_bf16(bench_at, tmp_path):
    coarse = bench_at(tmp_path / "coarse", precision="bf16", residual="bf16")
    fine = bench_at(tmp_path / "fine", precision="bf16")
    coarse.train("first")
    fine.train("first")
    pairs = list(zip(lines_of(fine), lines_of(coarse), strict=True))
    assert pairs[0][0]["loss"] != pairs[0][1]["loss"]
    assert all(b["loss"] == pytest.approx(a["loss"], abs=0.05) for a, b in pairs)


def test_without_the_instructions_it_is_refused(monkeypatch, bench):
    monkeypatch.setattr("rexplug.model.precision.bf16_instructions", lambda: "")
    with pytest.raises(DataError) as error:
        bench(precision="bf16").train("first")
    assert str(error.value) == (
        "model.precision: bf16 needs a GPU or a CPU with AVX512-BF16 or AMX; without them it is slower than fp32; 'auto' takes "
        "what this machine has"
    )


def test_tf32_is_refused(bench):
    with pytest.raises(DataError) as error:
        bench(precision="tf32").train("first")
    assert str(error.value) == "model.precision: tf32 needs a GPU; 'auto' takes what this machine has"
