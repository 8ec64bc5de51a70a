"""transformers' `Trainer` on the same documents in the same minute: padding, SDPA, bf16, at its best settings.

Documents of log-normal lengths as in `bench_gpu.py`, 30 % masked, vocabulary 50,368. The metric is real tokens per second (padding not
counted) over the steps after the first ones. Settings: batches of like length (`group_by_length`) or whole width with compiled layers,
transformers' `sparse_prediction` (logits on masked tokens only) in both.
"""

import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import bench_gpu
import numpy as np
import torch
from common import GPU, TINY, part, result

warnings.simplefilter("ignore")
from made_stream import special_of, write_store
from numpy.typing import NDArray
from torch.utils.data import Dataset

from rexplug.model.build import build_config
from rexplug.tokens.store import TokenStore

VOCABULARY = 512 if TINY else 50_368
LIMIT = float(os.environ.get("KIT_TRAINER_SECONDS", "110"))


class Documents(Dataset[dict[str, Any]]):
    """Documents of a store with the special tokens around them."""

    def __init__(self, store: TokenStore, count: int) -> None:
        self.documents = [np.concatenate([[1], store.document(i % store.num_documents), [2]]) for i in range(count)]

    def __len__(self) -> int:
        return len(self.documents)

    def __getitem__(self, number: int) -> dict[str, Any]:
        return {"input_ids": self.documents[number], "length": len(self.documents[number])}


class Collate:
    """Pads and masks 30 %, 80/10/10, with numpy: transformers' own collator is slower and would dominate the measurement."""

    def __init__(self, width: int | None) -> None:
        self.width, self.draw = width, np.random.default_rng(0)

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        longest = self.width or -(-max(len(example["input_ids"]) for example in examples) // 64) * 64
        ids: NDArray[np.int64] = np.full((len(examples), longest), 3)
        for row, each in zip(ids, examples, strict=True):
            row[: len(each["input_ids"])] = each["input_ids"]
        mask = ids != 3
        chosen = (self.draw.random(ids.shape) < 0.3) & (ids > 4)
        labels = np.where(chosen, ids, -100)
        kind = self.draw.random(ids.shape)
        ids = np.where(chosen & (kind < 0.8), 4, ids)
        ids = np.where(chosen & (kind > 0.9), self.draw.integers(5, VOCABULARY, ids.shape), ids)
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
            "labels": torch.from_numpy(labels),
        }


def run(case: tuple[str, int, int, int], *, batch: int, compiled: bool, grouped: bool, steps: int) -> None:
    from transformers import ModernBertForMaskedLM, Trainer, TrainerCallback, TrainingArguments

    size, longest, _, median = case
    config = build_config(size, special_of(VOCABULARY), 8192)
    config.sparse_prediction = True
    config._attn_implementation = "sdpa"
    torch.manual_seed(1)
    model = ModernBertForMaskedLM(config)
    warm = 4 if TINY else 6

    class Clock(TrainerCallback):
        tokens: Any = 0
        """Real tokens since the first steps; a tensor on the device after the next one."""
        began = 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == warm:
                if GPU:
                    torch.cuda.synchronize()
                self.began, self.tokens = time.perf_counter(), 0

    clock = Clock()

    class Counting(Trainer):
        def training_step(self, model: Any, inputs: dict[str, torch.Tensor], *rest: Any, **named: Any) -> Any:
            # Counted on the host before it is moved would be free; here it is one small sum a step.
            clock.tokens = clock.tokens + inputs["attention_mask"].sum()
            return super().training_step(model, inputs, *rest, **named)

    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder, "store"), int(batch * (steps + 2) * median * 1.2), median, longest, VOCABULARY)
        data = Documents(store, batch * (steps + 1))
        arguments = TrainingArguments(
            output_dir=str(Path(folder, "out")),
            per_device_train_batch_size=batch,
            max_steps=steps,
            learning_rate=1e-3,
            lr_scheduler_type="constant",
            bf16=GPU,
            use_cpu=not GPU,
            torch_compile=compiled,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            dataloader_num_workers=4 if GPU else 0,
            disable_tqdm=True,
            remove_unused_columns=False,
            train_sampling_strategy="group_by_length" if grouped else "random",
            length_column_name="length",
            dataloader_pin_memory=GPU,
            tf32=True if GPU else None,
            optim="adamw_torch_fused",
            max_grad_norm=0.0,
        )
        trainer = Counting(
            model, arguments, train_dataset=data, data_collator=Collate(None if grouped else longest), callbacks=[clock]
        )
        trainer.train()
        if GPU:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - clock.began
    result(
        "trainer",
        size=size,
        context=longest,
        batch=batch,
        compiled=compiled,
        grouped=grouped,
        steps=steps - warm,
        tokens_s=float(clock.tokens) / seconds,
        memory_gib=torch.cuda.max_memory_allocated() / 2**30 if GPU else 0.0,
    )


began = time.perf_counter()
BASE, LONG, MICRO = (bench_gpu.CASES[i] for i in (0, 1, 2)) if not TINY else (bench_gpu.TINY[0],) * 3
for case, batch, compiled, grouped in (
    [
        (BASE, 64, False, True),
        (BASE, 64, True, False),
        (LONG, 8, False, True),
        (MICRO, 256, False, True),
        (LONG, 8, True, False),
        (BASE, 128, False, True),
        (MICRO, 256, True, False),
        (LONG, 16, False, True),
    ]
    if not TINY
    else [(BASE, 4, False, True), (BASE, 4, False, False)]
):
    if time.perf_counter() - began > LIMIT - 15:
        print(f"FAIL trainer {case} {batch} {compiled}: no time left")
        continue
    with part(f"Trainer {case[0]}@{case[1]} batch {batch} compiled={compiled} grouped={grouped}"):
        if GPU:
            torch.cuda.reset_peak_memory_stats()
        torch._dynamo.reset()
        run(case, batch=batch, compiled=compiled, grouped=grouped, steps=8 if TINY else 18)
    if GPU:
        torch.cuda.empty_cache()
