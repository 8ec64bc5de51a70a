"""Tokens per second of the batch stream compared with transformers' masked-LM collator, on the same tokenized documents.

    python tests/benchmarks/bench_stream.py [--megabytes 12] [--rounds 7]

Documents are real where `shared/data` (or REXPLUG_DATA) exists: general text and product pages, tokenized with the
tokenizer of the data, word starts and attributes marked as in any run; otherwise synthetic, of log-normal lengths. One
process, one thread, CPU time. Both sides mask 30 %. The stream reads the memory-mapped stores, shuffles, mixes two
sources and packs; the collator receives lists of ids that are cut, wrapped and sorted into batches beforehand, outside
its time, and pads. Real tokens are counted, padding is not. Rounds of all sides alternate; medians are printed.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

import rexplug
from rexplug.batches import BatchStream
from rexplug.batches.policies import RandomMasking
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore, close_store, write_shard
from rexplug_guided_mlm.guided import Guided
from rexplug_guided_mlm.policies import Span, WholeWord

DATA = Path(os.environ.get("REXPLUG_DATA", Path(__file__).parents[2] / "../shared/data"))
SETTINGS = ((1024, 65_536), (8192, 65_536), (8192, 8192), (1024, 1024))
"""Context and tokens of a row: as on a GPU, and the smallest possible."""


class Half(rexplug.MixingSchedule):
    """Mixes both sources in equal shares."""

    name: ClassVar[str] = "benchmark.half"

    def weights(self, progress: float) -> Mapping[str, float]:
        return {"a": 1.0, "b": 1.0}


class Marked(rexplug.SalienceScorer):
    """Replaces the real scorers where documents are synthetic."""

    name: ClassVar[str] = "benchmark.marked"

    def score(self, document: rexplug.TokenizedDocument) -> NDArray[np.uint8]:
        return np.zeros(len(document.token_ids), np.uint8)


def made_up(folder: Path, documents: int) -> tuple[dict[str, TokenStore], rexplug.SalienceScorer, SpecialTokens]:
    special = SpecialTokens(cls=2, sep=3, pad=0, mask=4, vocabulary_size=8192, all=frozenset(range(5)))
    stores = {}
    for seed, name in enumerate("ab"):
        draw = np.random.default_rng(seed)
        tokens, words, salience = [], [], []
        for length in draw.lognormal(5.4, 0.8, documents).astype(int).clip(8, 12_000):
            tokens.append(draw.integers(5, 8192, length).astype(np.uint32))
            starts = draw.random(length) < 0.7
            words.append(starts.astype(np.uint8))
            word = np.cumsum(starts) // 2
            levels = np.where(draw.random(word[-1] + 1) < 0.2, draw.integers(60, 256, word[-1] + 1), 0)
            salience.append(levels[word].astype(np.uint8))
        write_shard(
            folder / name, 0, tokens=tokens, channels={"word_start": words, Marked().channel: salience},
            documents={"id": [str(i) for i in range(documents)]}, vocabulary_size=8192,
        )  # fmt: skip
        close_store(folder / name, 1, ["word_start", Marked().channel], "benchmark", 8192)
        stores[name] = TokenStore.open(folder / name)
    return stores, Marked(), special


def texts(paths: list[Path], fields: tuple[str, ...], megabytes: float) -> Iterator[str]:
    import zstandard

    for path in paths:
        done = 0
        with path.open("rb") as file:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8"):
                entry = json.loads(line)
                text = "\n".join(entry[field] for field in fields if entry.get(field))
                done += len(text)
                if done > megabytes * 1e6 / len(paths):
                    break
                yield text


def real(folder: Path, megabytes: float) -> tuple[dict[str, TokenStore], rexplug.SalienceScorer, SpecialTokens]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from rexplug.progress import Silent
    from rexplug.recipe.schema import Executor
    from rexplug.tokens.tokenize import tokenize
    from rexplug_ecommerce.attributes import AttributeSalience

    general = [
        DATA / "general-text" / f"{name}.jsonl.zst"
        for name in ("stackexchange-devops", "wikipedia-en", "factbook", "openstax")
    ]
    parts = {
        "a": texts(general, ("text",), megabytes / 2),
        "b": texts(
            [DATA / "esci-us-sample/products.jsonl.zst"], ("title", "description", "bullet_points"), megabytes / 2
        ),
    }
    for name, documents in parts.items():
        kept = folder / "corpus" / name / "kept"
        kept.mkdir(parents=True)
        found = list(documents)
        columns = {
            "id": [f"{name}{i}" for i in range(len(found))], "text": found, "url": pa.nulls(len(found), pa.string()),
            "metadata": ["{}"] * len(found),
        }  # fmt: skip
        pq.write_table(pa.table(columns), kept / "00000.parquet")
    scorer = AttributeSalience()
    tokenizer = DATA / "tokenizer/modernbert-layout"
    tokenize(
        folder / "corpus", list(parts), tokenizer, {scorer.channel: scorer}, tokens=folder / "tokens",
        executor=Executor(), progress=Silent(),
    )  # fmt: skip
    stores = {name: TokenStore.open(folder / "tokens" / name) for name in parts}
    return stores, scorer, SpecialTokens.read(tokenizer)


def stream_side(
    stores: Mapping[str, TokenStore], special: SpecialTokens, masking: rexplug.MaskingPolicy, context: int, row: int,
    total: int,
) -> tuple[int, float, int]:  # fmt: skip
    stream = BatchStream(
        stores, special=special, context=context, row_tokens=row, batch_tokens=lambda tokens: 524_288,
        total_tokens=10**12, min_tokens=1, mixing=Half(), masking=masking, seed=1, phase="benchmark",
    )  # fmt: skip
    began = time.process_time()
    tokens = width = 0
    for batch, _ in stream.batches():
        tokens += batch.num_tokens
        width += sum(len(row.token_ids) for row in batch.rows)
        if tokens >= total:
            break
    return tokens, time.process_time() - began, width


def collator_sides(
    stores: Mapping[str, TokenStore], special: SpecialTokens, context: int, total: int
) -> dict[str, Callable[[], tuple[int, float, int]]]:
    import torch
    from tokenizers import Tokenizer, models
    from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

    names = {special.pad: "[PAD]", special.cls: "[CLS]", special.sep: "[SEP]", special.mask: "[MASK]"}
    vocabulary = {names.get(i, f"t{i}"): i for i in range(special.vocabulary_size)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, "t5")), pad_token="[PAD]", unk_token="t5",
        cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
    )  # fmt: skip
    torch.set_num_threads(1)
    torch.manual_seed(0)
    documents = [(name, i) for name, store in stores.items() for i in range(store.num_documents)]
    batches: dict[bool, list[list[dict[str, list[object]]]]] = {False: [[]], True: [[]]}
    tokens = inside = 0
    for place in np.random.default_rng(0).permutation(len(documents)):
        name, number = documents[place]
        ids = stores[name].document(number).tolist()
        starts = stores[name].channel("word_start", number).tolist()
        for first in range(0, len(ids), context - 2):
            part = ids[first : first + context - 2]
            size = len(part) + 2
            # Tokens that begin a word have a gap before their offset, by which the collator separates words.
            places, at = [], 0
            for start in starts[first : first + context - 2]:
                at += 1 + start
                places.append((at - 1, at))
            shared = {"input_ids": [special.cls, *part, special.sep], "attention_mask": [1] * size}
            shared["special_tokens_mask"] = [1, *[0] * len(part), 1]
            batches[False][-1].append(shared)
            batches[True][-1].append({**shared, "offset_mapping": [(0, 0), *places, (0, 0)]})
            tokens, inside = tokens + size, inside + size
            if inside >= 65_536:
                inside = 0
                for value in batches.values():
                    value.append([])
        if tokens >= total:
            break
    for batch in batches[True]:  # the collator pads everything but the offsets
        longest = max((len(example["input_ids"]) for example in batch), default=0)
        for example in batch:
            example["offset_mapping"] += [(0, 0)] * (longest - len(example["input_ids"]))

    def side(whole_word: bool) -> tuple[int, float, int]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            collate = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.3, whole_word_mask=whole_word)
            done = width = 0
            began = time.process_time()
            for batch in batches[whole_word]:
                if batch:
                    made = collate([dict(example) for example in batch])
                    width += made["input_ids"].numel()
                    done += sum(len(example["input_ids"]) for example in batch)
            return done, time.process_time() - began, width

    return {"collator": lambda: side(False), "collator, whole words": lambda: side(True)}


def loader_share(stores: Mapping[str, TokenStore], special: SpecialTokens, rounds: int) -> None:
    """Time to make a row compared with a forward and backward pass of the smallest model on it, on this CPU."""
    import torch

    from rexplug.model.build import build_model
    from rexplug.recipe.schema import Model

    model = build_model(Model(size="nano"), special, context=1024, seed=0)
    stream = BatchStream(
        stores, special=special, context=1024, row_tokens=1024, batch_tokens=lambda tokens: 8192, total_tokens=10**12,
        min_tokens=1, mixing=Half(), masking=WholeWord(), seed=1, phase="benchmark",
    )  # fmt: skip
    torch.set_num_threads(1)
    made = trained = 0.0
    batches = stream.batches()
    for _ in range(rounds):
        began = time.process_time()
        batch, _ = next(batches)
        middle = time.process_time()
        for row in batch.rows:
            ids, labels = torch.from_numpy(row.token_ids)[None], torch.from_numpy(row.labels)[None]
            model(input_ids=ids, labels=labels).loss.backward()
            model.zero_grad()
        made, trained = made + middle - began, trained + time.process_time() - middle
    share = made / (made + trained)
    print(
        f"\nLoader share of a step, nano model, rows of 1,024, whole words: {share:.3%} ({rounds} steps of 8,192 tokens)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, default=12, help="text to tokenize, in both sources together")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds, after one that is not counted")
    parser.add_argument("--sides", default="", help="run only sides whose name contains one of these, by commas")
    options = parser.parse_args()
    # glibc gives free memory back to the system up to the size of the largest block freed so far. Without a large one, as every
    # training process has freed, rows would be written to fresh pages each time, and imports would decide what is measured.
    np.ones(3_000_000)
    with tempfile.TemporaryDirectory() as folder:
        if (DATA / "general-text").is_dir():
            stores, scorer, special = real(Path(folder), options.megabytes)
        else:
            stores, scorer, special = made_up(Path(folder), int(options.megabytes * 400))
        about = [
            f"{store.num_documents:,} documents of {store.num_tokens / store.num_documents:,.0f} tokens"
            for store in stores.values()
        ]
        total = min(2_000_000, int(0.8 * sum(store.num_tokens for store in stores.values())))
        print(f"{' and '.join(about)}; {total:,} tokens a round, {options.rounds} rounds\n")
        policies: dict[str, rexplug.MaskingPolicy] = {
            "random": RandomMasking(), "guided": Guided(scorer=scorer), "whole words": WholeWord(), "spans": Span(),
        }  # fmt: skip
        print("| context | row | side | M tokens/s | lowest | highest | fill | times the collator |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for context, row in SETTINGS:
            sides: dict[str, Callable[[], tuple[int, float, int]]] = {
                f"stream, {name}": partial(stream_side, stores, special, policy, context, row, total)
                for name, policy in policies.items()
            }
            if (context, row) == SETTINGS[0]:  # padded to 8,192 its batches take gigabytes
                sides |= collator_sides(stores, special, context, total // 4)
            sides = {
                name: side for name, side in sides.items() if any(part in name for part in options.sides.split(","))
            }
            speeds: dict[str, list[float]] = {name: [] for name in sides}
            fills = {}
            for number in range(options.rounds + 1):
                for name, side in sides.items():
                    tokens, seconds, width = side()
                    fills[name] = tokens / width
                    if number:
                        speeds[name].append(tokens / seconds / 1e6)
            for name, values in speeds.items():
                peer = speeds.get("collator, whole words" if "whole" in name or "spans" in name else "collator", [])
                ratios = [mine / other for mine, other in zip(values, peer, strict=False)]
                times = f"{statistics.median(ratios):.1f}" if ratios else ""
                print(
                    f"| {context:,} | {row:,} | {name} | {statistics.median(values):.2f} | {min(values):.2f} | "
                    f"{max(values):.2f} | {fills[name]:.2%} | {times} |",
                    flush=True,
                )
            guided, random = speeds.get("stream, guided", []), speeds.get("stream, random", [])
            if not guided or not random:
                continue
            ratio = [a / b for a, b in zip(guided, random, strict=True)]
            print(f"| {context:,} | {row:,} | guided / random | {statistics.median(ratio):.3f} | | | | |", flush=True)
        loader_share(stores, special, options.rounds)


if __name__ == "__main__":
    main()
