"""Faults of real machines: huge documents, a full disk, a kill at any moment, memory that must not grow."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rexplug.components import Document
from rexplug.corpus.curate import curate
from rexplug.corpus.filters import PersonalData
from rexplug.corpus.sources import Jsonl, Parquet
from rexplug.document_files import DocumentWriter, read_documents
from rexplug.errors import DataError
from rexplug.progress import Silent
from rexplug.recipe.schema import Curation

NOUNS = [
    f"{a}{b}{c}"
    for a in ("ch", "t", "l", "st")
    for b in ("a", "e", "i", "o", "u")
    for c in ("lder", "mble", "nter", "rrow", "ve")
]


def prose(draw, sentences):
    """Text that passes every filter of the chain: sentences of invented nouns between common words."""
    frames = ("The {} of the {} and a {} have come to {} with some {}.", "We sell {} that {} and {} be to {} or {}.")
    return "\n".join(frames[draw.randrange(2)].format(*draw.choices(NOUNS, k=5)) for _ in range(sentences))


def run(source, folder, **options):
    curation = Curation(held_out=0, **options)
    return curate(
        {"web": source}, curation, seed=3, corpus=folder / "corpus", fitted=folder / "fitted", progress=Silent()
    )


def test_a_document_of_21_megabytes_is_quarantined_by_default(tmp_path):
    with (tmp_path / "a.jsonl").open("w") as file:
        for text in ("before", "x" * 21_000_000, "after"):
            file.write(json.dumps({"text": text}) + "\n")
    statistics = run(Jsonl(paths=str(tmp_path / "a.jsonl")), tmp_path)
    assert statistics["sources"]["web"]["steps"][0]["reasons"] == {"longer than 20000000 bytes": 1}
    assert [d.text for d in read_documents(tmp_path / "corpus" / "web" / "kept")] == ["before", "after"]


PEAK = """
    import resource, sys
    from pathlib import Path
    from rexplug.corpus.curate import curate
    from rexplug.corpus.filters import C4Quality, FineWebQuality, GopherQuality, GopherRepetition, PersonalData
    from rexplug.corpus.sources import Jsonl
    from rexplug.progress import Silent
    from rexplug.recipe.schema import Curation

    folder, longest = Path(sys.argv[1]), sys.argv[2]
    chain = (C4Quality(min_sentences=-1), GopherQuality(max_words=0), FineWebQuality(), GopherRepetition(), PersonalData())
    source = Jsonl(paths=str(folder / "a.jsonl"), longest=longest, filters=chain)
    curate({"web": source}, Curation(held_out=0.1), seed=3, corpus=folder / "corpus", fitted=folder / "f", progress=Silent())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak(folder, longest="20M"):
    """Peak memory in MB of a process that curates `folder/a.jsonl`."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PEAK), str(folder), longest], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.slow
def test_a_document_of_25_megabytes_goes_through_every_filter_if_asked(tmp_path):
    draw = random.Random(1)
    text = prose(draw, 575_000)
    assert len(text) > 25_000_000
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": text}) + "\n" + json.dumps({"text": text[:3000]}) + "\n")
    assert peak(tmp_path, longest="100M") < 3300
    statistics = json.loads((tmp_path / "corpus" / "statistics.json").read_text())["sources"]["web"]
    assert statistics["read"] == {"documents": 2, "bytes": len(text) + 3000}
    dropped = sum(sum(step["reasons"].values()) for step in statistics["steps"])
    assert statistics["kept"]["documents"] + statistics["held_out"]["documents"] + dropped == 2
    judged = {step["step"]: step["in"] for step in statistics["steps"]}
    assert judged["quality.repetition"] == 2


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus(tmp_path):
    peaks = []
    for size in (6_000, 24_000):
        folder = tmp_path / str(size)
        folder.mkdir()
        with (folder / "a.jsonl").open("w") as file:
            draw = random.Random(1)
            for _ in range(size):
                text = prose(draw, 12)
                file.write(json.dumps({"text": text}) + "\n")
        peaks.append(peak(folder))
    # Signatures of a shard are held until they are sorted: about a kB per document, never more than one shard's.
    assert peaks[1] - peaks[0] < 48


def test_documents_are_written_in_groups_of_rows(tmp_path):
    with DocumentWriter(tmp_path / "a.parquet", score="double") as writer:
        for number in range(12_000):
            writer.write(Document(str(number), "text", metadata={"n": number, "huge": 2**80}), number / 2)
        assert not (tmp_path / "a.parquet").exists()
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3
    documents = list(read_documents(tmp_path))
    assert [d.id for d in documents] == [str(number) for number in range(12_000)]
    assert documents[7].metadata == {"n": 7, "huge": 2**80}


def test_a_file_that_could_not_be_completed_does_not_exist(tmp_path):
    with pytest.raises(ZeroDivisionError), DocumentWriter(tmp_path / "a.parquet") as writer:
        writer.write(Document("1", "text"))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


FULL = """
    import resource, sys
    from pathlib import Path
    from rexplug.corpus.curate import curate
    from rexplug.corpus.sources import Jsonl
    from rexplug.errors import DataError
    from rexplug.progress import Silent
    from rexplug.recipe.schema import Curation, Executor

    if __name__ == "__main__":
        folder, room, workers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
        if room:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        try:
            split = max(path.stat().st_size for path in (folder / "in").iterdir())  # each file is a shard of its own
            source = Jsonl(paths=str(folder / "in"), split=split)
            curate({"web": source}, Curation(deduplicate="exact", executor=Executor(workers=workers)),
                   seed=3, corpus=folder / "corpus", fitted=folder / "f", progress=Silent())
        except DataError as error:
            sys.exit(str(error))
"""


def start(folder, room, workers=1):
    (folder / "full.py").write_text(textwrap.dedent(FULL))
    return subprocess.run(
        [sys.executable, folder / "full.py", folder, str(room), str(workers)],
        capture_output=True,
        text=True,
        timeout=200,
    )


def fill(folder):
    """Two shards, of which the second does not compress into little room."""
    (folder / "in").mkdir()
    (folder / "in" / "0.jsonl").write_text(json.dumps({"text": "small"}) + "\n")
    lines = "".join(json.dumps({"text": os.urandom(2000).hex()}) + "\n" for _ in range(400))
    (folder / "in" / "1.jsonl").write_text(lines)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_reported_and_nothing_is_lost(tmp_path, workers):
    fill(tmp_path)
    first = start(tmp_path, 300_000, workers)
    assert first.stderr.startswith("no room to write 'web', shard 2 of 2: "), first.stderr
    assert first.stderr.strip().endswith("finished shards are kept: make room and run the same command again")
    done = tmp_path / "corpus" / ".work" / "web" / "filtered"
    assert [path.name for path in done.iterdir()] == ["00000.json"]
    assert not list(tmp_path.rglob(".tmp-*"))
    assert start(tmp_path, 0, workers).returncode == 0
    kept = sum(1 for part in ("kept", "held_out") for _ in read_documents(tmp_path / "corpus" / "web" / part))
    assert kept == 401


def contents(folder):
    """The content of the corpus by file; only the path in `place` differs between two folders."""
    return {
        str(path.relative_to(folder)): pq.read_table(path).drop_columns("metadata").to_pylist()
        for path in sorted((folder / "corpus").rglob("*.parquet"))
    }


@pytest.mark.slow
def test_killed_at_many_moments_equals_never_killed(tmp_path):
    for name in ("whole", "killed"):
        (tmp_path / name / "in").mkdir(parents=True)
        for shard in range(4):
            lines = [{"text": f"{shard} {n % 150} " + "oak ash elm " * (n % 60)} for n in range(1500)]
            (tmp_path / name / "in" / f"{shard}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert start(tmp_path / "whole", 0, 2).returncode == 0
    (tmp_path / "killed" / "full.py").write_text(textwrap.dedent(FULL))
    finished, moments = False, 0
    wait = 1.0
    while not finished and moments < 4:
        process = subprocess.Popen(
            [sys.executable, tmp_path / "killed" / "full.py", tmp_path / "killed", "0", "2"], start_new_session=True
        )
        try:
            finished = process.wait(timeout=wait) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            moments += 1
            wait += 1.0
    assert moments > 0
    if not finished:
        assert start(tmp_path / "killed", 0, 2).returncode == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert not list((tmp_path / "killed" / "corpus").rglob(".tmp-*"))


def test_a_missing_column_stops_the_run_by_name(tmp_path):
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a.parquet has no column text; its columns are body"):
        run(Parquet(paths=str(tmp_path / "a.parquet")), tmp_path)


def test_texts_that_a_filter_changed_are_counted_and_marked(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"text": "Write to a@b.example please."}) + "\n" + json.dumps({"text": "Nothing to hide."}) + "\n"
    )
    source = Jsonl(paths=str(tmp_path / "a.jsonl"), filters=(PersonalData(),))
    [step, _] = run(source, tmp_path)["sources"]["web"]["steps"]
    assert (step["in"], step["kept"], step["changed"]) == (2, 2, 1)
    assert step["bytes"]["kept"] - step["bytes"]["in"] == len("email@example.com") - len("a@b.example")
    first, second = read_documents(tmp_path / "corpus" / "web" / "kept")
    assert (first.text, first.metadata["changed"]) == ("Write to email@example.com please.", ["personal_data"])
    assert "changed" not in second.metadata
