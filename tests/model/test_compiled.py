"""Compiled layers: the same numbers and the same checkpoint, and a reason where nothing is compiled."""

import pytest
import torch

from rexplug.model.attention import Packing, forward_packed, use_packed_attention
from rexplug.model.build import build_model
from rexplug.model.compiled import choose_compile, compile_layers
from rexplug.recipe.schema import Model


class Special:
    cls, sep, pad, vocabulary_size = 0, 1, 2, 300


def outcome(compiled, backend):
    """Hidden states and gradients of one row, and the names of the weights."""
    model = build_model(Model(size="nano"), Special(), context=256, seed=3)
    use_packed_attention(model)
    if compiled:
        # Traced and differentiated ahead of time as on a GPU, without the minute that making kernels takes.
        compile_layers(model, backend="aot_eager")
    tokens = torch.randint(4, 300, (192,), generator=torch.Generator().manual_seed(0))
    borders = torch.tensor([0, 70, 75, 180], dtype=torch.int32)
    hidden = forward_packed(model, tokens, Packing(borders, 192, backend))
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
