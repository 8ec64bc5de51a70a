"""Tokens per second of the batch stream beside transformers' masked-LM collator, on the same tokenized documents.

    python tests/benchmarks/bench_stream.py [--documents 4000] [--rounds 7]

Documents are made up, of log-normal lengths; one process, one thread. Both sides wrap each sample in [CLS] and [SEP]
and mask 30 % with the replacements of BERT. The collator pads each batch to its longest sample; the stream packs,
mixes two sources and shuffles as well. Real tokens are counted, padding is not. Rounds of all sides alternate; the
median and the range are printed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

import rexplug
from rexplug.batches import BatchStream
from rexplug.batches.policies import RandomMasking
from rexplug.tokens import SpecialTokens, TokenStore
from rexplug.tokens.store import close_store, write_shard
from rexplug_guided_mlm import Guided, Span, WholeWord

SPECIAL = SpecialTokens(cls=2, sep=3, pad=0, mask=4, vocabulary_size=8192, all=frozenset(range(5)))
CONTEXT, ROW, BATCH = 1024, 8192, 65_536


class Half(rexplug.MixingSchedule):
    """Both sources alike."""

    name: ClassVar[str] = "benchmark.half"

    def weights(self, progress: float) -> Mapping[str, float]:
        return {"a": 1.0, "b": 1.0}


class Marked(rexplug.SalienceScorer):
    """Stands for any scorer; its channel is written below."""

    name: ClassVar[str] = "benchmark.marked"

    def score(self, document: rexplug.TokenizedDocument) -> NDArray[np.uint8]:
        return np.zeros(len(document.token_ids), np.uint8)


def make_store(folder: Path, documents: int, seed: int) -> TokenStore:
    draw = np.random.default_rng(seed)
    tokens, words, salience = [], [], []
    for length in draw.lognormal(5.4, 0.8, documents).astype(int).clip(8, 4000):
        tokens.append(draw.integers(5, 8192, length).astype(np.uint32))
        starts = draw.random(length) < 0.7
        words.append(starts.astype(np.uint8))
        word = np.cumsum(starts)
        levels = np.where(draw.random(word[-1] + 1) < 0.2, draw.integers(60, 256, word[-1] + 1), 0)
        salience.append(levels[word].astype(np.uint8))
    channels = {"word_start": words, Marked().channel: salience}
    folder.mkdir()
    write_shard(
        folder, 0, tokens=tokens, channels=channels, documents={"id": [str(i) for i in range(documents)]},
        vocabulary_size=8192,
    )  # fmt: skip
    close_store(folder, 1, list(channels), "benchmark", 8192)
    return TokenStore.open(folder)


def stream_side(stores: Mapping[str, TokenStore], masking: rexplug.MaskingPolicy, total: int) -> tuple[int, float, int]:
    stream = BatchStream(
        stores, special=SPECIAL, context=CONTEXT, row_tokens=ROW, batch_tokens=lambda tokens: BATCH, total_tokens=total,
        min_tokens=1, mixing=Half(), masking=masking, seed=1, phase="benchmark",
    )  # fmt: skip
    began = time.perf_counter()
    tokens = width = 0
    for batch, _ in stream.batches():
        tokens += batch.num_tokens
        width += sum(len(row.token_ids) for row in batch.rows)
    return tokens, time.perf_counter() - began, width


def collator_side(stores: Mapping[str, TokenStore], total: int) -> tuple[int, float, int]:
    import torch
    from tokenizers import Tokenizer, models
    from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4} | {f"t{i}": i for i in range(5, 8192)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, "[UNK]")), pad_token="[PAD]", unk_token="[UNK]",
        cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
    )  # fmt: skip
    collate = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.3, return_tensors="pt")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    names = [(name, i) for name, store in stores.items() for i in range(store.num_documents)]
    order = np.random.default_rng(0).permutation(len(names))
    began = time.perf_counter()
    tokens = width = inside = 0
    examples: list[dict[str, list[int]]] = []
    for place in order:
        name, document = names[place]
        ids = stores[name].document(int(document))
        for start in range(0, len(ids), CONTEXT - 2):
            examples.append({"input_ids": [2, *ids[start : start + CONTEXT - 2].tolist(), 3]})
            inside += len(examples[-1]["input_ids"])
        if inside >= ROW:
            width += collate(examples)["input_ids"].numel()
            tokens, inside, examples = tokens + inside, 0, []
            if tokens >= total:
                break
    return tokens, time.perf_counter() - began, width


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=4000, help="documents in each of the two sources")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds, after one that is not counted")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stores = {name: make_store(Path(folder) / name, options.documents, seed) for seed, name in enumerate("ab")}
        total = int(0.8 * sum(store.num_tokens for store in stores.values()))
        sides = {
            "transformers collator": lambda: collator_side(stores, total),
            "stream, random": lambda: stream_side(stores, RandomMasking(), total),
            "stream, guided": lambda: stream_side(stores, Guided(scorer=Marked()), total),
            "stream, whole word": lambda: stream_side(stores, WholeWord(), total),
            "stream, span": lambda: stream_side(stores, Span(), total),
        }
        speeds: dict[str, list[float]] = {name: [] for name in sides}
        fills = {}
        for number in range(options.rounds + 1):
            for name, side in sides.items():
                tokens, seconds, width = side()
                fills[name] = tokens / width
                if number:
                    speeds[name].append(tokens / seconds)
    print(f"{total:,} tokens a round, {options.rounds} rounds")
    print(f"{'':24}{'M tokens/s':>12}{'lowest':>10}{'highest':>10}{'fill':>10}")
    for name, values in speeds.items():
        low, high = min(values) / 1e6, max(values) / 1e6
        print(f"{name:24}{statistics.median(values) / 1e6:12.2f}{low:10.2f}{high:10.2f}{fills[name]:10.1%}")


if __name__ == "__main__":
    main()
