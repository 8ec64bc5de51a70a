"""The same bits at every run: torch's switch is on while a phase trains, off while evaluators run, and as before afterwards."""

import pytest
import torch
from engine.helpers import AtStep, assert_same_outcome, outcome

from rexplug.engine.determinism import deterministic_algorithms
from rexplug.errors import DataError

GPU = torch.device("cuda")


def switches():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
    )


@pytest.fixture(autouse=True)
def _as_they_were():
    on, warn_only, fill = switches()
    yield
    torch.use_deterministic_algorithms(on, warn_only=warn_only)
    torch.utils.deterministic.fill_uninitialized_memory = fill


@pytest.mark.parametrize("before", [(False, False, True), (True, True, True), (True, False, False)])
@pytest.mark.parametrize("on", [True, False])
def test_the_switch_is_as_before_afterwards(before, on):
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    torch.utils.deterministic.fill_uninitialized_memory = before[2]
    with deterministic_algorithms(on):
        # With `warn_only` torch's own attention would stay as it is.
        assert switches() == (on, False, False)
    assert switches() == before
    with pytest.raises(KeyError), deterministic_algorithms(on):
        raise KeyError
    assert switches() == before, "after an error too"


@pytest.mark.parametrize("on", [False, True])
def test_it_is_on_while_a_phase_trains_and_off_while_evaluators_run(bench, phase, on):
    made = bench(phases=[phase("first", tokens=1500, evaluate_every=500)], deterministic=on)
    seen = {"train": [], "evaluate": []}

    class Watch(AtStep):
        def update(self, done, **metrics):
            seen["train"] += [switches()[0]] if metrics else []

    watch = Watch()
    summary = made.train("first", watch, evaluate=lambda folder, tokens: seen["evaluate"].append(switches()[0]))
    assert len(seen["train"]) > 3
    assert set(seen["train"]) == {on}
    assert seen["evaluate"]
    assert set(seen["evaluate"]) == {False}
    assert switches()[0] is False
    assert summary["deterministic"] is (on or not torch.cuda.is_available())
    said = next(note for note in watch.notes if "attention" in note)
    assert said.endswith(", deterministic") is on


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_cpu_computes_the_same_bits_with_it_and_without(bench):
    ordinary, asked = bench("ordinary"), bench("asked", deterministic=True)
    ordinary.train("first")
    asked.train("first")
    assert_same_outcome(outcome(ordinary), outcome(asked))


def test_another_workspace_of_cublas_is_refused_before_the_gpu_is_used(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
    before = switches()
    with pytest.raises(DataError) as error, deterministic_algorithms(True, GPU):
        pass
    assert str(error.value) == (
        "model.deterministic: the environment has CUBLAS_WORKSPACE_CONFIG=:0:0; deterministic products need :4096:8 or :16:8"
    )
    assert switches() == before


def test_a_process_that_used_cublas_before_is_told_to_set_its_environment(monkeypatch):
    """There need not be a GPU: torch's refusal is the one that it gives there."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch, "ones", lambda *_, device: torch.zeros(1, 1))

    def refuse(*_):
        raise RuntimeError(
            "Deterministic behavior was enabled with either `torch.use_deterministic_algorithms(True)` or "
            "`at::Context::setDeterministicAlgorithms(true)`, but this operation is not deterministic because it uses CuBLAS "
            "and you have CUDA >= 10.2. To enable deterministic behavior in this case, you must set an environment variable "
            "before running your PyTorch application: CUBLAS_WORKSPACE_CONFIG=:4096:8 or CUBLAS_WORKSPACE_CONFIG=:16:8."
        )

    monkeypatch.setattr(torch, "mm", refuse)
    before = switches()
    with pytest.raises(DataError) as error, deterministic_algorithms(True, GPU):
        pass
    assert str(error.value) == (
        "model.deterministic: this process has multiplied matrices on the GPU before; start it with "
        "CUBLAS_WORKSPACE_CONFIG=:4096:8 in the environment"
    )
    assert switches() == before
