"""Correctness of attention backends, the whole model, loss kernels, rotation and the optimizer, each against fp64 or the CPU."""

import copy
import os
import warnings

import torch
import torch.nn.functional as F
from common import DEVICE, GPU, TINY, off, part, result

warnings.simplefilter("ignore")
from made_stream import recipe_of, special_of

from rexplug.engine.composer_model import PackedMaskedLM
from rexplug.engine.optimizers.factory import build_optimizer, load_optimizer_state
from rexplug.engine.tensor_row import TensorRow
from rexplug.model import build_model
from rexplug.model.attention import KERNELS, Packing, attend_packed, find_kernel
from rexplug.model.compile import compile_layers
from rexplug.model.layers import rotary_cosines_and_sines
from rexplug.model.loss import masked_lm_loss
from rexplug.model.packed import use_packed_attention
from rexplug.recipe.schema import Model

torch.manual_seed(0)
LENGTHS = [1, 2, 3, 63, 64, 65, 66, 128, 129, 130, 191, 192, 193, 257] + ([] if TINY else [1024, 1000, 2048, 777, 4096])
TAIL = 37
T, HEADS, SIZE = sum(LENGTHS) + TAIL, 2 if TINY else 4, 64
STACKED = ("blocks", "sdpa")


def packing(backend: str) -> Packing:
    cu_seqlens = torch.tensor([0, *LENGTHS], dtype=torch.int32).cumsum(0).int().to(DEVICE)
    return Packing(cu_seqlens, T, backend, LENGTHS)


def judge(name: str, got: float, limit: float) -> None:
    result("correct", what=name, off=got, limit=limit, fine=bool(got <= limit))
    if not got <= limit:
        raise AssertionError(f"{name}: off by {got:.2e}, at most {limit:.0e}")


def attend(qkv: torch.Tensor, backend: str, half: int | None) -> torch.Tensor:
    query, key, value = qkv.unbind(1)
    made = qkv if backend in STACKED else (query, key, value)
    return attend_packed(made, None, packing(backend), SIZE**-0.5, half)


def gradient_of(tensor: torch.Tensor) -> torch.Tensor:
    assert tensor.grad is not None
    return tensor.grad


def truth(qkv: torch.Tensor, upstream: torch.Tensor, half: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention and its gradient in fp64."""
    x = qkv.detach().to(DEVICE).double().requires_grad_()
    out = attend(x, "eager", half)
    out.backward(upstream.to(DEVICE).double())
    return out.detach(), gradient_of(x)


BF16, FP32 = torch.bfloat16, torch.float32
CASES = (
    [*((name, BF16) for name in reversed(KERNELS)), ("sdpa", FP32), ("sdpa", BF16), ("eager", FP32)]
    if GPU
    else [("blocks", FP32), ("sdpa", FP32), ("eager", FP32), ("sdpa", BF16)]
)
for half in (None, 64, 1):
    base = torch.randn(T, 3, HEADS, SIZE)
    up = torch.randn(T, HEADS, SIZE)
    exact: dict[torch.dtype, tuple[torch.Tensor, torch.Tensor]] = {}
    for backend, kind in CASES:
        if backend in KERNELS and find_kernel(backend, DEVICE) is None:
            continue
        with part(f"attention {backend} {str(kind)[6:]} half {half}, forward and backward against fp64"):
            rounded = base.to(kind)
            if kind not in exact:
                exact[kind] = truth(rounded, up.to(kind), half)
            x = rounded.detach().clone().to(DEVICE).requires_grad_()
            out = attend(x, backend, half)
            out.backward(up.to(kind).to(DEVICE))
            limit = 2e-2 if kind == torch.bfloat16 else 1e-4  # sdpa in fp32 on a GPU: fails if TF32 is on
            judge(f"{backend} {str(kind)[6:]} half {half} output", off(out, exact[kind][0]), limit)
            judge(f"{backend} {str(kind)[6:]} half {half} gradient", off(gradient_of(x), exact[kind][1]), limit)
            if half is not None:
                continue
            changed = rounded.clone()
            changed[:6] = torch.randn_like(changed[:6].float()).to(kind)  # the first three documents
            again = attend(changed.to(DEVICE), backend, half)
            print("     other documents to the last bit:", torch.equal(again[6:], out[6:]))

SPECIAL = special_of(512 if TINY else 50_368)


def a_row() -> TensorRow:
    chosen = torch.randperm(T - TAIL)[: (T - TAIL) * 3 // 10].sort()[0]
    labels = torch.randint(5, SPECIAL.vocabulary_size, (len(chosen),))
    return TensorRow(
        torch.randint(5, SPECIAL.vocabulary_size, (T,)), torch.tensor([0, *LENGTHS], dtype=torch.int32).cumsum(0).int(),
        chosen, labels, torch.zeros_like(labels), LENGTHS, T - TAIL,
    )  # fmt: skip


Outcome = tuple[float, dict[str, torch.Tensor]]


def outcome(
    row: TensorRow, backend: str, device: torch.device, *, autocast: bool = False, compiled: bool = False,
    kernel: str | None = None, residual: torch.dtype | None = None,
) -> Outcome:  # fmt: skip
    """The loss of a row and the gradient of every weight."""
    model = build_model(Model(size="nano" if TINY else "micro"), SPECIAL, context=8192, seed=1)
    use_packed_attention(model, residual)
    model.to(device)
    if compiled:
        torch._dynamo.reset()
        compile_layers(model)
    wrapped = PackedMaskedLM(model, 1, backend, kernel).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
        loss = wrapped.loss(wrapped({"rows": [row]}), None)
    loss.backward()
    return float(loss.detach()), {name: gradient_of(p).double().cpu() for name, p in model.named_parameters()}


def compare(name: str, ours: Outcome, theirs: Outcome, limit: float) -> None:
    worst = max((off(ours[1][k], theirs[1][k]), k) for k in theirs[1])
    whole = off(
        torch.cat([ours[1][k].flatten() for k in theirs[1]]), torch.cat([g.flatten() for g in theirs[1].values()])
    )
    print(
        f"     loss {ours[0]:.6f} against {theirs[0]:.6f}; gradient off by {whole:.2e}, most in {worst[1]}: {worst[0]:.2e}"
    )
    judge(name, max(whole, abs(ours[0] - theirs[0]) / theirs[0]), limit)


row = a_row()
reference = None
with part("model: the CPU's blocks in fp32 are the reference"):
    reference = outcome(row, "blocks", torch.device("cpu"))
usable = [name for name in KERNELS if GPU and find_kernel(name, DEVICE) is not None]
for backend, autocast, compiled, kernel, residual, limit in (
    [
        ("sdpa", False, False, None, None, 1e-3),
        ("varlen", True, False, "pieces", None, 6e-2),
        ("varlen", True, True, "liger", None, 6e-2),
        ("varlen", True, True, "compiled", None, 6e-2),
        ("varlen", True, True, "liger", BF16, 8e-2),
        *((name, True, True, None, None, 6e-2) for name in usable if name != "varlen"),
    ]
    if GPU
    else [("sdpa", False, False, None, None, 1e-4), ("sdpa", True, False, None, None, 6e-2)]
):
    what = f"{backend} {'bf16' if autocast else 'fp32'} compiled={compiled} loss={kernel} residual={residual}"
    with part(f"model: {what}"):
        assert reference is not None
        made = outcome(row, backend, DEVICE, autocast=autocast, compiled=compiled, kernel=kernel, residual=residual)
        compare(f"model {what}", made, reference, limit)

with part("loss: kernels against cross_entropy"):
    model = build_model(Model(size="nano"), SPECIAL, context=64, seed=1).to(DEVICE)
    hidden = torch.randn(333, 128, device=DEVICE)
    labels = torch.randint(5, SPECIAL.vocabulary_size, (333,), device=DEVICE)
    with torch.no_grad():
        model.decoder.weight.mul_(20)  # some tokens are likely
    kernels = [(False, "pieces", 1e-4), (True, "pieces", 2e-2)]
    if GPU:
        kernels += [(True, "liger", 2e-2), (True, "compiled", 2e-2)]
    for autocast, kernel, limit in kernels:
        with part(f"loss {kernel} autocast={autocast}"):
            one, other = copy.deepcopy(model), copy.deepcopy(model)
            h1, h2 = hidden.clone().requires_grad_(), hidden.clone().requires_grad_()
            with torch.autocast(DEVICE.type, torch.bfloat16, enabled=autocast):
                total, losses, hits = masked_lm_loss(
                    one, h1, labels, max_logits=64 * SPECIAL.vocabulary_size, kernel=kernel
                )
                nothing, *_ = masked_lm_loss(one, h1[:0], labels[:0], kernel=kernel)
            (total + nothing).backward()
            logits = other.decoder(other.head(h2))
            F.cross_entropy(logits, labels, reduction="sum").backward()
            judge(
                f"loss {kernel} autocast={autocast} losses",
                off(losses, F.cross_entropy(logits, labels, reduction="none")),
                limit,
            )
            judge(f"loss {kernel} autocast={autocast} gradient of hidden", off(gradient_of(h1), gradient_of(h2)), limit)
            for name in ("weight", "bias"):
                ours, theirs = (gradient_of(getattr(each.decoder, name)) for each in (one, other))
                judge(f"loss {kernel} autocast={autocast} gradient of {name}", off(ours, theirs), limit)
            result("hits", kernel=kernel, ours=int(hits.sum()), exact=int((logits.argmax(-1) == labels).sum()))

with part("rotation: are the angles right beyond position 2,048 when TF32 is on, as Composer's GPU device sets it"):
    model = build_model(Model(size="nano"), SPECIAL, context=8192, seed=1).to(DEVICE)
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        places = torch.arange(8192, device=DEVICE)
        cosines = rotary_cosines_and_sines(model.model.rotary_emb, places, "full_attention")[0]
        angles = torch.arange(8192).double()[:, None] * model.model.rotary_emb.full_attention_inv_freq.double().cpu()
        wrong = (cosines[:, : angles.shape[1]].double().cpu() - angles.cos()).abs().max()
        judge("rotation under TF32, largest error of a cosine", float(wrong), 1e-3)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before

with part(
    "optimizer: the GPU's Triton kernel against the CPU's fused one, eight steps, and moments carried over both ways"
):
    phase = recipe_of(1024, 1024, 10**9).phases[0]
    first = build_model(Model(size="nano"), SPECIAL, context=64, seed=1)
    second = copy.deepcopy(first).to(DEVICE)
    one, other = build_optimizer(first, phase), build_optimizer(second, phase)
    print("    ", type(one).__name__, "against", type(other).__name__, "triton:", other.param_groups[0]["triton"])
    for step in range(8):
        if step == 4:  # as at the start of a phase: state dicts cross from device to device
            a, b = copy.deepcopy(one.state_dict()), copy.deepcopy(other.state_dict())
            one, other = build_optimizer(first, phase), build_optimizer(second, phase)
            load_optimizer_state(
                one, torch.utils._pytree.tree_map_only(torch.Tensor, lambda t: t.cpu(), b), phase.optimizer.use
            )
            load_optimizer_state(other, a, phase.optimizer.use)
        generator = torch.Generator().manual_seed(step)
        for p, q in zip(first.parameters(), second.parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=generator) * (10 if step == 5 else 1)
            q.grad = p.grad.to(DEVICE)
        one.step()
        other.step()
    judge(
        "weights after eight steps",
        max(off(q, p) for p, q in zip(first.parameters(), second.parameters(), strict=True)),
        1e-5,
    )

if os.environ.get("TRITON_INTERPRET") == "1":
    print("Triton's interpreter: no kernel was compiled")
