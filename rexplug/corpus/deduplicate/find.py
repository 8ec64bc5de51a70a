"""Finds the rows that are duplicates from the keys of documents, and the document that each of them repeats.

The result is the same for any number of workers, and a step that was finished before is not repeated. The memory of a worker is
bounded by a range of keys, or by the duplicates of one group of shards; this process holds a bit for each document and the
confirmed pairs of one group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rexplug.corpus.deduplicate.choose import Chooser
from rexplug.corpus.deduplicate.compare import KeyRange, candidate_part, equal_part
from rexplug.corpus.deduplicate.confirm import confirm_pairs, write_candidates
from rexplug.corpus.deduplicate.document_bits import DocumentBits
from rexplug.corpus.deduplicate.key_files import KeyFile, merged_in_rounds, num_ranges
from rexplug.corpus.deduplicate.keys import FIRST_BUCKET, TEXT, URL, num_columns
from rexplug.corpus.deduplicate.twins import (
    LARGE_GROUP,
    NEAR,
    SAME_TEXT,
    SAME_URL,
    ShardFiles,
    save_shards,
    write_drops,
    write_twin_ids,
    write_twins,
)
from rexplug.errors import brief
from rexplug.executors import Job, run_jobs
from rexplug.progress import Progress
from rexplug.recipe.schema import Curation
from rexplug.run_directory import read_json

_MOST_GROUPS, _FEWEST_GROUPS, _GROUP_DOCUMENTS = 256, 16, 200_000
"""Consecutive shards are put into groups, one job each: as many groups as shards, but not more than 256, nor more than are needed
for this many documents each. Each group opens the files of all others, which takes longer than the work on a small group."""
_ROUNDS = 5
"""How often documents whose better ones are all dropped are compared with what stays in their place."""


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
    columns = num_columns(curation)
    # Every document has a hash of its text, unless texts are not compared; then addresses alone are.
    column = URL if curation.deduplicate == "none" else TEXT
    counts = np.array([KeyFile(shard.keys, columns).counts[column] for shard in shards], np.int64)
    size = group_size(len(shards), int(counts.sum()))
    groups = [(first, min(first + size, len(shards))) for first in range(0, len(shards), size)]
    chooser = Chooser(counts, groups, curation.keep)
    _Search(tuple(shards), curation, folder, progress, name, size, chooser).run()


def group_size(num_shards: int, num_documents: int) -> int:
    """The number of consecutive shards that one job works on."""
    groups = min(num_shards, _MOST_GROUPS, max(_FEWEST_GROUPS, num_documents // _GROUP_DOCUMENTS))
    return -(-num_shards // groups)


@dataclass(frozen=True)
class _Search:
    """One search for duplicates; `run` tells its story."""

    shards: tuple[ShardFiles, ...]
    curation: Curation
    folder: Path
    progress: Progress
    name: str
    size: int
    chooser: Chooser

    def run(self) -> None:
        files = merged_in_rounds(
            [shard.keys for shard in self.shards], num_columns(self.curation), self.folder, self.curation.executor,
            progress=self.progress, name=self.name,
        )  # fmt: skip
        found: list[tuple[int, Sequence[Path]]] = []
        if self.curation.deduplicate_urls:
            found.append((SAME_URL, self._equal(files, "url", URL, found)))
        if self.curation.deduplicate != "none":
            found.append((SAME_TEXT, self._equal(files, "text", TEXT, found)))
        if self.curation.deduplicate == "minhash":
            found.append((NEAR, self._near(files, found)))
        self._write(found)

    def _jobs(self, jobs: Sequence[Job], task: str) -> None:
        run_jobs(
            jobs, self.curation.executor, logs=self.folder / "logs", progress=self.progress,
            task=f"deduplicate {self.name} ({task})",
        )  # fmt: skip

    def _ranges(
        self, function: Callable[..., int], files: Sequence[Path], field: str, column: int, before: Path | None
    ) -> tuple[list[Job], list[Path]]:
        """The jobs that compare a column of keys, one for each range of them, and the files that they write."""
        columns = num_columns(self.curation)
        count = num_ranges(sum(int(KeyFile(path, columns).counts[column]) for path in files))
        targets = [self.folder / field / f"{part:05d}.npy" for part in range(count)]
        jobs = [
            Job(
                f"{self.name}, {field}, part {part + 1} of {count}", function,
                (KeyRange(files, columns, column, part, count, self.curation.keep, before), target), target.with_suffix(".json"),
            )
            for part, target in enumerate(targets)
        ]  # fmt: skip
        return jobs, targets

    def _dropped(self, found: Sequence[tuple[int, Sequence[Path]]], field: str) -> Path | None:
        """The file of the documents that were dropped before a field is compared; None if nothing was compared before."""
        if not found:
            return None
        dropped = DocumentBits.empty(self.chooser.counts)
        for _, files in found:
            for path in files:
                dropped.add(np.load(path)["worse"])
        target = self.folder / f"dropped-before-{field}.bits"
        dropped.save(target)
        return target

    def _equal(
        self, files: Sequence[Path], field: str, column: int, found: Sequence[tuple[int, Sequence[Path]]]
    ) -> list[Path]:
        """Files of the pairs whose keys are equal, sorted by the worse document."""
        jobs, targets = self._ranges(equal_part, files, f"equal-{field}", column, self._dropped(found, field))
        self._jobs(jobs, field)
        return targets

    def _near(self, files: Sequence[Path], found: Sequence[tuple[int, Sequence[Path]]]) -> list[Path]:
        """Files of the pairs by which near-duplicates are dropped, sorted by the worse document."""
        before = self._dropped(found, "minhash")
        jobs, candidates = [], []
        for bucket in range(self.curation.minhash.buckets):
            of_bucket, targets = self._ranges(candidate_part, files, f"bucket-{bucket}", FIRST_BUCKET + bucket, before)
            jobs += of_bucket
            candidates += targets
        self._jobs(jobs, "minhash")
        groups = self.chooser.groups
        shingles, options = self.folder / "shingles", self.curation.minhash
        jobs = []
        for first, stop in groups:
            record = self.folder / "candidates" / f"{first:05d}.json"
            documents = [shard.documents for shard in self.shards[first:stop]]
            arguments = (documents, first, candidates, options, shingles, record)
            jobs.append(Job(f"{self.name}, shingles from shard {first + 1}", write_candidates, arguments, record))
        self._jobs(jobs, "shingles of candidates")
        edges = [
            [path] for path in self._confirmed([(number, candidates) for number in range(len(groups))], "confirmed")
        ]
        chosen, further = self.chooser.choose(edges, self.folder / "choice-0")
        asked: list[Path] = []
        for number in range(1, _ROUNDS + 1):
            folder = self.folder / f"choice-{number}"
            new = self.chooser.not_asked(further, asked, folder)
            if not new:
                break
            asked += [path for _, path in new]
            confirmed = self._confirmed([(group, [path]) for group, path in new], f"confirmed-{number}")
            if not any(len(np.load(path, mmap_mode="r")) for path in confirmed):
                break
            for (group, _), path in zip(new, confirmed, strict=True):
                edges[group].append(path)
            chosen, further = self.chooser.choose(edges, folder)
        return chosen

    def _confirmed(self, pairs: Sequence[tuple[int, Sequence[Path]]], field: str) -> list[Path]:
        """The files of pairs that are similar enough, one for each of some groups and its files of pairs."""
        jobs, targets = [], []
        for group, files in pairs:
            first = self.chooser.groups[group][0]
            target = self.folder / field / f"{first:05d}.npy"
            arguments = (files, first, self.size, self.curation.minhash, self.folder / "shingles", target)
            title = f"{self.name}, pairs from shard {first + 1}"
            jobs.append(Job(title, confirm_pairs, arguments, target.with_suffix(".json")))
            targets.append(target)
        self._jobs(jobs, "similarity")
        return targets

    def _write(self, found: Sequence[tuple[int, Sequence[Path]]]) -> None:
        shards = self.folder / "shards.pickle"
        save_shards(self.shards, shards)
        by_place, by_twin, ids = (
            [self.folder / field / f"{first:05d}{suffix}" for first, _ in self.chooser.groups]
            for field, suffix in (("by-place", ".npy"), ("by-twin", ".npy"), ("twins", ".arrow"))
        )
        written = [self.folder / "written" / f"{first:05d}.json" for first, _ in self.chooser.groups]
        groups = self.chooser.groups
        together = zip(groups, by_place, by_twin, ids, written, strict=True)
        twins, twin_ids, drops = [], [], []
        for group, place_file, twin_file, id_file, record in together:
            twins.append((found, *group, place_file, twin_file))
            twin_ids.append((shards, *group, by_twin, id_file))
            drops.append((shards, *group, place_file, ids, record))
        self._per_group("duplicates", write_twins, twins, [path.with_suffix(".json") for path in by_twin])
        self._per_group("ids of kept documents", write_twin_ids, twin_ids, [path.with_suffix(".json") for path in ids])
        self._per_group("dropped documents", write_drops, drops, written)
        self._warn([read_json(path.with_suffix(".json"))["large"] for path in ids])

    def _per_group(
        self, task: str, function: Callable[..., int], arguments: Sequence[tuple[Any, ...]], records: Sequence[Path]
    ) -> None:
        """Run a job for each group of shards."""
        jobs = [
            Job(f"{self.name}, {task} from shard {first + 1}", function, given, record)
            for (first, _), given, record in zip(self.chooser.groups, arguments, records, strict=True)
        ]
        self._jobs(jobs, task)

    def _warn(self, large: Sequence[dict[str, Any]]) -> None:
        """Say which documents have a hundred near-duplicates or more: often a template that many different pages share."""
        documents = sum(each["documents"] for each in large)
        if not documents:
            return
        near_duplicates = sum(each["near_duplicates"] for each in large)
        most = sorted((entry for each in large for entry in each["most"]), key=lambda entry: -entry[0])[:3]
        examples = [f"{brief(id)} ({count:,})" for count, id in most]
        self.progress.note(
            f"{self.name}: {documents:,} {'document has' if documents == 1 else 'documents have'} {LARGE_GROUP} "
            f"near-duplicates or more, {near_duplicates:,} in all; most: {', '.join(examples)}. Look at some with "
            "`rexplug corpus why`; if they are different products, raise `curation.minhash.similarity`, or write "
            "`minhash: {numbers: keep, differ: words}`"
        )
