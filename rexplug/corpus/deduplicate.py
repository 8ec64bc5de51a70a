"""Duplicates within a source: equal texts by hash, near-duplicates by datatrove's MinHash."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rexplug.components import Document
from rexplug.corpus.files import read_file
from rexplug.recipe.schema import MinHash


def exact_duplicates(files: list[Path]) -> set[tuple[int, int]]:
    """(file, row) of documents whose text, case and white space aside, stood in an earlier one."""
    seen: set[bytes] = set()
    found = set()
    for number, path in enumerate(files):
        for row, document in enumerate(read_file(path)):
            key = hashlib.blake2b(
                " ".join(document.text.lower().split()).encode("utf-8", "replace"), digest_size=16
            ).digest()
            if key in seen:
                found.add((number, row))
            seen.add(key)
    return found


def near_duplicates(
    files: list[Path], options: MinHash, seed: int, work: Path, skip: set[tuple[int, int]]
) -> set[tuple[int, int]]:
    """(file, row) of near-duplicates, one of each group spared; the four stages of datatrove's MinHash.

    Documents in `skip` are not looked at. The same files give the same answer.
    """
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.hashing import HashConfig

    from rexplug.corpus.words import RegexWordTokenizer

    shutil.rmtree(work, ignore_errors=True)
    config = MinhashConfig(
        n_grams=options.words, num_buckets=options.buckets, hashes_per_bucket=options.hashes,
        hash_config=HashConfig(precision=64), seed=seed % 2**31,
    )  # fmt: skip
    signatures, buckets, clusters = (str(work / name) for name in ("signatures", "buckets", "clusters"))
    rows = [[row for row, _ in _alive(path, number, skip)] for number, path in enumerate(files)]
    for number, path in enumerate(files):
        step = MinhashDedupSignature(signatures, config=config, language=RegexWordTokenizer())
        step.run(_theirs(path, number, skip), rank=number, world_size=len(files))
    for bucket in range(options.buckets):
        MinhashDedupBuckets(signatures, buckets, config=config).run(None, rank=bucket, world_size=options.buckets)
    MinhashDedupCluster(buckets, clusters, config=config).run(None)
    found = set()
    for number, path in enumerate(files):
        kept = {
            document.metadata["row"]
            for document in MinhashDedupFilter(clusters).run(
                _theirs(path, number, skip), rank=number, world_size=len(files)
            )
        }
        found |= {(number, row) for row in rows[number] if row not in kept}
    shutil.rmtree(work, ignore_errors=True)
    return found


def _alive(path: Path, number: int, skip: set[tuple[int, int]]) -> Iterator[tuple[int, Document]]:
    return ((row, document) for row, document in enumerate(read_file(path)) if (number, row) not in skip)


def _theirs(path: Path, number: int, skip: set[tuple[int, int]]) -> Iterator[Any]:
    from datatrove.data import Document as Theirs

    return (
        Theirs(text=document.text, id=document.id, metadata={"row": row})
        for row, document in _alive(path, number, skip)
    )
