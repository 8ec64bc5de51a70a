"""Training speed beside Hugging Face's Trainer and beside packing with transformers' own attention, on a CPU.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_training.py [--size nano] [--vocabulary 8192] [--rounds 5]

Every side trains the same weights on the same documents with the same masks; real tokens are counted, padding is not.
Documents are made up, of log-normal lengths (`--length` is the median; product titles and short pages). Rounds of all
sides alternate, the first is not counted; the median, the range and the ratio to rexplug's are printed.

- trainer, defaults: Trainer as it comes, 8 documents a batch, logits for every token; and with 32 documents.
- trainer, tuned: documents of similar length together (`group_by_length`) and `sparse_prediction`, 32 documents.
- packed, dense mask: full rows of 8,192 with transformers' SDPA attention and one mask per layer type.
- rexplug: the same documents packed into rows of 1,024 or 8,192, in a bare loop; and through `train_phase`, which adds
  Composer, callbacks and figures.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

import rexplug
from rexplug.batches import IGNORED, GlobalBatch, Position, Row, rank_rows
from rexplug.batches.policies import RandomMasking
from rexplug.batches.samples import Sample
from rexplug.engine.composer_model import PackedMaskedLM
from rexplug.engine.loader import to_tensors
from rexplug.engine.optimizer import make_optimizer, set_rate
from rexplug.model import build_model, load_model
from rexplug.model.attention import use_packed_attention
from rexplug.progress import Silent
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Model
from rexplug.run_directory import RunDirectory

RATE, DECAY = 1e-3, 1e-5


def clock_now() -> float:
    """Seconds of this process with one thread, so that other work on the machine weighs little; else of the wall."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


@dataclass(frozen=True)
class Special:
    vocabulary_size: int
    cls: int = 1
    sep: int = 2
    pad: int = 3
    mask: int = 4


@dataclass(frozen=True)
class Document:
    token_ids: NDArray[np.int64]
    labels: NDArray[np.int64]


def make_documents(total: int, median: float, longest: int, special: Special) -> list[Document]:
    """Documents of about `total` tokens with 30 % of them masked, 80/10/10."""
    draw = np.random.default_rng(0)
    documents = []
    while total > 0:
        size = int(np.clip(draw.lognormal(np.log(median), 0.7), 6, longest))
        ranks = draw.zipf(1.3, size) % (special.vocabulary_size - 5)
        true = np.concatenate([[special.cls], 5 + ranks[2:], [special.sep]])
        chosen = 1 + draw.choice(size - 2, max(1, round(0.3 * (size - 2))), replace=False)
        labels = np.full(size, IGNORED)
        labels[chosen] = true[chosen]
        shown = true.copy()
        kind = draw.random(len(chosen))
        random_ids = draw.integers(5, special.vocabulary_size, len(chosen))
        shown[chosen] = np.where(kind < 0.8, special.mask, np.where(kind < 0.9, random_ids, true[chosen]))
        documents.append(Document(shown, labels))
        total -= size
    return documents


def make_rows(documents: list[Document], width: int, special: Special) -> list[Row]:
    """Documents packed into rows, each where it leaves least room."""
    rows: list[list[Document]] = []
    room: list[int] = []
    for document in documents:
        fits = [i for i, left in enumerate(room) if left >= len(document.token_ids)]
        if fits:
            best = min(fits, key=lambda i: room[i])
        else:
            rows.append([])
            room.append(width)
            best = len(rows) - 1
        rows[best].append(document)
        room[best] -= len(document.token_ids)
    return [make_row(number, row, width, special) for number, row in enumerate(rows)]


def make_row(number: int, documents: list[Document], width: int, special: Special) -> Row:
    lengths = np.array([len(each.token_ids) for each in documents])
    borders = np.concatenate([[0], lengths.cumsum()])
    size = int(borders[-1])
    tokens, labels, places = np.full(width, special.pad), np.full(width, IGNORED), np.zeros(width, np.int64)
    tokens[:size] = np.concatenate([each.token_ids for each in documents])
    labels[:size] = np.concatenate([each.labels for each in documents])
    places[:size] = np.arange(size) - np.repeat(borders[:-1], lengths)
    nowhere = np.zeros(len(documents), np.int64)
    contents = [Sample(int(n), 0, draw, 0, 0, 0, 0) for draw, n in enumerate(lengths)]
    return Row(
        number, tokens, labels, places, borders.astype(np.int32), int(lengths.max()), size,
        int((labels != IGNORED).sum()), nowhere, nowhere, contents,
    )  # fmt: skip


class Fixed:
    """Stands for a `BatchStream` whose batches are already made."""

    sources = ("made",)
    stores: ClassVar[dict[str, Any]] = {}
    phase, context, min_tokens, seed = "bench", 8192, 1, 0

    def __init__(self, batches: list[list[Row]], special: Special) -> None:
        self.groups, self.special = batches, special
        self.row_tokens = len(batches[0][0].token_ids)
        self.total = sum(row.num_tokens for rows in batches for row in rows)

    start = Position(0, 0, (0,), (0,))

    def done(self, position: Position) -> bool:
        return position.tokens >= self.total

    def epoch_samples(self) -> tuple[int, ...]:
        return (1,)

    def batches(
        self, position: Position, *, rank: int = 0, world: int = 1, worker: int = 0, workers: int = 1
    ) -> Iterator[tuple[GlobalBatch, Position]]:
        assert workers == 1
        tokens = 0
        for number, rows in enumerate(self.groups):
            size = sum(row.num_tokens for row in rows)
            tokens += size
            mine = tuple(rows[i] for i in rank_rows([row.num_tokens for row in rows], rank, world))
            masked = sum(row.num_masked for row in mine)
            capacity = sum(len(row.token_ids) for row in rows)
            contents = tuple(row.contents for row in rows)
            batch = GlobalBatch(number, 0.0, mine, size, masked, capacity, contents, {"made": size}, {"made": 1.0})
            yield batch, Position(number + 1, tokens, (0,), (0,))


def batches_of(rows: list[Row], tokens: int) -> list[list[Row]]:
    """Rows in batches of about `tokens`; the last one may be short and is left out."""
    size = max(1, tokens // len(rows[0].token_ids))
    return [rows[i : i + size] for i in range(0, len(rows) - size + 1, size)]


class One(rexplug.MixingSchedule):
    """One source."""

    name: ClassVar[str] = "benchmark.one"

    def weights(self, progress: float) -> Mapping[str, float]:
        return {"made": 1.0}


class Nothing(rexplug.DocumentSource):
    """Holds no documents: they are made up below."""

    name: ClassVar[str] = "benchmark.nothing"

    def documents(self, shard: rexplug.Shard) -> Iterator[rexplug.Document]:
        return iter(())


def recipe_of(width: int, total: int, batch: int) -> Recipe:
    phase = {
        "name": "bench", "tokens": total, "context": width, "batch_tokens": max(batch, width), "mixing": One(),
        "masking": RandomMasking(), "learning_rate": {"peak": RATE, "schedule": "constant"},
        "optimizer": {"weight_decay": DECAY}, "checkpoints": {"every_minutes": 999},
    }  # fmt: skip
    return Recipe.model_validate(
        {
            "name": "bench", "sources": {"made": Nothing()}, "tokenizer": {"use": "train"}, "model": {"size": "nano"},
            "phases": [phase],
        }
    )  # fmt: skip


class Sides:
    """Each method trains a fresh copy of the weights and returns real tokens and seconds, start-up left out."""

    def __init__(self, model: Any, documents: list[Document], special: Special, batch: int, folder: Path) -> None:
        self.documents, self.special, self.batch, self.folder = documents, special, batch, folder
        model.save_pretrained(folder / "initial")
        self.rows = {width: make_rows(documents, width, special) for width in (1024, 8192)}

    def model(self, **config: Any) -> Any:
        model = load_model(self.folder / "initial")
        for name, value in config.items():
            setattr(model, name, value)
        return model

    def bare(self, width: int) -> tuple[int, float]:
        """Our model and optimizer in a plain loop."""
        model = self.model()
        use_packed_attention(model)
        wrapped = PackedMaskedLM(model, 1, "blocks")
        batches = batches_of(self.rows[width], self.batch)
        recipe = recipe_of(width, 10**9, self.batch)
        optimizer = make_optimizer(model, recipe.phases[0])
        together = max(1, 8192 // width)
        stream = Fixed(batches, self.special)
        made = [(to_tensors(*pair), pair[0].num_masked) for pair in stream.batches(stream.start)]
        tokens, began = 0, 0.0
        for number, (batch, masked) in enumerate(made):
            if number == 1:
                began = clock_now()
            set_rate(optimizer, RATE)
            for i in range(0, len(batch["rows"]), together):
                (wrapped({"rows": batch["rows"][i : i + together]})["loss"] / masked).backward()
            optimizer.step()
            optimizer.zero_grad()
            tokens += batch["about"]["num_tokens"] if number else 0
        return tokens, clock_now() - began

    def whole(self, width: int) -> tuple[int, float]:
        """`train_phase`: the same through Composer, with callbacks and figures, from the second step on."""
        from rexplug.engine import train_phase

        times: list[tuple[float, float]] = []

        class Clock(Silent):
            def update(self, done: float, **figures: float | str) -> None:
                if figures:
                    times.append((clock_now(), done))

        with tempfile.TemporaryDirectory() as folder:
            stream = Fixed(batches_of(self.rows[width], self.batch), self.special)
            recipe = recipe_of(width, stream.total, self.batch)
            train_phase(
                recipe=recipe, phase=recipe.phases[0], stream=stream, start=self.folder / "initial",  # type: ignore[arg-type]
                run=RunDirectory(Path(folder)), progress=Clock(),
            )  # fmt: skip
        return int(times[-1][1] - times[0][1]), times[-1][0] - times[0][0]

    def dense_mask(self) -> tuple[int, float]:
        """Full rows with one mask per layer type, transformers' SDPA attention and sparse prediction."""
        model = self.model(sparse_prediction=True)
        model.set_attn_implementation("sdpa")
        optimizer = torch.optim.AdamW(model.parameters(), RATE)
        tokens, began = 0, 0.0
        for number, row in enumerate(self.rows[8192][:3]):
            if number == 1:
                began = clock_now()
            lengths = np.diff(row.borders)
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

    def trainer(self, size: int, *, tuned: bool, steps: int) -> tuple[int, float]:
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
                save_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True, seed=1, logging_strategy="no",
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
    special = Special(options.vocabulary)
    documents = make_documents(options.tokens, options.length, options.longest, special)
    model = build_model(Model(size=options.size), special, context=8192, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        made = Sides(model, documents, special, options.batch, Path(folder))
        sides: dict[str, Callable[[], tuple[int, float]]] = {
            "rexplug, rows of 8,192": lambda: made.bare(8192),
            "rexplug, rows of 1,024": lambda: made.bare(1024),
            "rexplug, train_phase, 8,192": lambda: made.whole(8192),
            "trainer, defaults (8)": lambda: made.trainer(8, tuned=False, steps=8),
            "trainer, defaults, 32": lambda: made.trainer(32, tuned=False, steps=4),
            "trainer, tuned, 32": lambda: made.trainer(32, tuned=True, steps=10),
            "packed, dense mask, 8,192": made.dense_mask,
        }
        wanted = [part for part in options.sides.split(",") if part]
        sides = {name: side for name, side in sides.items() if not wanted or any(part in name for part in wanted)}
        speeds: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(options.rounds + 1):
            for name, side in sides.items():
                tokens, seconds = side()
                if number:
                    speeds[name].append(tokens / seconds)
    ours = next(iter(speeds.values()))
    threads = torch.get_num_threads()
    print(f"{options.size}, vocabulary {options.vocabulary:,}, {len(documents)} documents, {threads} thread(s)")
    print(f"{'':30}{'tokens/s':>10}{'lowest':>10}{'highest':>10}{'rexplug is':>14}")
    for name, values in speeds.items():
        # The ratio is taken round by round, so that a slow minute of the machine weighs on both sides.
        ratio = statistics.median(a / b for a, b in zip(ours, values, strict=True))
        print(f"{name:30}{statistics.median(values):10,.0f}{min(values):10,.0f}{max(values):10,.0f}{ratio:11.2f} x")


if __name__ == "__main__":
    main()
