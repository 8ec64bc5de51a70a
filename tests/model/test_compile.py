"""Compiled layers: the same values and the same checkpoint, and a reason where nothing is compiled."""

import pytest
import torch
from model.helpers import Special
from torch._dynamo.backends.registry import lookup_backend

from rexplug.model.attention import Packing
from rexplug.model.build import build_model
from rexplug.model.compile import choose_compile, compile_layers
from rexplug.model.loss import masked_lm_loss
from rexplug.model.packed import forward_packed, use_packed_attention
from rexplug.recipe.schema import Model


def outcome(compiled, backend):
    """Hidden states and gradients of one row, and the names of the weights."""
    model = build_model(Model(size="nano"), Special(300), context=256, seed=3)
    use_packed_attention(model)
    if compiled:
        # Traced and differentiated ahead of time as on a GPU, without the minute that making kernels takes.
        compile_layers(model, backend="aot_eager")
    tokens = torch.randint(4, 300, (192,), generator=torch.Generator().manual_seed(0))
    cu_seqlens = torch.tensor([0, 70, 75, 180], dtype=torch.int32)
    hidden = forward_packed(model, tokens, Packing(cu_seqlens, 192, backend))
    hidden.square().sum().backward()
    gradients = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    return hidden.detach(), gradients, list(model.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["blocks", "eager"])
def test_compiled_layers_give_the_same_numbers_and_weights(backend):
    # `eager` gets rotated queries and keys, as the kernels of a GPU do.
    hidden, gradients, names = outcome(True, backend)
    expected, expected_gradients, expected_names = outcome(False, backend)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 2, "nothing was compiled"
    torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=1e-5)
    assert gradients.keys() == expected_gradients.keys()
    for name, each in gradients.items():
        torch.testing.assert_close(each, expected_gradients[name], atol=1e-3, rtol=1e-4)
    assert names == expected_names


@pytest.mark.slow
def test_rows_of_a_known_width_compile_nothing_and_another_width_turns_nothing_dynamic():
    """A graph per width for what whole rows go through; one for any number of masked tokens for the rest."""
    graphs = []

    def recording(graph, inputs):
        sizes = [size for tensor in inputs if isinstance(tensor, torch.Tensor) for size in tensor.shape]
        graphs.append(any(isinstance(size, torch.SymInt) for size in [*sizes, *inputs]))
        return lookup_backend("aot_eager")(graph, inputs)

    torch._dynamo.reset()
    model = build_model(Model(size="nano"), Special(300), context=256, seed=3)
    use_packed_attention(model)
    compile_layers(model, backend=recording)
    generator = torch.Generator().manual_seed(0)

    def row(lengths, width, masked):
        """Train on a row; returns how many graphs were made for it, and how many of those for any size."""
        del graphs[:]
        before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        tokens = torch.randint(4, 300, (width,), generator=generator)
        cu_seqlens = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0).int()
        places = torch.randperm(sum(lengths), generator=generator)[:masked].sort()[0]
        hidden = forward_packed(model, tokens, Packing(cu_seqlens, width, "eager", lengths), places)
        masked_lm_loss(model, hidden, tokens[places])[0].backward()
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] - before == len(graphs)
        return len(graphs), sum(graphs)

    first, any_size = row([70, 5, 105], 192, 50)
    assert first > any_size == 2, "what is behind the last attention, and the head, take any number of masked tokens"
    assert row([3, 64, 65, 30, 20, 9], 192, 130) == (0, 0)
    assert row([192], 192, 65) == (0, 0)
    assert row([20], 192, 2) == (0, 0), "a nearly empty row"
    assert row([100, 90], 256, 60) == (first - any_size, 0), "another width: the same graphs, none for any width"
    assert row([256], 256, 200) == (0, 0)
    assert row([70, 5, 105], 192, 40) == (0, 0), "the first width is still known"


def test_what_is_compiled_is_chosen_and_explained(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert choose_compile("auto", cpu) == (False, "the device is a CPU")
    assert choose_compile(True, cpu) == (True, "the recipe asks for it")
    assert choose_compile(False, cuda) == (False, "the recipe says no")
    monkeypatch.setenv("PATH", "")
    assert choose_compile("auto", cuda) in {
        (False, "triton needs a C compiler, and there is none on the PATH"),
        (False, "triton is not installed"),
    }
