"""Training speed compared with Hugging Face's Trainer and with packing on transformers' attention, on a CPU.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_training.py [--size nano] [--vocabulary 8192] [--rounds 5]

Every side trains the same weights on the same documents with the same masks; real tokens are counted, padding is not.
Documents are synthetic, of log-normal lengths (`--length` is the median; product titles and short pages). Rounds of all
sides alternate, the first is not counted; the median, the range and the ratio to rexplug's are printed.

- trainer, defaults: Trainer as it comes, 8 documents a batch, logits for every token; and with 32 documents.
- trainer, tuned: documents of similar length together (`group_by_length`) and `sparse_prediction`, 32 documents.
- packed, dense mask: full rows of 8,192 with transformers' SDPA attention and one mask per layer type.
- rexplug: the same documents packed into rows of 1,024 or 8,192, in a bare loop; and through `train_phase`, which adds
  Composer, callbacks and metrics.
- in bf16: rexplug with `model.precision: bf16`, and Trainer with `bf16=True`, on a CPU with instructions for it.
- encode: hidden states of all tokens in a forward pass alone, as evaluators need them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from made_stream import DECAY, RATE, documents_of, recipe_of, special_of, stream_of, write_store

from rexplug.batches import IGNORED, BatchStream
from rexplug.engine.composer_model import PackedMaskedLM
from rexplug.engine.loader import to_tensors
from rexplug.engine.optimizers.factory import build_optimizer, set_learning_rate
from rexplug.model import build_model, load_model
from rexplug.model.attention import Packing
from rexplug.model.cpu.instructions import bf16_instructions
from rexplug.model.packed import forward_packed, use_packed_attention
from rexplug.model.precision import autocast_of
from rexplug.planning import Hardware
from rexplug.progress import Silent
from rexplug.recipe.schema import Model
from rexplug.run_directory import RunDirectory
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore


def clock_now() -> float:
    """CPU seconds of this process if it has one thread, which other work on the machine disturbs little; else wall time."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


class Sides:
    """Each method trains a fresh copy of the weights and returns real tokens and seconds, start-up left out."""

    def __init__(self, model: Any, store: TokenStore, special: SpecialTokens, batch: int, folder: Path) -> None:
        self.store, self.special, self.batch, self.folder = store, special, batch, folder
        model.save_pretrained(folder / "initial")
        stream = self.stream(8192)
        self.rows = [row for batch, _ in stream.batches() for row in batch.rows]
        self.documents = documents_of(self.rows)

    def stream(self, width: int) -> BatchStream:
        """All documents once, in rows of `width` tokens."""
        total = sum((self.store.lengths + 2).tolist())
        return stream_of(self.store, self.special, context=width, row=width, batch=self.batch, total=total)

    def model(self, **config: Any) -> Any:
        model = load_model(self.folder / "initial")
        for name, value in config.items():
            setattr(model, name, value)
        return model

    def encode(self, precision: str) -> tuple[int, float]:
        """Hidden states of all tokens, without gradients."""
        model = self.model()
        use_packed_attention(model)
        began = clock_now()
        with torch.no_grad(), autocast_of(torch.device("cpu"), precision):
            for row in self.rows:
                count = row.num_tokens
                packing = Packing(torch.from_numpy(row.cu_seqlens), count, "blocks")
                forward_packed(model, torch.from_numpy(row.token_ids)[:count], packing)
        return sum(row.num_tokens for row in self.rows), clock_now() - began

    def bare(self, width: int, precision: str = "fp32") -> tuple[int, float]:
        """Our model and optimizer in a plain loop."""
        model = self.model()
        use_packed_attention(model)
        wrapped = PackedMaskedLM(model, 1, "blocks", precision=precision)
        recipe = recipe_of(width, self.batch, 10**9)
        optimizer = build_optimizer(model, recipe.phases[0])
        together = max(1, 8192 // width)
        made = [(to_tensors(*pair), pair[0].num_masked) for pair in self.stream(width).batches()]
        tokens, began = 0, 0.0
        for number, (batch, masked) in enumerate(made):
            if number == 1:
                began = clock_now()
            set_learning_rate(optimizer, RATE)
            for i in range(0, len(batch["rows"]), together):
                (wrapped({"rows": batch["rows"][i : i + together]})["loss"] / masked).backward()
            optimizer.step()
            optimizer.zero_grad()
            tokens += batch["about"]["num_tokens"] if number else 0
        return tokens, clock_now() - began

    def whole(self, width: int, precision: str = "fp32") -> tuple[int, float]:
        """`train_phase`: the same through Composer, with callbacks and metrics, from the second step on."""
        from rexplug.engine import train_phase

        times: list[tuple[float, float]] = []

        class Clock(Silent):
            def update(self, done: float, **metrics: float | str) -> None:
                if metrics:
                    times.append((clock_now(), done))

        with tempfile.TemporaryDirectory() as folder:
            stream = self.stream(width)
            recipe = recipe_of(width, self.batch, stream.total_tokens, precision=precision)
            train_phase(
                recipe=recipe, phase=recipe.phases[0], stream=stream, start=self.folder / "initial",
                run=RunDirectory(Path(folder)), progress=Clock(),
            )  # fmt: skip
        return int(times[-1][1] - times[0][1]), times[-1][0] - times[0][0]

    def dense_mask(self) -> tuple[int, float]:
        """Full rows with one mask per layer type, transformers' SDPA attention and sparse prediction."""
        model = self.model(sparse_prediction=True)
        model.set_attn_implementation("sdpa")
        optimizer = torch.optim.AdamW(model.parameters(), RATE)
        tokens, began = 0, 0.0
        for number, row in enumerate(self.rows[:3]):
            if number == 1:
                began = clock_now()
            lengths = np.diff(row.cu_seqlens)
            owner = torch.full((8192,), -1)
            owner[: row.num_tokens] = torch.repeat_interleave(torch.arange(len(lengths)), torch.from_numpy(lengths))
            same = owner[:, None] == owner
            places = torch.arange(8192)
            near = (places[:, None] - places).abs() <= 64
            masks = {"full_attention": same[None, None], "sliding_attention": (same & near)[None, None]}
            inputs = {"input_ids": row.token_ids, "labels": row.labels, "position_ids": row.position_ids}
            output = model(**{k: torch.from_numpy(v)[None] for k, v in inputs.items()}, attention_mask=masks)
            output.loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            tokens += row.num_tokens if number else 0
        return tokens, clock_now() - began

    def trainer(self, size: int, *, tuned: bool, steps: int, bf16: bool = False) -> tuple[int, float]:
        """Hugging Face's Trainer on the same documents, masked beforehand."""
        from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

        pad = self.special.pad

        def collate(items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
            width = max(len(item["input_ids"]) for item in items)

            def filled(key: str, fill: int) -> torch.Tensor:
                return torch.tensor([[*item[key], *[fill] * (width - len(item[key]))] for item in items])

            tokens = filled("input_ids", pad)
            clock.sizes.append(int(sum(len(item["input_ids"]) for item in items)))
            return {"input_ids": tokens, "labels": filled("labels", IGNORED), "attention_mask": (tokens != pad).long()}

        class Clock(TrainerCallback):
            def __init__(self) -> None:
                self.times: list[float] = []
                self.sizes: list[int] = []

            def on_step_end(self, *arguments: Any, **options: Any) -> None:
                self.times.append(clock_now())

        clock = Clock()
        data = [{"input_ids": d.token_ids.tolist(), "labels": d.labels.tolist()} for d in self.documents]
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder, per_device_train_batch_size=size, max_steps=steps, learning_rate=RATE, weight_decay=DECAY,
                save_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True, seed=1, bf16=bf16, logging_strategy="no",
                train_sampling_strategy="group_by_length" if tuned else "random", remove_unused_columns=False,
            )  # fmt: skip
            model = self.model(sparse_prediction=tuned)
            model.set_attn_implementation("sdpa")
            trainer = Trainer(model, arguments, train_dataset=data, data_collator=collate, callbacks=[clock])
            trainer.remove_callback(PrinterCallback)
            trainer.train()
        # The loader may be a batch ahead of the step.
        return sum(clock.sizes[1 : len(clock.times)]), clock.times[-1] - clock.times[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="nano", help="a model size of rexplug")
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--length", type=float, default=60, help="median length of a document, in tokens")
    parser.add_argument("--longest", type=int, default=512, help="longest document, in tokens")
    parser.add_argument("--tokens", type=int, default=80_000, help="tokens of all documents")
    parser.add_argument("--batch", type=int, default=8192, help="tokens of an optimizer step of rexplug")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds, after one that is not counted")
    parser.add_argument("--sides", default="", help="run only sides whose name contains one of these, by commas")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    special = special_of(options.vocabulary)
    model = build_model(Model(size=options.size), special, context=8192, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder) / "store", options.tokens, options.length, options.longest, options.vocabulary)
        made = Sides(model, store, special, options.batch, Path(folder))
        sides: dict[str, Callable[[], tuple[int, float]]] = {
            "rexplug, rows of 8,192": lambda: made.bare(8192),
            "rexplug, rows of 1,024": lambda: made.bare(1024),
            "rexplug, train_phase, 8,192": lambda: made.whole(8192),
            "trainer, defaults (8)": lambda: made.trainer(8, tuned=False, steps=8),
            "trainer, defaults, 32": lambda: made.trainer(32, tuned=False, steps=4),
            "trainer, tuned, 32": lambda: made.trainer(32, tuned=True, steps=10),
            "packed, dense mask, 8,192": made.dense_mask,
            "encode": lambda: made.encode("fp32"),
            "bf16: rows of 8,192": lambda: made.bare(8192, "bf16"),
            "bf16: rows of 1,024": lambda: made.bare(1024, "bf16"),
            "bf16: train_phase, 8,192": lambda: made.whole(8192, "bf16"),
            "bf16: trainer, tuned, 32": lambda: made.trainer(32, tuned=True, steps=10, bf16=True),
            "bf16: encode": lambda: made.encode("bf16"),
        }
        if not bf16_instructions():
            sides = {name: side for name, side in sides.items() if not name.startswith("bf16")}
        sides = {name: side for name, side in sides.items() if any(part in name for part in options.sides.split(","))}
        speeds: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(options.rounds + 1):
            for name, side in sides.items():
                tokens, seconds = side()
                if number:
                    speeds[name].append(tokens / seconds)
    ours = next(iter(speeds.values()))
    threads = torch.get_num_threads()
    print(f"{options.size}, vocabulary {options.vocabulary:,}, {len(made.documents)} documents, {threads} thread(s)")
    print(f"{Hardware.find()}, torch {torch.__version__}")
    print(f"{'':30}{'tokens/s':>10}{'lowest':>10}{'highest':>10}{'rexplug is':>14}")
    for name, values in speeds.items():
        # The ratio is taken round by round, so that a slow minute of the machine affects both sides.
        ratio = statistics.median(a / b for a, b in zip(ours, values, strict=True))
        print(f"{name:30}{statistics.median(values):10,.0f}{min(values):10,.0f}{max(values):10,.0f}{ratio:11.2f} x")


if __name__ == "__main__":
    main()
