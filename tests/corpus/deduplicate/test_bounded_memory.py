"""Many shards and many pairs: the choice among pairs in files equals that of a simple in-memory rule, with bounded memory and open files."""

import gc
import subprocess
import sys
import textwrap
import tracemalloc

import numpy as np
import pytest

from rexplug.corpus.deduplicate import choose
from rexplug.corpus.deduplicate.choose import Chooser
from rexplug.corpus.deduplicate.document_bits import DocumentBits
from rexplug.corpus.deduplicate.find import group_size
from rexplug.corpus.deduplicate.pairs import EDGE, PAIR, save


@pytest.fixture(autouse=True)
def _ordinary_garbage_collection():
    """Python's own thresholds: with higher ones memory holds more garbage."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def places(numbers, rows):
    return (numbers // rows).astype(np.uint64) << np.uint64(32) | (numbers % rows).astype(np.uint64)


def random_edges(draw, documents, rows, keep, count):
    """Distinct random pairs of documents with lengths of 1 to 5, as (EDGE array, rank of each document from best to worst)."""
    lengths = draw.integers(1, 6, documents)
    order = np.lexsort((np.arange(documents), -lengths)) if keep == "longest" else np.arange(documents)
    rank = np.argsort(order)
    pairs = np.unique(np.sort(draw.integers(0, documents, (count, 2)), axis=1), axis=0)
    pairs = order[pairs[pairs[:, 0] != pairs[:, 1]]]  # the better document first
    edges = np.zeros(len(pairs), EDGE)
    edges["better"], edges["worse"] = places(pairs[:, 0], rows), places(pairs[:, 1], rows)
    edges["length"], edges["alike"] = lengths[pairs[:, 1]], draw.integers(70, 100, len(pairs)) / 100
    return edges, {int(place): int(rank[n]) for n, place in enumerate(places(np.arange(documents), rows))}


def chosen_plainly(edges, rank):
    """Reference implementation in dictionaries: dropped documents with the document kept instead, and further pairs worth comparing."""
    of = {}
    for worse, better, _, alike in edges.tolist():
        of.setdefault(worse, []).append((alike, -rank[better], better))
    twin, further = {}, set()
    for worse in sorted(of, key=rank.__getitem__):
        staying = [edge for edge in of[worse] if edge[2] not in twin]
        if staying:
            twin[worse] = max(staying)[2]
        else:
            further |= {(worse, twin[better]) for _, _, better in of[worse]}
    return twin, further


def in_files(edges, groups, folder):
    """Write the edges as the jobs do: one file per group of shards of the worse document."""
    files = []
    for first, stop in groups:
        shards = edges["worse"] >> np.uint64(32)
        files.append([folder / f"edges-{first}.npy"])
        save(files[-1][0], edges[(shards >= first) & (shards < stop)])
    return files


def joined(files, dtype):
    return np.concatenate([np.zeros(0, dtype), *map(np.load, files)])


@pytest.mark.parametrize("keep", ["first", "longest"])
@pytest.mark.parametrize("seed", range(8))
def test_the_choice_in_files_equals_the_reference(tmp_path, monkeypatch, keep, seed):
    monkeypatch.setattr(choose, "MOST_EDGES", 7)
    draw = np.random.default_rng(seed)
    shards, rows = int(draw.integers(1, 12)), int(draw.integers(2, 12))
    edges, rank = random_edges(draw, shards * rows, rows, keep, int(draw.integers(1, 150)))
    groups = [(first, min(first + 3, shards)) for first in range(0, shards, 3)]
    chooser = Chooser(np.full(shards, rows), groups, keep)
    chosen, further = chooser.choose(in_files(edges, groups, tmp_path), tmp_path / "chosen")
    twin, expected = chosen_plainly(edges, rank)
    assert dict(joined(chosen, EDGE)[["worse", "better"]].tolist()) == twin
    new = [path for _, path in chooser.not_asked(further, [], tmp_path / "new")]
    asked = joined(new, PAIR)[["worse", "better"]].tolist()
    assert len(asked) == len(expected)
    assert set(asked) == expected
    assert chooser.not_asked(further, new, tmp_path / "again") == []


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["first", "longest"])
def test_memory_of_the_choice_does_not_grow_with_the_pairs(tmp_path, monkeypatch, keep):
    """Four times the shards, each with the same number of pairs: without blocks this took four times the memory."""
    monkeypatch.setattr(choose, "MOST_EDGES", 2000)
    peaks = []
    for shards in (8, 32):
        draw, rows = np.random.default_rng(1), 2000
        edges, _ = random_edges(draw, shards * rows, rows, keep, shards * 2000)
        groups = [(shard, shard + 1) for shard in range(shards)]
        files = in_files(edges, groups, tmp_path / str(shards))
        del edges
        tracemalloc.start()
        chosen, further = Chooser(np.full(shards, rows), groups, keep).choose(files, tmp_path / f"chosen-{shards}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert chosen
        assert further
    assert peaks[1] < 1.5 * peaks[0]


def test_dropped_documents_are_stored_as_bits(tmp_path):
    counts = [3, 0, 9, 20]
    every = np.concatenate([np.arange(n, dtype=np.uint64) | np.uint64(shard << 32) for shard, n in enumerate(counts)])
    chosen = every[[0, 2, 3, 11, 12, 31]]
    bits = DocumentBits.empty(counts)
    assert not bits.contains(every).any()
    bits.add(chosen[::-1])
    bits.add(chosen[:1])
    bits.save(tmp_path / "x.bits")
    assert bits.bits.nbytes == 4
    for each in (bits, DocumentBits.load(tmp_path / "x.bits")):
        assert each.contains(every).nonzero()[0].tolist() == [0, 2, 3, 11, 12, 31]
    DocumentBits.empty([0]).save(tmp_path / "none.bits")
    assert DocumentBits.load(tmp_path / "none.bits").contains(every[:0]).tolist() == []


@pytest.mark.parametrize(
    ("shards", "documents", "size"),
    [(1, 10, 1), (16, 100, 1), (2000, 6000, 125), (40_000, 120_000, 2500), (160, 8_000_000, 4), (40_000, 10**9, 157)],
)
def test_number_of_groups_of_shards(shards, documents, size):
    assert group_size(shards, documents) == size


@pytest.mark.slow
def test_three_hundred_shards_with_forty_open_files(tmp_path):
    """More shards than are merged at a time; near-duplicates are in neighbouring shards."""
    code = """
    import resource, sys
    from pathlib import Path
    from rexplug.components import Document
    from rexplug.corpus.deduplicate import ShardFiles, find_duplicates, read_drops
    from rexplug.corpus.deduplicate.keys import KeyWriter
    from rexplug.document_files import DocumentWriter
    from rexplug.progress import Silent
    from rexplug.recipe.schema import Curation
    folder, curation, shards = Path(sys.argv[1]), Curation(), []
    for number in range(300):
        files = ShardFiles("web", *(folder / kind / f"{number:05d}" for kind in ("keys", "documents", "drops")))
        pair, letters = number // 2, "abcdefghijklmnopqrstuvwxyz"  # numbers would all be 0
        words = [letters[pair % 26] + letters[pair // 26] + letters[n % 26] + letters[n // 26] for n in range(50)]
        words += ["end"] * (number % 2)
        with DocumentWriter(files.documents) as out, KeyWriter(files.keys, curation, number, 1) as keys:
            document = Document(str(number), " ".join(words))
            out.write(document)
            keys.add(document)
        shards.append(files)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    find_duplicates(shards, curation, folder / "search", progress=Silent(), name="web")
    assert (folder / "search" / "merged-0").is_dir()
    twins = {number: [drop["twin"] for drop in read_drops(files.drops)] for number, files in enumerate(shards)}
    assert twins == {number: [str(number - 1)] if number % 2 else [] for number in range(300)}
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
