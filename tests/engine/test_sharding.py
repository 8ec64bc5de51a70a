"""DDP and FSDP: the same stream, losses and norms as one process; full checkpoints that resume with any strategy."""

import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from engine.conftest import SPECIAL
from engine.helpers import AtStep, Crash, crash, lines_of_ranks, row
from safetensors.torch import load_file
from torch.distributed.tensor import DTensor

from rexplug import distributed
from rexplug.engine import initial_checkpoint
from rexplug.errors import DataError
from rexplug.optimizers import OPTIMIZERS


def assert_like(training, wanted):
    exact, lines = lines_of_ranks(training)
    assert exact == wanted[0]
    for name in ("loss", "accuracy", "gradient_norm"):
        ours, theirs = ([line[name] for line in each] for each in (lines, wanted[1]))
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5), name


def moments(folder):
    return torch.load(folder / "optimizer.pt", weights_only=True)


@pytest.fixture(autouse=True)
def _threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def sharding():
    """The module, imported after Composer was."""
    from rexplug.engine import sharding

    return sharding


@pytest.fixture(scope="module")
def alone(tmp_path_factory, request):
    training = request.getfixturevalue("bench_at")(tmp_path_factory.mktemp("alone") / "run")
    training.train("first")
    return training, lines_of_ranks(training)


@pytest.mark.slow
def test_two_ranks_with_sharded_weights_train_as_one(launch, bench_at, tmp_path, alone):
    training = bench_at(tmp_path / "run")
    assert launch(training, 2, parallel="fsdp") == 0
    assert_like(training, alone[1])
    ours, theirs = (each.run.checkpoints / "first" / "final" for each in (training, alone[0]))
    weights, wanted = (load_file(each / "model.safetensors") for each in (ours, theirs))
    assert {name: value.shape for name, value in weights.items()} == {n: v.shape for n, v in wanted.items()}
    assert all(torch.allclose(weights[name], wanted[name], atol=1e-4) for name in wanted)
    state, expected = moments(ours), moments(theirs)
    assert str(state["param_groups"]) == str(expected["param_groups"])
    assert state["state"].keys() == expected["state"].keys()
    for number, each in expected["state"].items():
        for name in ("exp_avg", "exp_avg_sq"):
            assert torch.allclose(state["state"][number][name], each[name], atol=1e-5), (number, name)
    assert (ours / "config.json").read_text() == (theirs / "config.json").read_text()


@pytest.mark.slow
def test_a_rank_without_a_row_takes_part(launch, bench_at, tmp_path, alone):
    """Batches of two rows on three ranks; most weights do not divide by three either."""
    training = bench_at(tmp_path / "run")
    assert launch(training, 3, parallel="fsdp") == 0
    assert_like(training, alone[1])


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [("fsdp", "alone"), ("alone", "fsdp"), ("fsdp", "ddp")])
def test_a_killed_run_resumes_with_the_other_strategy(launch, bench_at, tmp_path, alone, before, after):
    """Two ranks, or this process alone."""
    training = bench_at(tmp_path / "run")
    if before == "alone":
        with pytest.raises(Crash):
            training.train("first", AtStep(7, crash))
    else:
        with pytest.raises(DataError, match=r"rank 0 of 2 was ended by SIGKILL"):
            launch(training, 2, steps=7, parallel=before)
    assert list((training.run.checkpoints / "first").glob("step-*"))
    if after == "alone":
        training.train("first")
    else:
        assert launch(training, 2, parallel=after) == 0
    assert_like(training, alone[1])


def test_the_strategy_and_its_reason(sharding, monkeypatch):
    cpu, few, needed = torch.device("cpu"), 10**6, OPTIMIZERS["stable_adamw"].training_bytes
    assert needed == 16, "weight, gradient and two moments in fp32"
    assert sharding.choose_parallel("fsdp", few, cpu, 1) == ("none", "one process")
    assert sharding.choose_parallel("fsdp", few, cpu, 2) == ("fsdp", "the recipe asks for it")
    assert sharding.choose_parallel("ddp", few, cpu, 2) == ("ddp", "the recipe asks for it")
    monkeypatch.setattr(sharding, "device_memory", lambda device: 24 * 2**30)
    assert sharding.choose_parallel("auto", 149_655_232 * needed, cpu, 2) == (
        "ddp", "weights, gradients and moments take 2.2 GiB, at most 25% of the 24.0 GiB that a process has",
    )  # fmt: skip
    monkeypatch.setattr(sharding, "device_memory", lambda device: 16 * 2**30)
    assert sharding.choose_parallel("auto", 395_881_664 * needed, cpu, 8) == (
        "fsdp", "weights, gradients and moments take 5.9 GiB, more than 25% of the 16.0 GiB that a process has",
    )  # fmt: skip


@pytest.mark.parametrize(("size", "parameters"), [("base", 149_655_232), ("large", 395_881_664)])
def test_each_of_eight_ranks_holds_an_eighth_of_every_weight_of_the_large_sizes(sharding, size, parameters):
    """Without weights and without other ranks: shapes only."""
    from torch.testing._internal.distributed.fake_pg import FakeStore
    from transformers import ModernBertForMaskedLM

    from rexplug.engine.composer_model import PackedMaskedLM
    from rexplug.model.build import build_config
    from rexplug.tokens.special import SpecialTokens

    special = SpecialTokens(cls=1, sep=2, pad=3, mask=4, vocabulary_size=50_368, all=frozenset(range(5)))
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=8)
    try:
        with torch.device("meta"):
            model = ModernBertForMaskedLM(build_config(size, special, 8192))
        whole = {name: value.shape for name, value in model.named_parameters()}
        assert sum(shape.numel() for shape in whole.values()) == parameters
        wrapped = PackedMaskedLM(model, 2, "blocks")
        sharding.shard(wrapped, torch.device("cpu"), torch.bfloat16)
        held = 0
        for name, value in model.named_parameters():
            assert isinstance(value, DTensor), name
            assert value.shape == whole[name], "the ranks see the whole"
            assert value.to_local().shape == (-(-whole[name][0] // 8), *whole[name][1:]), "and hold an eighth"
            held += value.to_local().numel()
        assert model.decoder.weight is model.model.embeddings.tok_embeddings.weight, "still tied"
        assert held == pytest.approx(parameters / 8, rel=1e-3)
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize(
    "function", ["gradients_and_graphs", "state_has_the_same_bits", "gradients_are_summed_once_per_step"]
)
def test_on_two_ranks(function, bench_at, tmp_path):
    """See `on_two_ranks`: what each function asserts on both ranks."""
    training = bench_at(tmp_path / "run")
    if function == "gradients_are_summed_once_per_step":
        training.stream("first")
        initial_checkpoint(training.recipe, SPECIAL, training.run)
    script = [sys.executable, str(Path(__file__).with_name("on_two_ranks.py")), function, str(training.root)]
    assert distributed.launch(2, script, training.run.logs) == 0


def test_composers_trainer_wraps_models_by_ours_inside_the_context_alone(sharding):
    from composer.trainer import trainer

    before = trainer.prepare_ddp_module
    with pytest.raises(KeyError), sharding.our_replicas():
        assert trainer.prepare_ddp_module is sharding.replicate
        raise KeyError
    assert trainer.prepare_ddp_module is before


def test_with_ddp_gradients_are_set_to_zero_in_place(sharding):
    model = torch.nn.Linear(3, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        replica = sharding.replicate(model)
        replica(torch.ones(1, 3)).sum().backward()
        place = model.weight.grad.data_ptr()
        assert model.weight.grad.tolist() == [[1, 1, 1]]
        sharding.zero_gradients(optimizer, replica)
        assert model.weight.grad.tolist() == [[0, 0, 0]]
        assert model.weight.grad.data_ptr() == place
        sharding.zero_gradients(optimizer, model)  # without DDP
        assert model.weight.grad is None
    finally:
        dist.destroy_process_group()


def test_ddp_does_not_cut_what_is_compiled_between_two_attentions(sharding):
    """At the width of the base model, one layer fills a bucket of gradients: torch would cut graphs there."""
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    from rexplug.engine.composer_model import PackedMaskedLM
    from rexplug.model.compile import compile_layers
    from rexplug.model.packed import use_packed_attention

    config = ModernBertConfig(
        vocab_size=64, hidden_size=768, intermediate_size=1152, num_hidden_layers=2, num_attention_heads=12,
        pad_token_id=3, cls_token_id=1, sep_token_id=2, attention_dropout=0.0,
    )  # fmt: skip
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    torch._dynamo.reset()
    try:
        model = ModernBertForMaskedLM(config)
        use_packed_attention(model)
        compile_layers(model, count)
        replica = sharding.replicate(PackedMaskedLM(model, 1, "sdpa"))
        for _ in range(2):
            replica({"rows": [row(0)]})["loss"].backward()
        assert len(graphs) == 4, "queries, keys and values; between two attentions; the last states; the head"
    finally:
        dist.destroy_process_group()
        torch._dynamo.reset()
