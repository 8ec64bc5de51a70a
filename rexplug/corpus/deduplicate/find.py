"""Finds the rows that are duplicates from the keys of documents, and the document that each of them repeats.

The result is the same for any number of workers, and a step that was finished before is not repeated. The memory of a worker is
bounded by a range of keys, or by the candidates of a few shards; this process holds the confirmed pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rexplug.corpus.deduplicate.choose import Edges, choose
from rexplug.corpus.deduplicate.confirm import EDGE, confirm_pairs, write_candidates
from rexplug.corpus.deduplicate.key_files import KeyFile, merged_in_rounds, num_ranges
from rexplug.corpus.deduplicate.keys import FIRST_BUCKET, TEXT, URL, num_columns
from rexplug.corpus.deduplicate.pairs import Pairs, candidate_part, distinct, equal_part, save
from rexplug.corpus.deduplicate.twins import (
    DROP,
    NEAR,
    SAME_TEXT,
    SAME_URL,
    Drops,
    ShardFiles,
    ids_of,
    save_shards,
    write_drops,
    write_twin_ids,
)
from rexplug.errors import brief
from rexplug.executors import Job, run_jobs
from rexplug.progress import Progress
from rexplug.recipe.schema import Curation

_GROUPS = 256
"""Groups of consecutive shards that are one job each, where there are more shards."""
_ROUNDS = 5
"""How often documents whose better ones are all dropped are compared with what stays in their place."""
LARGE_GROUP = 100
"""Near-duplicates of one document that are worth a look."""


def find_duplicates(
    shards: Sequence[ShardFiles], curation: Curation, folder: Path, *, progress: Progress, name: str
) -> None:
    """Write for each shard which of its rows are duplicates, why, and of what.

    Addresses are compared first, then equal texts among what is left, then near-duplicates among what is left of that.

    Args:
        shards: the files of each shard.
        curation: what counts as a duplicate, which one stays, and where the work runs.
        folder: for what is written on the way.
        progress: receives the notes and progress.
        name: of the sources, for messages.
    """
    _Search(tuple(shards), curation, folder, progress, name).run()


@dataclass(frozen=True)
class _Search:
    """One search for duplicates; `run` tells its story."""

    shards: tuple[ShardFiles, ...]
    curation: Curation
    folder: Path
    progress: Progress
    name: str

    def run(self) -> None:
        files = merged_in_rounds(
            [shard.keys for shard in self.shards], num_columns(self.curation), self.folder, self.curation.executor,
            progress=self.progress, name=self.name,
        )  # fmt: skip
        drops: Drops = np.zeros(0, DROP)
        if self.curation.deduplicate_urls:
            drops = self._equal(files, "url", URL, SAME_URL, drops)
        if self.curation.deduplicate != "none":
            drops = self._equal(files, "text", TEXT, SAME_TEXT, drops)
        if self.curation.deduplicate == "minhash":
            drops = self._near(files, drops)
        self._write(drops)

    def _jobs(self, jobs: Sequence[Job], task: str) -> None:
        run_jobs(
            jobs, self.curation.executor, logs=self.folder / "logs", progress=self.progress,
            task=f"deduplicate {self.name} ({task})",
        )  # fmt: skip

    def _ranges(
        self, function: Callable[..., int], files: Sequence[Path], field: str, column: int, before: Path
    ) -> tuple[list[Job], list[Path]]:
        """The jobs that compare a column of keys, one for each range of them, and the files that they write."""
        columns = num_columns(self.curation)
        count = num_ranges(sum(int(KeyFile(path, columns).counts[column]) for path in files))
        targets = [self.folder / field / f"{part:05d}.npy" for part in range(count)]
        jobs = [
            Job(
                f"{self.name}, {field}, part {part + 1} of {count}", function,
                (files, columns, column, part, count, self.curation.keep, before, target), target.with_suffix(".json"),
            )
            for part, target in enumerate(targets)
        ]  # fmt: skip
        return jobs, targets

    def _equal(self, files: Sequence[Path], field: str, column: int, reason: int, drops: Drops) -> Drops:
        before = self.folder / f"before-{field}.npy"
        save(before, drops["place"])
        jobs, targets = self._ranges(equal_part, files, field, column, before)
        self._jobs(jobs, field)
        pairs = np.concatenate([np.load(target) for target in targets])
        return _with(drops, pairs, reason, np.full(len(pairs), np.nan if reason == SAME_URL else 1, np.float32))

    def _near(self, files: Sequence[Path], drops: Drops) -> Drops:
        before = self.folder / "before-minhash.npy"
        save(before, drops["place"])
        jobs, candidates = [], []
        for bucket in range(self.curation.minhash.buckets):
            of_bucket, targets = self._ranges(candidate_part, files, f"bucket-{bucket}", FIRST_BUCKET + bucket, before)
            jobs += of_bucket
            candidates += targets
        self._jobs(jobs, "minhash")
        groups = self._groups()
        shingles, options = self.folder / "shingles", self.curation.minhash
        jobs = []
        for first, stop in groups:
            record = self.folder / "candidates" / f"{first:05d}.json"
            documents = [shard.documents for shard in self.shards[first:stop]]
            arguments = (documents, first, candidates, options, shingles, record)
            jobs.append(Job(f"{self.name}, shingles from shard {first + 1}", write_candidates, arguments, record))
        self._jobs(jobs, "shingles of candidates")
        edges = self._confirmed(candidates, groups, "confirmed")
        chosen, further = choose(edges, self.curation.keep)
        asked = further[:0]
        for number in range(1, _ROUNDS + 1):
            further = _not_in(further, asked)
            if not len(further):
                break
            asked = distinct(np.concatenate([asked, further]))
            path = self.folder / f"further-{number}.npy"
            save(path, further)
            more = self._confirmed([path], groups, f"confirmed-{number}")
            if not len(more):
                break
            edges = np.concatenate([edges, more])
            chosen, further = choose(edges, self.curation.keep)
        return _with(drops, chosen, NEAR, chosen["alike"])

    def _confirmed(self, pairs: Sequence[Path], groups: Sequence[tuple[int, int]], field: str) -> Edges:
        """The pairs of the files that are similar enough."""
        jobs, targets = [], []
        for first, _ in groups:
            target = self.folder / field / f"{first:05d}.npy"
            arguments = (pairs, first, self._size, self.curation.minhash, self.folder / "shingles", target)
            title = f"{self.name}, pairs from shard {first + 1}"
            jobs.append(Job(title, confirm_pairs, arguments, target.with_suffix(".json")))
            targets.append(target)
        self._jobs(jobs, "similarity")
        return np.concatenate([np.zeros(0, EDGE), *(np.load(target) for target in targets)])

    def _groups(self) -> list[tuple[int, int]]:
        """First and last, exclusive, of the shards that one job works on."""
        return [(first, min(first + self._size, len(self.shards))) for first in range(0, len(self.shards), self._size)]

    @property
    def _size(self) -> int:
        """Shards that one job works on."""
        return max(1, -(-len(self.shards) // _GROUPS))

    def _write(self, drops: Drops) -> None:
        by_place, by_twin = self.folder / "drops.npy", self.folder / "drops-by-twin.npy"
        shards = self.folder / "shards.pickle"
        save_shards(self.shards, shards)
        save(by_place, drops)
        save(by_twin, drops[np.argsort(drops["twin"], kind="stable")])
        jobs, ids = [], []
        for first, stop in self._groups():
            target = self.folder / "twins" / f"{first:05d}.arrow"
            arguments: tuple[Any, ...] = (shards, first, stop, by_twin, target)
            record = target.with_suffix(".json")
            jobs.append(Job(f"{self.name}, twins from shard {first + 1}", write_twin_ids, arguments, record))
            ids.append(target)
        self._jobs(jobs, "what is repeated")
        jobs = []
        for first, stop in self._groups():
            record = self.folder / "written" / f"{first:05d}.json"
            arguments = (shards, first, stop, by_place, ids, record)
            jobs.append(Job(f"{self.name}, duplicates from shard {first + 1}", write_drops, arguments, record))
        self._jobs(jobs, "what is dropped")
        self._warn(drops)

    def _warn(self, drops: Drops) -> None:
        """Say which documents have a hundred near-duplicates or more: often a template that many different pages share."""
        twins, counts = np.unique(drops["twin"][drops["reason"] == NEAR], return_counts=True)
        large = np.flatnonzero(counts >= LARGE_GROUP)
        if not len(large):
            return
        largest = large[np.lexsort((twins[large], -counts[large]))][:3]
        examples = [
            f"{brief(ids_of(shard.documents, np.array([int(twins[each]) & 0xFFFFFFFF]))[0])} ({counts[each]:,})"
            for each in largest
            for shard in [self.shards[int(twins[each]) >> 32]]
        ]
        self.progress.note(
            f"{self.name}: {len(large):,} {'document has' if len(large) == 1 else 'documents have'} {LARGE_GROUP} "
            f"near-duplicates or more, {int(counts[large].sum()):,} in all; most: {', '.join(examples)}. Look at some with "
            "`rexplug corpus why`; if they are different products, raise `curation.minhash.similarity`, or write "
            "`minhash: {numbers: keep, differ: words}`"
        )


def _with(drops: Drops, pairs: NDArray[Any], reason: int, alike: NDArray[np.float32]) -> Drops:
    """The drops and those of some pairs, sorted by place."""
    new = np.zeros(len(pairs), DROP)
    new["place"], new["twin"], new["reason"], new["alike"] = pairs["worse"], pairs["better"], reason, alike
    both: Drops = np.concatenate([drops, new])
    return both[np.argsort(both["place"], kind="stable")]


def _not_in(pairs: Pairs, asked: Pairs) -> Pairs:
    """The pairs that were not asked for before."""
    if not len(asked):
        return pairs
    known = set(zip(asked["worse"].tolist(), asked["better"].tolist(), strict=True))
    new = [pair not in known for pair in zip(pairs["worse"].tolist(), pairs["better"].tolist(), strict=True)]
    return pairs[np.array(new, np.bool_)]
