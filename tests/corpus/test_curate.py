"""Curation on small files: reasons, duplicates, the split, any number of workers, continuing."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from rexplug.components import Document
from rexplug.corpus import curate, read_documents
from rexplug.corpus.filters import GopherQuality, Length
from rexplug.corpus.sources import Csv, Jsonl, Parquet, TextFiles
from rexplug.errors import DataError
from rexplug.progress import Silent
from rexplug.recipe.schema import Curation, Executor

TEXT = "The shop number {n} sells the finest garden chairs and tables that you have ever seen in the town of {m}."


def write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines) + b"\n"
    )


@pytest.fixture
def folder(tmp_path):
    words = [f"{a}{b}" for a in "bcdfgh" for b in ("ale", "ond", "urg", "ina", "ost", "ark")]
    for number in range(3):
        docs = [
            {
                "text": " ".join(
                    [TEXT.format(n=i, m=number), *(words[(i * 7 + j * (number + 3)) % 36] for j in range(20))]
                )
            }
            for i in range(30)
        ]
        write(tmp_path / "in" / f"{number}.jsonl", docs)
    extra = [{"text": "too short"}, b"{broken", b'{"text": "\xff"}', {"title": "no text"}, [1]]
    first = json.loads((tmp_path / "in" / "0.jsonl").read_text().splitlines()[0])
    write(tmp_path / "in" / "9.jsonl", [*extra, {"text": "  " + first["text"].upper()}])
    return tmp_path


def run(folder, out, workers=1, **options):
    source = Jsonl(paths=(str(folder / "in"),), filters=(Length(min_words=5),), **options.pop("source", {}))
    curation = Curation(held_out=0.2, executor=Executor(workers=workers), **options)
    return curate(
        {"web": source},
        curation,
        seed=3,
        corpus=folder / out / "corpus",
        fitted=folder / out / "fitted",
        progress=Silent(),
    )


def ids(folder, out, part):
    return [d.id.rsplit("/", 1)[1] for d in read_documents(folder / out / "corpus" / "web" / part)]


def test_statistics_and_reasons(folder):
    web = run(folder, "a", deduplicate="exact")["sources"]["web"]
    steps = {step["step"]: step for step in web["steps"]}
    assert steps["read"]["reasons"] == {
        "invalid JSON": 1, "invalid UTF-8": 1, "no text in text": 1, "a line that is no JSON object": 1,
    }  # fmt: skip
    assert steps["length"]["reasons"] == {"too short": 1}
    assert steps["deduplicate"]["reasons"] == {"exact duplicate": 1}
    assert steps["length"]["examples"]["too short"][0]["text"] == "too short"
    assert web["read"]["documents"] == 96
    assert web["kept"]["documents"] + web["held_out"]["documents"] == 90
    assert 8 <= web["held_out"]["documents"] <= 30
    table = pq.read_table(folder / "a" / "corpus" / "web" / "dropped" / "00003.parquet")
    assert table["reason"].to_pylist()[-1] == "too short"


@pytest.mark.slow
def test_the_result_does_not_depend_on_the_number_of_workers(folder):
    run(folder, "one")
    run(folder, "two", workers=2)
    for part in ("kept", "held_out", "dropped"):
        assert ids(folder, "one", part) == ids(folder, "two", part)


def test_near_duplicates_leave_one(tmp_path):
    # Letters only: datatrove takes all numbers for the same one.
    words = [f"{a}{b}{c}" for a in "bcdfg" for b in "aeiou" for c in "klmnprst"]
    base = " ".join(words)
    write(
        tmp_path / "in" / "a.jsonl",
        [{"text": base}, {"text": base + " end"}, {"text": " ".join(reversed(words))}],
    )
    web = run(tmp_path, "a")["sources"]["web"]
    assert web["steps"][-1]["reasons"] == {"near-duplicate": 1}


def test_finished_shards_are_not_read_again(folder):
    run(folder, "a")
    expected = ids(folder, "a", "kept")
    shutil.rmtree(folder / "a")
    source = Jsonl(paths=(str(folder / "in"),), filters=(Length(min_words=5),))
    from rexplug.corpus.curate import _filter

    work = folder / "a" / "corpus" / ".work" / "web"
    _filter("web", source, source.filters, 1, work, folder / "a" / "corpus" / "web", Silent())
    (work / "00001.json").unlink()
    before = (work / "passed" / "00000.parquet").stat().st_mtime_ns
    _filter("web", source, source.filters, 1, work, folder / "a" / "corpus" / "web", Silent())
    assert (work / "passed" / "00000.parquet").stat().st_mtime_ns == before
    run(folder, "a")
    assert ids(folder, "a", "kept") == expected


def test_limit_is_spread_over_shards(folder):
    web = run(folder, "a", source={"limit": 10})["sources"]["web"]
    assert web["read"]["documents"] == 10


def test_nothing_left_says_why(folder):
    source = Jsonl(paths=(str(folder / "in"),), filters=(Length(min_words=5000),))
    with pytest.raises(DataError) as caught:
        curate({"web": source}, Curation(), seed=3, corpus=folder / "c", fitted=folder / "f", progress=Silent())
    assert str(caught.value).startswith("nothing is left of source 'web'; its filters dropped: length: too short (92)")


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "in" / "a.jsonl.gz"
    path.parent.mkdir()
    path.write_bytes(b"no gzip")
    with pytest.raises(DataError, match=r"a.jsonl.gz is damaged: Not a gzipped file"):
        run(tmp_path, "a")


def test_other_formats(tmp_path):
    (tmp_path / "a.csv").write_text("title,text\nChair,Of oak\nTable,\n")
    (tmp_path / "b.txt").write_text("Hello\n")
    import pyarrow as pa

    pq.write_table(pa.table({"name": ["x"], "bullets": [["one", "two"]]}), tmp_path / "c.parquet")
    assert [d.text for d in Csv(paths=(str(tmp_path),), text=("title", "text")).read(tmp_path / "a.csv")] == [
        "Chair\n\nOf oak",
        "Table",
    ]
    assert [d.text for d in TextFiles(paths=(str(tmp_path),)).read(tmp_path / "b.txt")] == ["Hello"]
    parquet = Parquet(paths=(str(tmp_path),), text=("name", "bullets"))
    assert [d.text for d in parquet.read(tmp_path / "c.parquet")] == ["x\n\none\ntwo"]
    with pytest.raises(DataError, match=r"c.parquet has no column text; its columns are bullets, name"):
        list(Parquet(paths=(str(tmp_path),)).read(tmp_path / "c.parquet"))


def test_gopher_gives_its_reasons():
    assert GopherQuality().judge(Document("1", "short")).reason == "gopher_short_doc"
