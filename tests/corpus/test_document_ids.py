"""Two documents with the same id are reported at run time, whichever shards contain them."""

import json

import numpy as np
import pytest
from separate_shards import split_of

from rexplug.corpus import document_ids
from rexplug.corpus.curate import curate
from rexplug.corpus.document_ids import IdHashWriter, find_repeated_id
from rexplug.corpus.filters import Length
from rexplug.corpus.sources import Jsonl
from rexplug.progress import Silent
from rexplug.recipe.schema import Curation, Executor


def write(folder, rows):
    """One file of documents per shard: (id, number of words)."""
    folder.mkdir()
    for shard, ids in enumerate(rows):
        lines = [json.dumps({"sku": id, "text": f"{shard} {id} " + "word " * words}) for id, words in ids]
        (folder / f"{shard}.jsonl").write_text("\n".join(lines) + "\n")


def run(tmp_path, notes, rows, **options):
    write(tmp_path / "in", rows)
    split = split_of(tmp_path / "in")
    source = Jsonl(paths=(str(tmp_path / "in"),), split=split, filters=(Length(min_words=5),), **options)
    return curate(
        {"web": source}, Curation(held_out=0, deduplicate="none", executor=Executor(workers=2)), seed=3,
        corpus=tmp_path / "corpus", fitted=tmp_path / "fitted", progress=notes,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "count", "places"),
    [
        ([[("a", 9), ("b", 9)], [("c", 9), ("a", 9)]], 2, ("0.jsonl:0", "1.jsonl:67")),
        ([[("a", 9), ("a", 9)], [("c", 9)]], 2, ("0.jsonl:0", "0.jsonl:67")),
        # The id of a document that a filter drops counts too.
        ([[("a", 9)], [("a", 1), ("a", 9), ("d", 9)]], 3, ("0.jsonl:0", "1.jsonl:67")),
    ],
)
def test_a_repeated_id_is_reported(tmp_path, notes, rows, count, places):
    statistics = run(tmp_path, notes, rows, id="sku")
    folder = tmp_path / "in"
    repeated = statistics["sources"]["web"]["repeated_id"]
    assert (repeated["documents"], repeated["id"]) == (count, "a")
    assert [place.removeprefix(f"{folder}/").partition(":")[0] for place in repeated["places"]] == [
        place.partition(":")[0] for place in places
    ]
    [note] = [line for line in notes.lines if "share their id" in line]
    assert note == (
        f"source 'web': {count} documents share their id with another one, e.g. 'a' at {' and '.join(repeated['places'])}; "
        "`sample` draws such documents together, and `corpus why` and `lineage` cannot tell them apart: the field 'sku' "
        "(option `id`) does not tell documents apart; without it the place in the file is the id"
    )


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"id": "sku"}])
def test_differing_ids_get_no_notes(tmp_path, notes, options):
    statistics = run(tmp_path, notes, [[("a", 9), ("b", 9)], [("c", 9), ("d", 9)]], **options)
    assert "repeated_id" not in statistics["sources"]["web"]
    assert [line for line in notes.lines if "share" in line] == []


def test_many_ids_are_compared_a_range_at_a_time(tmp_path, monkeypatch):
    """50,000 ids in five files, 1,000 compared at a time: none is lost or counted twice between two parts."""
    monkeypatch.setattr(document_ids, "_MOST_HASHES", 1000)
    draw = np.random.default_rng(0)
    doubled = set(draw.choice(40_000, 500, replace=False).tolist())
    numbers = [*range(40_000), *doubled]
    shards = []
    for shard, part in enumerate(np.array_split(draw.permutation(numbers), 5)):
        with IdHashWriter(tmp_path / f"{shard}.bin") as writer:
            for number in part:
                writer.add(str(number))
        shards.append(tmp_path / f"{shard}.bin")
    count = document_ids._num_ranges(shards)
    parts = [document_ids._range(shards, part, count) for part in range(count)]
    assert max(map(len, parts)) < 1200
    assert sum(map(len, parts)) == 40_500
    files = [(path, ()) for path in shards]
    found = find_repeated_id(files, tmp_path / "one", Executor(), progress=Silent(), name="web")
    assert found.documents == 1000
    # There are more files than may be open, so they are merged first.
    monkeypatch.setattr("rexplug.corpus.merge_rounds.MOST_FILES", 2)
    assert find_repeated_id(files, tmp_path / "two", Executor(), progress=Silent(), name="web") == found
    assert [len(list((tmp_path / "two").glob(f"merged-{level}/*.bin"))) for level in (0, 1)] == [3, 2]
