"""Packed attention: each document gets the same values as alone, whatever else its row contains."""

import importlib
import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from model.helpers import Special

from rexplug.errors import DataError
from rexplug.model import attention
from rexplug.model.attention import Packing, attend, attend_packed, choose_backend
from rexplug.model.build import build_model
from rexplug.model.layers import rotary_cosines_and_sines
from rexplug.model.packed import forward_packed, use_packed_attention, use_transformers_attention
from rexplug.recipe.schema import Model

VOCABULARY = 300
RAGGED = [3, 64, 65, 66, 1, 129, 17, 128, 2, 40]
"""Lengths around the block (64), the window (65 tokens to see to one side and itself) and the whole window (129)."""


def make_model():
    model = build_model(Model(size="nano"), Special(VOCABULARY), context=1024, seed=3).eval()
    with torch.no_grad():
        # Larger weights make attention sharp, so that one wrongly seen token shows.
        for name, weight in model.named_parameters():
            if "Wqkv" in name:
                weight.mul_(8)
    return model


@pytest.fixture(scope="module")
def model():
    return make_model()


def row_of(lengths, padding=0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(4, VOCABULARY, (sum(lengths),), generator=generator)
    cu_seqlens = F.pad(torch.tensor(lengths, dtype=torch.int32).cumsum(0), (1, 0)).int()
    return F.pad(tokens, (0, padding), value=2), cu_seqlens


def packed(model, lengths, backend, padding=0, seed=0, tokens=None):
    use_packed_attention(model)
    row, cu_seqlens = row_of(lengths, padding, seed)
    tokens = row if tokens is None else tokens
    return forward_packed(model, tokens, Packing(cu_seqlens, len(tokens), backend))[: sum(lengths)]


def alone(model, lengths, seed=0):
    """transformers' own eager attention, one document at a time."""
    use_transformers_attention(model)
    tokens, _ = row_of(lengths, seed=seed)
    return torch.cat([model.model(input_ids=ids[None]).last_hidden_state[0] for ids in tokens.split(lengths)])


@pytest.mark.parametrize("backend", ["blocks", "sdpa", "eager"])
@pytest.mark.parametrize("lengths", [RAGGED, [515], [64] * 4, [1, 1, 1]], ids=["ragged", "one", "blocks", "ones"])
@pytest.mark.parametrize("padding", [0, 13])
def test_equals_transformers_document_by_document(model, backend, lengths, padding):
    with torch.no_grad():
        difference = (packed(model, lengths, backend, padding) - alone(model, lengths)).abs().max()
    assert float(difference) <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["blocks", "sdpa", "eager"])
def test_gradients_equal_those_of_transformers_document_by_document(model, backend):
    lengths = [*RAGGED, 200, 190]

    def gradients(hidden):
        model.zero_grad()
        hidden.square().sum().backward()
        return {name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None}

    ours, theirs = gradients(packed(model, lengths, backend, 11)), gradients(alone(model, lengths))
    assert ours.keys() == theirs.keys()
    for name, each in ours.items():
        assert float((each - theirs[name]).abs().max()) <= 1e-5 * float(theirs[name].abs().max()) + 1e-4, name


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["blocks", "sdpa", "eager"])
@pytest.mark.parametrize("document", [0, 3, 5, 11])
def test_no_document_sees_another_to_the_last_bit(model, backend, document):
    """All documents but one are replaced: the output of that one, and its gradient, do not change by a bit."""
    lengths = [*RAGGED, 400, 193]
    tokens, cu_seqlens = row_of(lengths, padding=7)
    first, last = cu_seqlens[document], cu_seqlens[document + 1]
    others = torch.ones(len(tokens), dtype=torch.bool)
    others[first:last] = False
    changed = torch.where(others, 4 + (tokens + 11) % (VOCABULARY - 4), tokens)
    seen = []
    embedded = []
    hook = model.model.embeddings.register_forward_hook(
        lambda _, __, output: embedded.append(output) or output.retain_grad()
    )
    for each in (tokens, changed):
        hidden = packed(model, lengths, backend, 7, tokens=each)
        # Every document counts in the loss, so a gradient that crossed a border would show.
        hidden.square().sum().backward()
        seen.append((hidden[first:last], embedded[-1].grad[0, first:last], hidden))
    hook.remove()
    assert torch.equal(seen[0][0], seen[1][0])
    assert torch.equal(seen[0][1], seen[1][1])
    assert not torch.equal(seen[0][2], seen[1][2])


@pytest.mark.parametrize("backend", ["blocks", "sdpa", "eager"])
@pytest.mark.parametrize("offset", [-65, -64, 64, 65])
def test_local_layers_see_64_tokens_to_either_side_and_no_more(backend, offset):
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, 300, 16, generator=generator) for _ in range(3))
    packing = Packing(torch.tensor([0, 300]), 300, backend)  # long enough for blocks
    other = value.clone()
    other[0, :, 150 + offset] += 1
    local = [attend(None, query, key, v, None, sliding_window=65, packing=packing)[0][0, 150] for v in (value, other)]
    assert torch.equal(*local) == (abs(offset) > 64)


def test_backends_agree_for_windows_wider_than_a_block():
    generator = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(1, 2, 300, 16, generator=generator) for _ in range(3))
    cu_seqlens = torch.tensor([0, 200, 290])
    outputs = [
        attend(None, query, key, value, None, sliding_window=101, packing=Packing(cu_seqlens, 300, backend))[0]
        for backend in ("blocks", "sdpa", "eager")
    ]
    assert float((outputs[0] - outputs[2]).abs().max()) <= 1e-5
    assert float((outputs[1] - outputs[2]).abs().max()) <= 1e-5


def packing_of(lengths, padding, *, on_host=True):
    cu_seqlens = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0).int()
    return Packing(cu_seqlens, sum(lengths) + padding, "blocks", lengths if on_host else None)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 300), max_size=10), st.integers(0, 5000), st.booleans())
def test_the_tail_is_cut_into_pieces_no_longer_than_the_longest_document(lengths, padding, on_host):
    if not lengths and not padding:
        return
    packing = packing_of(lengths, padding, on_host=on_host)
    assert packing.lengths[: len(lengths)] == lengths
    assert sum(packing.lengths) == packing.width
    assert min(packing.lengths) > 0
    longest = max(lengths, default=padding)
    assert packing.max_length == longest
    assert len(packing.lengths) - len(lengths) == -(-padding // longest), "no more pieces than it takes"
    assert packing.full_cu_seqlens.tolist() == [0, *torch.tensor(packing.lengths).cumsum(0).tolist()]
    assert packing.full_cu_seqlens.dtype == torch.int32
    numbers = torch.repeat_interleave(torch.arange(len(packing.lengths)), torch.tensor(packing.lengths))
    assert packing.document_ids.tolist() == numbers.tolist()
    assert packing.positions.tolist() == [place for length in packing.lengths for place in range(length)]


@pytest.mark.parametrize("half", [None, 64])
def test_a_nearly_empty_row_costs_no_more_than_a_full_one(half):
    """In pairs of a query and a key that attention multiplies: as one document, the tail would cost 65,436 squared."""
    empty, full = packing_of([40, 60], 65_436), packing_of([64] * 1024, 0)
    assert sum(length**2 for length in empty.lengths) <= sum(length**2 for length in full.lengths)
    assert empty.plan.num_scores(half) <= full.plan.num_scores(half)


@pytest.mark.parametrize("backend", ["blocks", "sdpa", "eager"])
def test_a_long_tail_changes_no_number_and_no_gradient(model, backend):
    lengths = [40, 3, 65]  # a tail of ten pieces and a shorter one
    results = []
    for padding in (0, 670):
        model.zero_grad()
        hidden = packed(model, lengths, backend, padding)
        hidden.square().sum().backward()
        results.append((hidden.detach(), model.model.layers[0].attn.Wqkv.weight.grad.clone()))
    (short, gradient), (long, other) = results
    assert float((short - long).abs().max()) <= 1e-5
    assert float((short - alone(model, lengths)).detach().abs().max()) <= 1e-5
    assert float((gradient - other).abs().max()) <= 1e-5 * float(gradient.abs().max())


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["blocks", "sdpa", "eager"])
@pytest.mark.parametrize("num", [0, 1, 64, 101])
def test_states_of_chosen_tokens_are_those_of_all(model, backend, num):
    """After the last attention only the chosen tokens are computed; values and gradients are the same."""
    tokens, cu_seqlens = row_of(RAGGED, padding=9)
    places = torch.randperm(sum(RAGGED), generator=torch.Generator().manual_seed(num))[:num].sort()[0]
    use_packed_attention(model)
    results = []
    for chosen in (None, places):
        model.zero_grad()
        hidden = forward_packed(model, tokens, Packing(cu_seqlens, len(tokens), backend, RAGGED), chosen)
        hidden = hidden[places] if chosen is None else hidden
        hidden.square().sum().backward()
        results.append((hidden.detach(), {name: each.grad for name, each in model.model.named_parameters()}))
    (all_states, gradients), (states, others) = results
    assert states.shape == (num, model.config.hidden_size)
    torch.testing.assert_close(states, all_states, atol=1e-5, rtol=0)
    for name, each in gradients.items():
        assert float((each - others[name]).abs().max()) <= 1e-5 * float(each.abs().max()) + 1e-7, name


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["blocks", "sdpa", "eager"])
@pytest.mark.parametrize("residual", [None, torch.bfloat16], ids=["fp32", "bf16"])
def test_layer_by_layer_gives_the_same_numbers(model, backend, residual):
    """The path of sharded weights, on which each layer's own forward is called."""
    tokens, cu_seqlens = row_of(RAGGED, padding=9)
    use_packed_attention(model, residual)
    packing = Packing(cu_seqlens, len(tokens), backend, RAGGED)
    places = torch.arange(0, sum(RAGGED), 7)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=residual is not None):
        together = [forward_packed(model, tokens, packing, each) for each in (None, places)]
        model.model.layer_by_layer = True
        try:
            one_by_one = [forward_packed(model, tokens, packing, each) for each in (None, places)]
        finally:
            del model.model.layer_by_layer
    for one, other in zip(together, one_by_one, strict=True):
        assert float((one - other).abs().max()) <= (1e-5 if residual is None else 0.1)
        assert float((one - other).norm() / one.norm()) <= (1e-5 if residual is None else 2e-3)


def test_the_residual_stream_has_the_format_that_is_asked_for(model):
    """Every layer adds to it; in bf16 the states are near those in fp32 and not the same."""
    tokens, cu_seqlens = row_of(RAGGED, padding=9)
    states = {}
    for residual in (None, torch.bfloat16):
        use_packed_attention(model, residual)
        seen = []
        hooks = [
            layer.register_forward_hook(lambda _, __, output, seen=seen: seen.append(output.dtype))
            for layer in model.model.layers
        ]
        model.model.layer_by_layer = True
        try:
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                forward_packed(model, tokens, Packing(cu_seqlens, len(tokens), "blocks", RAGGED))
        finally:
            del model.model.layer_by_layer
            for hook in hooks:
                hook.remove()
        assert set(seen) == {residual or torch.float32}
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            states[residual] = forward_packed(model, tokens, Packing(cu_seqlens, len(tokens), "blocks", RAGGED))
    use_packed_attention(model)
    assert not torch.equal(states[None], states[torch.bfloat16])
    assert float((states[None] - states[torch.bfloat16]).norm() / states[None].norm()) <= 5e-2


@pytest.mark.parametrize("kind", ["full_attention", "sliding_attention"])
def test_angles_are_right_beyond_position_2048_whatever_rounds_products(model, kind):
    """Angles are computed without a matrix product: with TF32 on, or under autocast, an angle of thousands would be rounded to whole units."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Products(TorchDispatchMode):
        found = ()

        def __torch_dispatch__(self, function, types, arguments=(), options=None):
            if any(word in str(function) for word in ("mm", "matmul", "linear", "einsum")):
                self.found += (str(function),)
            return function(*arguments, **(options or {}))

    rotary, places = model.model.rotary_emb, torch.arange(8192)
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        with Products() as products, torch.autocast("cpu", torch.bfloat16):
            cosines, sines = rotary_cosines_and_sines(rotary, places, kind)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    assert products.found == ()
    angles = places.double()[:, None] * getattr(rotary, f"{kind}_inv_freq").double()
    assert cosines.shape == angles.shape
    # An angle of 8,191 has 2^-11 between one fp32 number and the next.
    assert float((cosines.double() - angles.cos()).abs().max()) <= 2**-11
    assert float((sines.double() - angles.sin()).abs().max()) <= 2**-11


def test_a_row_without_its_packing_is_refused(model):
    use_packed_attention(model)
    with pytest.raises(ValueError, match="needs one packed row and its packing"):
        model(input_ids=torch.tensor([[0, 5, 1]]))


def test_backend_is_chosen_and_explained():
    cpu = torch.device("cpu")
    assert choose_backend("auto", cpu) == ("blocks", "the device is a CPU")
    assert choose_backend("eager", cpu) == ("eager", "the recipe asks for it")


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        (
            "flash",
            "model.attention: flash needs a GPU, bf16 and the package flash-attn; 'auto' takes what this machine has",
        ),
        (
            "flash3",
            "model.attention: flash3 needs a Hopper or Blackwell GPU, bf16 and the package flash-attn-3; 'auto' takes what this "
            "machine has",
        ),
        (
            "flash4",
            "model.attention: flash4 needs a Hopper or Blackwell GPU, bf16 and the package flash-attn-4; 'auto' takes what this "
            "machine has",
        ),
        ("varlen", "model.attention: varlen needs a GPU and bf16; 'auto' takes what this machine has"),
    ],
)
def test_a_backend_that_cannot_run_here_is_refused(requested, message):
    with pytest.raises(DataError) as error:
        choose_backend(requested, torch.device("cpu"))
    assert str(error.value) == message


@pytest.fixture
def flash_package(tmp_path, monkeypatch):
    """Installs a package `flash_attn` whose attention has these further options, and records what it is called with."""

    def forget():
        attention._imported_kernel.cache_clear()
        sys.modules.pop("flash_attn", None)

    def install(options):
        (tmp_path / "flash_attn.py").write_text(
            "calls = []\n"
            "def flash_attn_varlen_func(q, k, v, cu_q, cu_k, max_q, max_k, softmax_scale=None, window_size=(-1, -1)"
            f"{options}):\n"
            "    calls.append(dict(locals()))\n"
            "    return q + k + v\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        return importlib.import_module("flash_attn")

    forget()
    yield install
    forget()


@pytest.mark.parametrize("on", [False, True])
def test_flash_attention_is_deterministic_where_torch_is_to_be(flash_package, on):
    package = flash_package(", deterministic=False")
    gpu = torch.device("cuda")
    assert choose_backend("flash", gpu, "bf16", deterministic=on) == ("flash", "the recipe asks for it")
    qkv = tuple(torch.zeros(5, 1, 8) for _ in range(3))
    torch.use_deterministic_algorithms(on)
    try:
        attend_packed(qkv, None, Packing(torch.tensor([0, 5]), 5, "flash"))
    finally:
        torch.use_deterministic_algorithms(False)
    assert [call["deterministic"] for call in package.calls] == [on]


def test_a_flash_attention_that_cannot_be_deterministic_is_refused(flash_package):
    package = flash_package("")
    gpu = torch.device("cuda")
    assert choose_backend("flash", gpu, "bf16")[0] == "flash"
    attend_packed(tuple(torch.zeros(5, 1, 8) for _ in range(3)), None, Packing(torch.tensor([0, 5]), 5, "flash"))
    assert len(package.calls) == 1
    with pytest.raises(DataError) as error:
        choose_backend("flash", gpu, "bf16", deterministic=True)
    assert str(error.value) == (
        "model.deterministic: flash on this GPU cannot compute the same gradients twice; 'attention: auto' takes a kernel that can"
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("backend", ["flash", "varlen", "sdpa"])
def test_gpu_backends_equal_eager_in_half_precision(backend):
    try:
        choose_backend(backend, torch.device("cuda"), "bf16")
    except DataError as error:
        pytest.skip(str(error))
    generator = torch.Generator("cuda").manual_seed(0)
    qkv = [torch.randn(1, 2, 300, 64, device="cuda", dtype=torch.bfloat16, generator=generator) for _ in range(3)]
    cu_seqlens = torch.tensor([0, 65, 66, 290], device="cuda")
    for window in (None, 65):
        ours, reference = (
            attend(None, *qkv, None, sliding_window=window, packing=Packing(cu_seqlens, 300, name))[0]
            for name in (backend, "eager")
        )
        assert float((ours - reference).abs().max()) <= 2e-2
