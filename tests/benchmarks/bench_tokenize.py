"""Tokens per second and core of tokenization compared with the tokenizer library alone.

    python tests/benchmarks/bench_tokenize.py [--data DATA] [--documents 1500] [--rounds 7]

Product pages (esci-us-sample: title, description and bullet points) and encyclopaedia pages (general-text:
wikipedia-en) with the ModernBERT-layout tokenizer. The peer is `tokenizers.Tokenizer.encode_batch` on the same texts,
whose result is discarded. Ours also produces token ids as arrays, offsets, word starts and, where named, salience.
One process, one thread, its CPU time (other work on the machine must not count); rounds of all sides alternate. Ratios
are times over the peer's: the median over rounds, and the best round against the best, which other work disturbs least.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import zstandard

from rexplug import CorpusSample, Document, SalienceScorer
from rexplug.tokens.encode import Encoder
from rexplug_ecommerce.attributes import AttributeSalience
from rexplug_guided_mlm.contrastive import Contrastive

DATA = Path(os.environ.get("REXPLUG_DATA", Path(__file__).parents[2] / "../shared/data"))
CHUNK = 256


def rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open("rb") as raw:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), encoding="utf-8"):
            yield json.loads(line)


def chunks(texts: list[str]) -> list[list[str]]:
    return [texts[i : i + CHUNK] for i in range(0, len(texts), CHUNK)]


def ours(encoder: Encoder, texts: list[str], scorers: list[SalienceScorer]) -> int:
    count = 0
    for chunk in chunks(texts):
        for document in encoder.encode([Document("", text) for text in chunk]):
            count += len(document.token_ids)
            for scorer in scorers:
                scorer.score(document)
    return count


def peer(encoder: Encoder, texts: list[str]) -> int:
    return sum(
        len(encoding)
        for chunk in chunks(texts)
        for encoding in encoder.fast.encode_batch(chunk, add_special_tokens=False)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Tokens per second of tokenization.")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--documents", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    fields = ("title", "description", "bullet_points")
    shop = [
        "\n\n".join(row.get(k) or "" for k in fields)
        for row in rows(options.data / "esci-us-sample/products.jsonl.zst")
    ]
    wiki = [row["text"] for row in rows(options.data / "general-text/wikipedia-en.jsonl.zst")]
    corpora = {"products": shop[: options.documents], "encyclopaedia": list(islice(wiki, options.documents // 4))}
    encoder = Encoder.load(options.data / "tokenizer/modernbert-layout")
    with tempfile.TemporaryDirectory() as folder:
        learnt = {name: [Document("", text) for text in texts] for name, texts in corpora.items()}
        contrastive = Contrastive(domain="products", general="encyclopaedia").fit(CorpusSample(learnt, Path(folder), 1))
        attributes = AttributeSalience()
        sides: dict[str, Callable[[list[str]], int]] = {
            "encode_batch": lambda texts: peer(encoder, texts),
            "no scorer": lambda texts: ours(encoder, texts, []),
            "ecommerce.attributes": lambda texts: ours(encoder, texts, [attributes]),
            "guided_mlm.contrastive": lambda texts: ours(encoder, texts, [contrastive]),
        }
        for name, texts in corpora.items():
            times: dict[str, list[float]] = {side: [] for side in sides}
            tokens = {side: run(texts) for side, run in sides.items()}  # warms up, and all must count the same
            assert len(set(tokens.values())) == 1, tokens
            for _ in range(options.rounds):
                for side, run in sides.items():
                    began = time.process_time()
                    run(texts)
                    times[side].append(time.process_time() - began)
            count = tokens["encode_batch"]
            print(f"\n{name}: {len(texts)} documents, {count:,} tokens, {count / len(texts):.0f} a document")
            for side, seconds in times.items():
                ratio = statistics.median(a / b for a, b in zip(seconds, times["encode_batch"], strict=True))
                print(
                    f"  {side:<24}{count / statistics.median(seconds) / 1e6:6.2f} M tokens/s   "
                    f"time over encode_batch: {ratio:.2f}, best {min(seconds) / min(times['encode_batch']):.2f}"
                )


if __name__ == "__main__":
    main()
