"""What it costs to call components through `rexplug.plugins.calls`: per document, per row and per batch.

    python tests/benchmarks/bench_plugin_calls.py [--rounds 9] [--against CHECKOUT]

Each call is measured on a component that does nothing, and on one that ships with rexplug, as the methods alone (`direct`) and
through `calls`. With `--against`, another checkout of rexplug is measured in turn with this one, in processes that alternate, and the
last column compares the work of a shipped component through `calls` in both. Times are the fastest of all rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TEXT = (
    "The committee met on 12 March 2024 and read the report. It found three errors, and asked for a new draft by Friday. "
    "Acme steel bottle, 500 ml, navy blue, with a lid of cork. "
) * 8


def cases() -> dict[str, tuple[Callable[[], Any], int, bool]]:
    """Name -> what to time, the number of documents, rows or calls in it, and whether the component does real work."""
    import numpy as np

    import rexplug
    from rexplug.batches.masking import Masker
    from rexplug.batches.mixing import integer_weights
    from rexplug.batches.policies import RandomMasking
    from rexplug.corpus.filters import GopherQuality
    from rexplug.plugins import calls
    from rexplug.text.words import word_bounds
    from rexplug.tokens.special import SpecialTokens
    from rexplug_annealing import Cosine
    from rexplug_ecommerce.attributes import AttributeSalience

    verdict, documents = rexplug.Verdict(True), [rexplug.Document(str(n), f"{TEXT}{n}") for n in range(256)]

    class Keep(rexplug.CorpusFilter):
        name = "toy.keep"

        def judge(self, document: rexplug.Document) -> rexplug.Verdict:
            return verdict

    class Pages(rexplug.DocumentSource):
        name = "toy.pages"

        def documents(self, shard: rexplug.Shard) -> Any:
            return iter(documents)

    starts, ends = word_bounds(TEXT)
    spans = np.stack([starts, ends], 1).astype(np.uint32)
    tokens = rexplug.TokenizedDocument(
        "a", TEXT, np.arange(len(spans), dtype=np.uint32), spans, np.ones(len(spans), np.bool_)
    )
    zeros = np.zeros(len(spans), np.uint8)

    class Zero(rexplug.SalienceScorer):
        name = "toy.zero"

        def score(self, document: rexplug.TokenizedDocument) -> Any:
            return zeros

    length = 8192
    maskable = np.ones(length, np.bool_)
    maskable[::512] = False
    row = rexplug.TokenBatch(np.arange(length), np.arange(0, length + 1, 512), maskable, {})
    chosen = np.zeros(length, np.bool_)

    class Fixed(RandomMasking):
        name = "toy.fixed"

        def choose(self, batch: rexplug.TokenBatch, progress: float, generator: Any) -> Any:
            return chosen

    keep, pages, zero, fixed, random = Keep(), Pages(), Zero(), Fixed(), RandomMasking()
    quality, salience = GopherQuality(), AttributeSalience()
    masker = Masker(random, SpecialTokens(1, 2, 0, 3, 50_000, frozenset(range(4))))
    generator = np.random.default_rng(0)
    schedule = Cosine(start={"web": 0.8, "shop": 0.2}, end={"web": 0.1, "shop": 0.9})
    shard, count = rexplug.Shard(0, 1), len(documents)

    def fresh() -> list[rexplug.Document]:
        return [rexplug.Document(document.id, document.text) for document in documents]

    return {
        "read, nothing, direct": (lambda: list(pages.documents(shard)), count, False),
        "read, nothing, calls": (lambda: list(calls.read_documents(pages, shard)), count, False),
        "judge, nothing, direct": (lambda: [keep.judge(document) for document in documents], count, False),
        "judge, nothing, calls": (lambda: calls.judge_documents(keep, documents), count, False),
        "judge, gopher_quality, calls": (lambda: calls.judge_documents(quality, fresh()), count, True),
        "score, nothing, direct": (lambda: [zero.score(tokens) for _ in range(256)], 256, False),
        "score, nothing, calls": (lambda: [calls.score_document(zero, tokens) for _ in range(256)], 256, False),
        "score, ecommerce.attributes, calls": (
            lambda: [calls.score_document(salience, tokens) for _ in range(16)], 16, True,
        ),
        "choose, nothing, direct": (lambda: [fixed.choose(row, 0.5, generator) for _ in range(256)], 256, False),
        "choose, nothing, calls": (lambda: [calls.choose_tokens(fixed, row, 0.5, generator) for _ in range(256)], 256, False),
        "mask a row of 8,192, random, calls": (lambda: [masker.mask(row, 0.5, generator) for _ in range(16)], 16, True),
        "weights of a batch, annealing.cosine, calls": (
            lambda: [integer_weights(schedule, n / 256, ("web", "shop")) for n in range(256)], 256, True,
        ),
    }  # fmt: skip


def measure() -> dict[str, tuple[float, bool]]:
    """Name -> microseconds per document, row or call, the fastest of several rounds, and whether real work was done."""
    results = {}
    for name, (run, count, works) in cases().items():
        run()
        times: list[float] = []
        until = time.perf_counter() + 0.3
        while time.perf_counter() < until or len(times) < 3:
            began = time.perf_counter()
            run()
            times.append(time.perf_counter() - began)
        results[name] = (min(times) / count * 1e6, works)
    return results


def of_checkout(root: Path) -> dict[str, tuple[float, bool]]:
    """The times of a checkout, measured in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--child"], check=True, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "plugins")])},
    )  # fmt: skip
    return {name: (value, works) for name, (value, works) in json.loads(done.stdout).items()}


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--child", action="store_true")
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure()))
        return
    roots = [ROOT] if options.against is None else [options.against.resolve(), ROOT]
    best: list[dict[str, float]] = [{} for _ in roots]
    works: dict[str, bool] = {}
    for number in range(options.rounds):
        order = list(range(len(roots)))[:: 1 if number % 2 == 0 else -1]
        for place in order:
            for name, (value, real) in of_checkout(roots[place]).items():
                best[place][name] = min(value, best[place].get(name, value))
                works[name] = real
    print("| call | " + ("before | after | change |" if len(roots) > 1 else "microseconds |"))
    print("| --- |" + " --- |" * (3 if len(roots) > 1 else 1))
    for name in best[-1]:
        cells = [f"{times[name]:.2f}" for times in best]
        if len(roots) > 1:
            cells.append(f"{100 * (best[1][name] / best[0][name] - 1):+.1f} %" if works[name] else "")
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
