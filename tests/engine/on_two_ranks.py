"""Checks that test_sharding.py runs on two ranks, one function per launch: `python on_two_ranks.py FUNCTION FOLDER`."""

import sys
from collections import Counter
from pathlib import Path

import conftest as toy
import torch
from helpers import row
from torch.distributed.tensor import DTensor

from rexplug import distributed
from rexplug.engine import callbacks, sharding
from rexplug.engine.composer_model import PackedMaskedLM
from rexplug.engine.hardware import Hardware
from rexplug.engine.optimizers.factory import build_optimizer, load_optimizer_state
from rexplug.model import build_model
from rexplug.model.compile import compile_layers
from rexplug.model.packed import use_packed_attention

CPU = torch.device("cpu")


def model_of(bench):
    model = build_model(bench.recipe.model, toy.SPECIAL, context=64, seed=3)
    with torch.no_grad():
        for parameter in model.parameters():  # norms begin at 1, which any format holds exactly
            parameter.mul_(1.01)
    use_packed_attention(model)
    return model


def backward(wrapped, rows, *, half):
    """The mean of the rows' gradients, added up over two passes of which the first is dropped."""
    for _ in range(2):
        wrapped.zero_grad(set_to_none=True)
        for each in rows:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                outputs = wrapped({"rows": [each]})
                loss = outputs["loss"] / outputs["num_masked"] / len(rows)
            loss.backward()
    return {
        name.removeprefix("module."): value.grad.full_tensor() if isinstance(value.grad, DTensor) else value.grad
        for name, value in wrapped.named_parameters()
    }


def away(ours, truth):
    """|ours - truth| / |truth| over all gradients."""
    assert ours.keys() == truth.keys()
    return (
        float(
            sum((ours[name] - truth[name]).double().norm() ** 2 for name in truth)
            / sum(truth[name].double().norm() ** 2 for name in truth)
        )
        ** 0.5
    )


def gradients_and_graphs(bench):
    """Gradients of both strategies in bf16, plain and compiled, as near to fp32's as those of one process are."""
    rows = [row(number) for number in range(4)]
    mine = rows[distributed.rank() :: 2]
    truth = backward(PackedMaskedLM(model_of(bench), 1, "sdpa"), rows, half=False)
    alone = away(backward(PackedMaskedLM(model_of(bench), 1, "sdpa"), rows, half=True), truth)
    assert 1e-3 < alone < 2e-2, alone
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    for strategy in ("ddp", "fsdp"):
        for compiled in (False, True):
            torch._dynamo.reset()
            graphs.clear()
            model = model_of(bench)
            wrapped = PackedMaskedLM(model, 1, "sdpa")
            if compiled:
                compile_layers(model, count)
            if strategy == "fsdp":
                sharding.shard(wrapped, CPU, torch.bfloat16)
                formats = {parameter.dtype for parameter in wrapped.parameters()}
                assert formats == {torch.float32}, "what the optimizer steps stays in fp32"
            else:
                wrapped = sharding.replicate(wrapped)
            gradients = backward(wrapped, mine, half=True)
            assert {gradient.dtype for gradient in gradients.values()} == {torch.float32}
            assert away(gradients, truth) < 1.2 * alone, (strategy, compiled)
            # project_qkv, what is between two attentions (ddp) or after one (fsdp), the end and the head; nothing is cut or
            # compiled again by hooks, buckets or gathered weights.
            assert len(graphs) == (4 if compiled else 0), (strategy, [str(graph.graph) for graph in graphs])


def state_has_the_same_bits(bench):
    """State that is gathered from shards, loaded by one process, and sharded and gathered again, keeps its bits."""
    phase = bench.recipe.phases[0]

    def trained(strategy, state=None):
        model = model_of(bench)
        meta = sharding.meta_copy(model) if strategy == "fsdp" else None
        if state is not None:
            model.load_state_dict(state[0])
        wrapped = PackedMaskedLM(model, 1, "sdpa")
        if strategy == "fsdp":
            sharding.shard(wrapped, CPU)
        optimizer = build_optimizer(model, phase)
        if state is not None:
            load_optimizer_state(optimizer, state[1], phase.optimizer.use)
        full = sharding.FullState(model, optimizer, meta)
        return wrapped, optimizer, full

    def snapshot(full):
        gathered, optimizer = full.gather_model(), full.gather_optimizer()
        weights = None if gathered is None else {name: each.clone() for name, each in gathered.state_dict().items()}
        return distributed.broadcast((weights, optimizer))

    wrapped, optimizer, full = trained("fsdp")
    for number in range(3):
        optimizer.zero_grad()
        outputs = wrapped({"rows": [row(10 * number + distributed.rank())]})
        (outputs["loss"] / outputs["num_masked"]).backward()
        optimizer.step()
    first = snapshot(full)
    for strategy in ("none", "fsdp"):
        second = snapshot(trained(strategy, first)[2])
        assert all(torch.equal(first[0][name], second[0][name]) for name in first[0]), strategy
        assert str(first[1]["param_groups"]) == str(second[1]["param_groups"])
        for number, state in first[1]["state"].items():
            for name in ("exp_avg", "exp_avg_sq"):
                assert state[name].abs().sum() > 0
                assert torch.equal(state[name], second[1]["state"][number][name]), (strategy, number, name)


def gradients_are_summed_once_per_step(bench):
    """Two rows a rank and step: numbers that DDP sends, and where the gradients are, over a phase."""
    Hardware.rows_per_microbatch = lambda self, phase, row_tokens: 1
    places, original = [], callbacks.TrainingCallback.after_train_batch

    def spy(self, state, logger):
        assert len(state.batch["sizes"]["labels"]) == 2
        places.append(tuple(parameter.grad.data_ptr() for parameter in state.model.parameters()))
        original(self, state, logger)

    callbacks.TrainingCallback.after_train_batch = spy
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as profiler:
        bench.train("first")
    sent = Counter()
    for event in profiler.events():
        if event.name in ("gloo:all_reduce", "gloo:broadcast") and event.input_shapes[0]:
            sent[event.name, event.input_shapes[0][0]] += 1
    numbers = sum(size * times for (name, size), times in sent.items() if name == "gloo:all_reduce" and size > 1000)
    steps, model = len(places), model_of(bench)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert steps == 12
    assert numbers == steps * parameters, "every gradient once a step, not once a row"
    buffers = sum(buffer.numel() for buffer in model.buffers())
    assert sent["gloo:broadcast", buffers] == 0, "constants are not sent"
    # torch orders its buckets anew after the first step, by the order in which gradients came.
    assert len(set(places[1:])) == 1, "gradients stay in the buckets that are sent"


def main(name, root, **changes):
    distributed.connect()
    bench = toy.Bench(Path(root), [toy.phase("first", **changes)], parallel="ddp")
    globals()[name](bench)
    distributed.barrier()
    distributed.disconnect()
    distributed.exit_process(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], **({"microbatch_tokens": 64} if "once" in sys.argv[1] else {}))
