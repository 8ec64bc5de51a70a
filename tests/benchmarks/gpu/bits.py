"""Which parts of a step are not reproducible bit by bit, the cost of deterministic kernels, and whole runs compared bit by bit.

First parts alone (attention, embedding, choosing masked positions, head and loss, optimizer), then forward and backward pass of a
whole model, each twice from the same state, with `model.deterministic` off and on; then runs through the engine: two undisturbed
ones and one that is stopped and resumed.
"""

import contextlib
import copy
import gc
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before the first product of the process, which has torch's switch off.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
import torch
import torch.nn.functional as F
from common import DEVICE, GPU, TINY, milliseconds, off, part, result, wait

warnings.simplefilter("ignore")
from bench_gpu import full_rows
from engine_runs import (
    SIZE,
    VOCABULARY,
    Difference,
    Finished,
    median_of,
    phase_of,
    recipe_of,
    train,
    write_documents,
    write_tokenizer,
)  # fmt: skip
from made_stream import recipe_of as bench_recipe
from made_stream import special_of

from rexplug.engine.composer_model import PackedMaskedLM
from rexplug.engine.determinism import deterministic_algorithms
from rexplug.engine.optimizers.factory import build_optimizer
from rexplug.engine.tensor_row import TensorRow
from rexplug.model import build_model
from rexplug.model.attention import KERNELS, Packing, attend_packed, can_be_deterministic, find_kernel
from rexplug.model.compile import compile_layers
from rexplug.model.family import DEFAULT_FAMILY
from rexplug.model.loss import masked_lm_loss
from rexplug.model.packed import use_packed_attention
from rexplug.recipe.schema import Model
from rexplug.tokens.special import SpecialTokens

KIND = torch.bfloat16 if GPU else torch.float32
ROW = 1024 if TINY else 262_144  # the default of a small model: the same compiled kernels serve all parts
SPECIAL = special_of(VOCABULARY)
REPEATS = 2 if TINY else 4
"""Repetitions that are compared with the first one; more of them find rarer differences."""
BACKENDS = [name for name in reversed(KERNELS) if GPU and find_kernel(name, DEVICE) is not None] or ["blocks"]
if os.environ.get("KIT_BACKENDS"):
    BACKENDS = os.environ["KIT_BACKENDS"].split(",")
LONGEST = [(256, 60), (512, 100)] if TINY else [(1024, 600), (8192, 3000)]
"""Longest document of a row, and the median."""


def switch(on: bool) -> contextlib.AbstractContextManager[None]:
    return deterministic_algorithms(on, DEVICE)


def rows_of(longest: int, width: int, median: float) -> list[TensorRow]:
    """Full rows on the device."""
    return full_rows(longest, width, median, vocabulary=VOCABULARY, device=DEVICE, num_rows=3)


Tensors = dict[str, torch.Tensor]


def repeated(what: str, call: Callable[[], Tensors], **about: Any) -> None:
    """Run a call several times and name its results that differ in bits from those of the first time."""
    first = {name: tensor.detach().clone() for name, tensor in call().items()}
    worst: dict[str, float] = {}
    for _ in range(REPEATS):
        for name, tensor in call().items():
            if not torch.equal(tensor.detach(), first[name]):
                worst[name] = max(worst.get(name, 0.0), off(tensor, first[name]))
    names = sorted(worst, key=lambda name: -worst[name])
    result(
        "bits",
        what=what,
        **about,
        same=not worst,
        differ=f"{len(worst)} of {len(first)}",
        largest=max(worst.values(), default=0.0),
        names=",".join(names[:6]) or "-",
    )


def gradient_of(tensor: torch.Tensor) -> torch.Tensor:
    assert tensor.grad is not None
    found, tensor.grad = tensor.grad, None
    return found


def attention(backend: str, row: TensorRow, heads: int, case: str) -> None:
    """Attention alone in both kinds of layers; milliseconds of forward and backward pass with the switch off and on."""
    width = len(row.token_ids)
    packing = Packing(row.cu_seqlens, width, backend, row.lengths)
    generator = torch.Generator(DEVICE).manual_seed(0)
    up = torch.randn(width, heads, 64, device=DEVICE, generator=generator).to(KIND)
    shape = (width, 3, heads, 64)
    qkv = torch.randn(shape, device=DEVICE, generator=generator).to(KIND).requires_grad_()
    parts = [qkv[:, i].detach().contiguous().requires_grad_() for i in range(3)]
    for half in (None, DEFAULT_FAMILY.half_window):
        kind = "global" if half is None else "local"

        def call(half: int | None = half) -> Tensors:
            inputs = qkv if packing.stacked else (parts[0], parts[1], parts[2])
            out = attend_packed(inputs, None, packing, 0.125, half)
            out.backward(up)
            if packing.stacked:
                return {"out": out, "qkv": gradient_of(qkv)}
            return {"out": out, **dict(zip("qkv", map(gradient_of, parts), strict=True))}

        spent: dict[bool, float] = {}
        for on in (False, True):
            if on and GPU and not can_be_deterministic(backend, DEVICE):
                print(f"     {backend} cannot be deterministic here")
                continue
            with part(f"attention {backend} {kind} {case} deterministic={on}"), switch(on):
                repeated("attention", call, backend=backend, kind=kind, case=case, deterministic=on)
                spent[on] = milliseconds(call, 2 if TINY else 5)
        if len(spent) == 2:
            result(
                "cost", what="attention", backend=backend, kind=kind, case=case,
                off_ms=spent[False], on_ms=spent[True], ratio=spent[True] / spent[False],
            )  # fmt: skip


def pieces(row: TensorRow, on: bool) -> None:
    """The other parts of a step alone: embedding, choosing masked positions, head and loss, optimizer."""
    model = build_model(Model(size=SIZE), SPECIAL, context=1024, seed=1).to(DEVICE)
    hidden_size = model.config.hidden_size
    table = torch.randn(VOCABULARY, hidden_size, device=DEVICE, requires_grad=True)
    up = torch.randn(len(row.token_ids), hidden_size, device=DEVICE)
    states = torch.randn(len(row.token_ids), hidden_size, device=DEVICE, requires_grad=True)
    chosen = torch.randn(row.num_masked, hidden_size, device=DEVICE)
    hidden = torch.randn(row.num_masked, hidden_size, device=DEVICE, requires_grad=True)

    def embedding() -> Tensors:
        F.embedding(row.token_ids, table).backward(up)
        return {"table": gradient_of(table)}

    def choosing() -> Tensors:
        states.index_select(0, row.masked).backward(chosen)
        return {"states": gradient_of(states)}

    def head() -> Tensors:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=GPU):
            total, losses, _ = masked_lm_loss(model, hidden, row.labels)
        total.backward()
        found = {name: gradient_of(p) for name, p in model.named_parameters() if p.grad is not None}
        return {"losses": losses, "hidden": gradient_of(hidden), **found}

    with switch(on):
        for name, call in (("embedding", embedding), ("index_select", choosing), ("head and loss", head)):
            with part(f"{name} deterministic={on}"):
                repeated(name, call, deterministic=on)
        with part(f"optimizer deterministic={on}"):
            generator = torch.Generator(DEVICE).manual_seed(0)
            for parameter in model.parameters():
                parameter.grad = torch.randn(parameter.shape, device=DEVICE, generator=generator)
            start = copy.deepcopy(model.state_dict())
            phase = bench_recipe(1024, 1024, 10**9).phases[0]
            kind = type(build_optimizer(model, phase)).__name__

            def step() -> Tensors:
                """Three steps of which the second is limited: its gradient is larger than those before."""
                model.load_state_dict(start)
                optimizer = build_optimizer(model, phase)
                for size in (1.0, 32.0, 1 / 32):  # powers of two, so that the gradient is the same afterwards
                    for parameter in model.parameters():
                        assert parameter.grad is not None
                        parameter.grad.mul_(size)
                    optimizer.step()
                return {name: p.detach() for name, p in model.named_parameters()}

            repeated("optimizer", step, kind=kind, deterministic=on)
            optimizer = build_optimizer(model, phase)
            result("cost", what="optimizer step", kind=kind, deterministic=on, ms=milliseconds(optimizer.step, 5))


def whole(backend: str, rows: list[TensorRow], on: bool) -> float:
    """Gradients of the whole compiled model twice on the same row; milliseconds of a step on rows of the default size."""
    torch._dynamo.reset()
    model = build_model(Model(size=SIZE), SPECIAL, context=8192, seed=1).to(DEVICE)
    use_packed_attention(model)
    if GPU:
        compile_layers(model)
    wrapped = PackedMaskedLM(model, 1, backend).to(DEVICE)

    def call(row: TensorRow = rows[0]) -> Tensors:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=GPU):
            loss = wrapped.loss(wrapped({"rows": [row]}), None)
        loss.backward()
        return {"loss": loss, **{name: gradient_of(p) for name, p in model.named_parameters()}}

    with switch(on):
        began = time.perf_counter()
        call()
        wait()
        compiling = time.perf_counter() - began
        repeated("model", call, backend=backend, deterministic=on, compiling=compiling)
        spent = milliseconds(call, 3 if TINY else 8)
    result("cost", what="forward and backward", backend=backend, deterministic=on, row=len(rows[0].token_ids), ms=spent)
    return spent


def runs(backend: str, root: Path) -> None:
    """Two undisturbed runs and one stopped and resumed, with the switch off and on."""
    special = SpecialTokens.read(write_tokenizer(root / "tokenizer"))
    steps, batch = (4 if TINY else 14), 2 * ROW
    store = write_documents(root / "documents", (steps + 2) * batch)
    undisturbed: dict[bool, Finished] = {}
    wrong = []
    for on in (True, False):
        phase = phase_of(
            "only", 512 if TINY else 1024, steps * batch, batch_tokens=batch, microbatch_tokens=ROW,
            checkpoints={"every_minutes": 999},
        )  # fmt: skip
        plan = recipe_of([phase], deterministic=on, attention=backend)
        found: dict[str, Finished] = {}
        for name, stop in (("one", {}), ("other", {}), ("stopped", {"only": max(2, steps // 2 - 1)})):
            found[name] = train(root / f"{backend}-{on}-{name}", plan, store, special, stop, quiet=True)
        for name in ("other", "stopped"):
            far = Difference.between(found["one"], found[name])
            result(
                "runs",
                backend=found["one"].outcomes[0]["backend"],
                deterministic=on,
                compared=name,
                steps=len(found["one"].lines()),
                losses_differ_by=far.losses,
                weights_differ_by=far.weights,
                same_bits=far.same_bits,
            )
            if (on or not GPU) and not far.same_bits:
                wrong.append(name)
        undisturbed[on] = found["one"]
        speeds = [median_of(found[name].lines(), "tokens_per_second") for name in found]
        result("cost", what="engine", backend=backend, deterministic=on, tokens_s=max(s for s in speeds if s))
    far = Difference.between(undisturbed[True], undisturbed[False])
    result(
        "runs", backend=backend, compared="deterministic and not", losses_differ_by=far.losses,
        weights_differ_by=far.weights,
    )  # fmt: skip
    assert not wrong, f"deterministic runs differ: {', '.join(wrong)}"


def main(root: Path) -> None:
    rows = rows_of(1024, ROW, 100 if TINY else 600)
    for on in (False, True):
        with part(f"parts deterministic={on}"):
            pieces(rows[0], on)
    with part(f"runs {BACKENDS[-1]}"):  # what `auto` takes
        runs(BACKENDS[-1], root)
    width, heads = (1024, 2) if TINY else (98_304, 12)  # 150M
    cases = [(str(longest), rows_of(longest, width, median)[0]) for longest, median in LONGEST]
    for backend in BACKENDS:
        for case, each in cases:
            attention(backend, each, heads, case)
        gc.collect()
    for backend in BACKENDS:
        spent: dict[bool, float] = {}
        for on in (False, True):
            with part(f"model {backend} deterministic={on}"):
                spent[on] = whole(backend, rows, on)
            gc.collect()
            if GPU:
                torch.cuda.empty_cache()
        if len(spent) == 2:
            result("cost", what="model", backend=backend, ratio=spent[True] / spent[False])


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp())
    try:
        main(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
