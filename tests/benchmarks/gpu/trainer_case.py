"""One run of transformers' `Trainer` on the documents of `bench_gpu.py`: `beside_trainer.py` calls it with a case as JSON.

It imports and prepares everything it can without the GPU, prints `prepared`, and trains once it reads a line from its input: so the
next run prepares while the one before has the GPU to itself.

Rows are `packed` (no padding: documents one after another, cut at the row's end; cumulative lengths and positions as from transformers'
`DataCollatorWithFlattening`) or `padded` (batches of like length, padded to a multiple of 64). The speed is in real tokens a second,
over complete megabatches of the sampler, which sorts each of them by length.
"""

import gc
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")
import bench_gpu
import numpy as np
import torch
import transformers
from common import GPU, TINY, result
from made_stream import special_of, write_store
from numpy.typing import NDArray
from torch.utils.data import Dataset
from transformers import AttentionInterface, ModernBertForMaskedLM, Trainer, TrainerCallback, TrainingArguments
from transformers import modeling_flash_attention_utils as flash_attention

from rexplug.model.build import build_config
from rexplug.tokens.store import TokenStore

VOCABULARY = 512 if TINY else 50_368
CLS, SEP, PAD, MASK, ORDINARY = 1, 2, 3, 4, 5
MEGABATCH = 4 if TINY else 8
"""Batches of a megabatch: a quarter of the dataset, at most 50, is transformers' rule."""

Item = dict[str, Any]


class Documents(Dataset[Item]):
    """Documents with the special tokens around them."""

    def __init__(self, store: TokenStore, count: int) -> None:
        self.documents = [np.concatenate([[CLS], store.document(i % store.num_documents), [SEP]]) for i in range(count)]

    def __len__(self) -> int:
        return len(self.documents)

    def __getitem__(self, number: int) -> Item:
        return {"input_ids": self.documents[number]}


class Rows(Dataset[Item]):
    """Documents packed into rows of exactly `width` tokens."""

    def __init__(self, store: TokenStore, count: int, width: int) -> None:
        self.rows: list[list[NDArray[np.int64]]] = []
        row, free, number = list[NDArray[np.int64]](), width, 0
        while len(self.rows) < count:
            document = np.concatenate([[CLS], store.document(number % store.num_documents), [SEP]])[:free]
            row.append(document)
            number, free = number + 1, free - len(document)
            if not free:
                self.rows.append(row)
                row, free = [], width

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Item:
        return {"input_ids": self.rows[number]}


class Collate:
    """Masks 30 %, 80/10/10, with numpy: transformers' own collators are slower and would dominate the measurement."""

    def __init__(self, data: Dataset[Item], longest: int) -> None:
        self.packed, self.longest, self.draw = isinstance(data, Rows), longest, np.random.default_rng(0)
        self.documents = max(map(len, data.rows)) if isinstance(data, Rows) else 0

    def __call__(self, items: list[Item]) -> Item:
        return self.flatten(items[0]["input_ids"]) if self.packed else self.pad([item["input_ids"] for item in items])

    def masked(self, ids: NDArray[np.int64]) -> Item:
        chosen = (self.draw.random(ids.shape, np.float32) < 0.3) & (ids >= ORDINARY)
        kind = self.draw.random(ids.shape, np.float32)
        inputs = np.where(chosen & (kind < 0.8), MASK, ids)
        inputs = np.where(chosen & (kind > 0.9), self.draw.integers(ORDINARY, VOCABULARY, ids.shape), inputs)
        return {"input_ids": torch.from_numpy(inputs), "labels": torch.from_numpy(np.where(chosen, ids, -100))}

    def pad(self, documents: list[NDArray[np.int64]]) -> Item:
        width = -(-max(map(len, documents)) // 64) * 64
        ids: NDArray[np.int64] = np.full((len(documents), width), PAD)
        for row, document in zip(ids, documents, strict=True):
            row[: len(document)] = document
        mask = torch.from_numpy((ids != PAD).astype(np.int64))
        return {**self.masked(ids), "attention_mask": mask, "tokens": sum(map(len, documents))}

    def flatten(self, documents: list[NDArray[np.int64]]) -> Item:
        ends = np.cumsum([len(document) for document in documents]).tolist()
        # As many for all rows, the last ones empty: else layers would be compiled once more when the number changes.
        ends = torch.tensor([0, *ends, *[ends[-1]] * (self.documents - len(ends))], dtype=torch.int32)
        positions = np.concatenate([np.arange(len(document)) for document in documents])
        return {
            **self.masked(np.concatenate(documents)[None]),
            "position_ids": torch.from_numpy(positions[None]),
            "cu_seq_lens_q": ends,
            "cu_seq_lens_k": ends,
            # For the same reason one number for all rows; the kernel runs as fast.
            "max_length_q": self.longest,
            "max_length_k": self.longest,
            "tokens": int(ends[-1]),
        }


class Clock(TrainerCallback):
    """Counts real tokens and the time after the first `warm` steps."""

    def __init__(self, warm: int) -> None:
        self.warm, self.tokens, self.began, self.start = warm, 0, 0.0, time.perf_counter()
        self.to_first = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step in (1, self.warm):
            if GPU:
                torch.cuda.synchronize()
            now = time.perf_counter()
            if state.global_step == 1:
                self.to_first = now - self.start
            self.tokens, self.began = 0, now


class Counting(Trainer):
    """Takes the number of real tokens out of a batch, where the collator has put it: no sum on the device."""

    clock: Clock

    def training_step(self, model: Any, inputs: Item, *rest: Any, **named: Any) -> Any:
        self.clock.tokens += inputs.pop("tokens")
        return super().training_step(model, inputs, *rest, **named)


def attend_documents(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    scaling: Any = None,
    sliding_window: int | None = None,
    **named: Any,
) -> Any:
    """Replacement for FlashAttention on a CPU: torch's attention on one document after another, global in all layers."""
    parts = [
        torch.nn.functional.scaled_dot_product_attention(
            query[:, :, begin:end], key[:, :, begin:end], value[:, :, begin:end], scale=scaling
        )
        for begin, end in zip(named["cu_seq_lens_q"][:-1].tolist(), named["cu_seq_lens_q"][1:].tolist(), strict=True)
    ]
    return torch.cat(parts, 2).transpose(1, 2), None


def make_model(size: str, attention: str, compiled: str | None) -> Any:
    """The model on the GPU, with sparse prediction: logits of masked tokens only."""
    if attention == "documents":
        AttentionInterface.register(attention, attend_documents)
        transformers.AttentionMaskInterface.register(attention, transformers.masking_utils.flash_attention_mask)
    config = build_config(size, special_of(VOCABULARY), 8192)
    config.sparse_prediction = True
    config._attn_implementation = attention
    torch.manual_seed(1)
    with torch.device("cuda" if GPU else "cpu"):
        model = ModernBertForMaskedLM(config)
    assert model.config._attn_implementation == attention
    if attention.startswith("flash") and compiled:
        # Its kernels are compiled by a compiler of its own. Without this, torch.compile would try to trace into it.
        for name in ("_flash_fn", "_flash_varlen_fn"):
            setattr(flash_attention, name, torch.compiler.disable(getattr(flash_attention, name)))
        # Passed on to the kernel's options and unused, but every layer would be compiled again for its own number.
        for module in model.modules():
            if hasattr(module, "layer_idx"):
                del module.layer_idx
    return model


def arguments_of(case: dict[str, Any], folder: str, steps: int) -> TrainingArguments:
    packed, compiled = case["packed"], case["compiled"]
    if compiled == "layers":
        # accelerate's own option: each layer is compiled for itself, once for all that are alike.
        os.environ["ACCELERATE_DYNAMO_USE_REGIONAL_COMPILATION"] = "true"
    return TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=1 if packed else case["batch"],
        max_steps=steps,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        optim="adamw_torch_fused",
        bf16=True,
        use_cpu=not GPU,
        tf32=True if GPU else None,
        torch_compile=compiled is not None,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,  # else it reads the loss from the device at every step
        disable_tqdm=True,
        remove_unused_columns=False,
        train_sampling_strategy="random" if packed else "group_by_length",
        dataloader_num_workers=4 if GPU else 0,
        dataloader_prefetch_factor=4 if GPU else None,
        dataloader_pin_memory=GPU,
    )


def train(case: dict[str, Any], data: Dataset[Item], longest: int) -> dict[str, float]:
    warm = 6 if case["packed"] else MEGABATCH
    steps = warm + (10 if case["packed"] else MEGABATCH)
    clock = Clock(warm)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Counting(
            make_model(case["size"], case["attention"], case["compiled"]),
            arguments_of(case, folder, steps),
            train_dataset=data,
            data_collator=Collate(data, longest),
            callbacks=[clock],
        )
        trainer.clock = clock
        trainer.train()
    if GPU:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - clock.began
    return {
        "tokens_s": clock.tokens / seconds,
        "step_tokens": clock.tokens / (steps - warm),
        "to_first_step": clock.to_first,
    }


def make_data(case: dict[str, Any], store: TokenStore) -> Dataset[Item]:
    if case["packed"]:
        return Rows(store, 18, case["batch"])
    return Documents(store, case["batch"] * 4 * MEGABATCH)


def main() -> None:
    case = json.loads(sys.argv[1])
    _, longest, _, median = next(
        each for each in (*bench_gpu.CASES, *bench_gpu.TINY) if list(each[:2]) == [case["size"], case["context"]]
    )
    with tempfile.TemporaryDirectory() as folder:
        # As many documents as a run of bench_gpu.py, and enough of them for megabatches.
        total = case["batch"] * 18 if case["packed"] else int(case["batch"] * 4 * MEGABATCH * median * 1.1)
        store = write_store(Path(folder), total, median, longest, VOCABULARY)
        data = make_data(case, store)
        torch._dynamo.config.recompile_limit = 64
        if case["attention"].startswith("flash"):
            import flash_attn.cute  # noqa: F401 - takes seconds
        print("prepared", flush=True)
        sys.stdin.readline()
        if GPU:
            torch.cuda.init()
        for attempt in range(4):
            try:
                made = train(case, data, longest)
                break
            except torch.OutOfMemoryError:
                if attempt == 3:
                    raise
                smaller = case["batch"] * 3 // 4
                print(f"a batch of {case['batch']} is too large for this card's memory; trying {smaller}", flush=True)
                case["batch"] = smaller // 1024 * 1024 if case["packed"] else smaller
            gc.collect()  # a trainer refers to itself
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            torch._dynamo.reset()
            data = make_data(case, store)
        memory = torch.cuda.max_memory_allocated() / 2**30 if GPU else 0.0
        result("trainer", **case, **made, memory_gib=memory, device=torch.cuda.get_device_name() if GPU else "cpu")


main()
