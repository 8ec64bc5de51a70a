"""Documents per second of curation compared with stock datatrove, on the same files, with the same decisions; one core.

    python tests/benchmarks/bench_curation.py DATA [--documents 1500] [--rounds 3] [--skip-spacy]

DATA is a folder with JSON lines (`*.jsonl`, .gz, .zst); the first documents of its files are written into one plain
JSONL file, every tenth a little changed once more, so that there are near-duplicates. Each side reads it, applies
C4, Gopher quality, FineWeb, Gopher repetition, `ecommerce.spam` and `ecommerce.product_page` (as lambdas in datatrove),
writes MinHash signatures of what is kept and writes the documents kept:

- `datatrove`: as installed, words by spaCy, gzip JSON lines;
- `datatrove, regex`: the same chain with our compiled-regex word tokenizer passed in;
- `rexplug`: our filters and our shard worker, zstd Parquet (dropped documents, statistics and keys are written as well).

Rounds of all sides alternate; medians of CPU seconds and the kept sets are compared. `--memory` prints the peak memory
of our side for a corpus of one, four and sixteen times the size instead; `--differences` lists the documents on which the
first and the last side disagree, with the filter, the statistic by each word tokenizer and its bound.
"""

from __future__ import annotations

import argparse
import glob
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rexplug.components import CorpusFilter, Document, Shard
from rexplug.corpus.filters import C4Quality, FineWebQuality, GopherQuality, GopherRepetition
from rexplug.corpus.shard_jobs import SourceJob, filter_shard
from rexplug.corpus.sources import Jsonl
from rexplug.document_files import read_documents
from rexplug.executors.datatrove_logging import silence_datatrove
from rexplug.plugins import calls
from rexplug.recipe.schema import Curation
from rexplug.text.fold import has_other_script
from rexplug_ecommerce.product_page import ProductPage
from rexplug_ecommerce.spam import Spam

LONGEST = 20_000


def chain() -> tuple[CorpusFilter, ...]:
    return (
        C4Quality(min_sentences=5), GopherQuality(), FineWebQuality(), GopherRepetition(), Spam(),
        ProductPage(min_kinds=1, min_density=0),
    )  # fmt: skip


def make_input(data: str, path: Path, documents: int) -> None:
    sources = sorted(glob.glob(f"{data}/**/*.jsonl*", recursive=True))
    each = -(-documents // len(sources))
    number = 0
    with path.open("w", encoding="utf-8") as file:
        for source in sources:
            reader = Jsonl(paths=(source,))
            for document in islice(calls.read_documents(reader, Shard(0, 1)), each):
                text = document.text[:LONGEST]
                for version in [text, f"{text} Seen again."] if number % 10 == 0 else [text]:
                    file.write(json.dumps({"id": str(number), "text": version}) + "\n")
                    number += 1


def theirs(file: Path, folder: Path, language: Any) -> set[str]:
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
        LambdaFilter,
    )  # fmt: skip
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    from rexplug.corpus.deduplicate.minhash import config

    options = {"language": language} if language is not None else {}
    words = {} if language is None else {"language": language}
    ours = [component for component in chain() if isinstance(component, Spam | ProductPage)]
    steps = [
        JsonlReader(str(file.parent), glob_pattern=file.name),
        C4QualityFilter(**options), GopherQualityFilter(**options), FineWebQualityFilter(**options),
        GopherRepetitionFilter(**options),
        *(LambdaFilter(lambda d, component=component: component.judge(Document(d.id, d.text)).keep) for component in ours),
        JsonlWriter(str(folder / "kept")),
    ]  # fmt: skip
    data: Any = None
    kept = set()
    for step in steps:
        data = step(data, 0, 1)

    def remembered() -> Any:
        for document in data:
            kept.add(document.id)
            yield document

    MinhashDedupSignature(str(folder / "signatures"), config=config(Curation().minhash, 1), **words).run(remembered())
    return kept


def ours(file: Path, folder: Path) -> set[str]:
    source = Jsonl(paths=str(file), id="id")
    work = SourceJob(
        source, chain(), Curation(), 1, 1, folder=folder / "work", target=folder / "corpus",
        compared=folder / "compared", first=0,
    )  # fmt: skip
    work.save()
    filter_shard(work.file, 0)
    return {document.id for document in read_documents(folder / "work" / "passed")}


def other_signatures(theirs: Path, own: Path) -> set[int]:
    """Rows of kept documents with a bucket whose key in datatrove's signatures is missing from our file or differs from it."""
    from rexplug.corpus.deduplicate.key_files import KeyFile
    from rexplug.corpus.deduplicate.keys import FIRST_BUCKET, num_columns
    from rexplug.corpus.deduplicate.minhash import bucket_keys

    options = Curation().minhash
    kind = np.dtype([("signature", "<u8", options.hashes), ("row", "<u4")])
    keys = KeyFile(own, num_columns(Curation()))
    others: set[int] = set()
    for bucket in range(options.buckets):
        (path,) = (theirs / f"bucket_{bucket:03d}").iterdir()
        stock = np.fromfile(path, kind)
        ours_ = keys.read(FIRST_BUCKET + bucket, 0, int(keys.counts[FIRST_BUCKET + bucket]))
        pairs = zip(stock["row"].tolist(), map(tuple, bucket_keys(stock["signature"]).tolist()), strict=True)
        own_pairs = zip(
            ours_["place"].tolist(), zip(ours_["high"].tolist(), ours_["low"].tolist(), strict=True), strict=True
        )
        others.update(row for row, _ in set(pairs) ^ set(own_pairs))
    return others


def memory(file: Path, folder: Path) -> None:
    print("copies   MB of text   peak MB")
    for copies in (1, 4, 16):
        more = folder / f"{copies}.jsonl"
        with more.open("wb") as out:
            for _ in range(copies):
                out.write(file.read_bytes())
        command = [sys.executable, __file__, "-", "--peak", str(more)]
        peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        print(f"{copies:6}{more.stat().st_size / 1e6:13.1f}{float(peak):10.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--documents", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--skip-spacy", action="store_true", help="leave out the slow side")
    parser.add_argument(
        "--differences", action="store_true", help="list the documents that spaCy's words decide otherwise, and why"
    )
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--profile", action="store_true", help="print where our side's time goes")
    options = parser.parse_args()
    silence_datatrove()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.peak:
            ours(options.peak, folder)
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
            return
        file = folder / "input.jsonl"
        make_input(options.data, file, options.documents)
        if options.memory:
            memory(file, folder)
            return
        number = sum(1 for _ in file.open("rb"))
        if options.differences:
            explain(file, folder)
            return
        if options.profile:
            import cProfile

            ours(file, folder / "warm")
            cProfile.runctx("ours(file, folder / 'profiled')", globals(), locals(), sort="tottime")
            return
        compare(file, folder, number, options.rounds, spacy=not options.skip_spacy)


def explain(file: Path, folder: Path) -> None:
    from curation_differences import differences, table

    stock, own = theirs(file, folder / "theirs", None), ours(file, folder / "ours")
    texts = {each["id"]: each["text"] for each in map(json.loads, file.open(encoding="utf-8"))}
    print(
        f"kept by both {len(stock & own)}, with spaCy's words alone {len(stock - own)}, with ours alone {len(own - stock)}"
    )
    print(table(list(differences(texts, sorted(stock ^ own, key=int)))))


def compare(file: Path, folder: Path, number: int, rounds: int, *, spacy: bool) -> None:
    from rexplug.corpus.datatrove.word_tokenizer import RegexWordTokenizer

    sides: dict[str, Callable[[Path], set[str]]] = {
        **({"datatrove": lambda out: theirs(file, out, None)} if spacy else {}),
        "datatrove, regex": lambda out: theirs(file, out, RegexWordTokenizer()),
        "rexplug": lambda out: ours(file, out),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    kept: dict[str, set[str]] = {}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            out = folder / name
            shutil.rmtree(out, ignore_errors=True)
            # Processor time: other work on the machine does not count, and neither side waits for anything.
            began = time.process_time()
            kept[name] = side(out)
            if turn:  # the first round loads models and fills caches
                seconds[name].append(time.process_time() - began)
    size = file.stat().st_size / 1e6
    print(f"{number} documents, {size:.1f} MB, {rounds} rounds; median CPU seconds of one core")
    base = statistics.median(seconds["rexplug"])
    for name, values in seconds.items():
        middle = statistics.median(values)
        print(
            f"{name:18}{number / middle:9.0f} documents/s{size / middle:8.2f} MB/s  rexplug is {middle / base:5.1f} times as fast"
            f"  kept {len(kept[name])}, of which {len(kept[name] & kept['rexplug'])} are kept by rexplug too"
        )
    print(f"kept sets of 'datatrove, regex' and rexplug equal: {kept['datatrove, regex'] == kept['rexplug']}")
    (own,) = (folder / "rexplug" / "work" / "keys").iterdir()
    others = other_signatures(folder / "datatrove, regex" / "signatures", own)
    texts = [document.text for document in read_documents(folder / "rexplug" / "work" / "passed")]
    scripts = sum(has_other_script(texts[row]) for row in others)
    print(
        f"MinHash signatures equal for {len(texts) - len(others)} of {len(texts)} documents; {scripts} of the others have letters "
        "of other scripts than Latin, Greek and Cyrillic"
    )


if __name__ == "__main__":
    main()
