"""Curation on small files: reasons, duplicates, the split, any number of workers, continuing."""

import json
import unicodedata
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from separate_shards import split_of

from rexplug.components import CorpusFilter, Document, DocumentSource, Verdict
from rexplug.corpus.curate import curate
from rexplug.corpus.filters import Length
from rexplug.corpus.sources import Jsonl
from rexplug.document_files import read_documents
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
    options.setdefault("source", {"split": split_of(folder / "in")})
    source = Jsonl(paths=(str(folder / "in"),), filters=(Length(min_words=5),), **options.pop("source"))
    curation = Curation(held_out=0.2, executor=Executor(workers=workers), **options)
    return curate(
        {"web": source},
        curation,
        seed=3,
        corpus=folder / out / "corpus",
        fitted=folder / out / "fitted",
        progress=Silent(),
    )


def test_both_folders_are_there_even_if_no_filter_is_fitted(folder):
    # A run that misses one of them does the stage again.
    run(folder, "a")
    assert list((folder / "a" / "fitted").iterdir()) == []


def ids(folder, out, part):
    return [d.id for d in read_documents(folder / out / "corpus" / "web" / part)]


def test_statistics_and_reasons(folder):
    web = run(folder, "a", deduplicate="exact")["sources"]["web"]
    steps = {step["step"]: step for step in web["steps"]}
    assert steps["read"]["reasons"] == {
        "invalid JSON": 1, "invalid UTF-8": 1, "no text in text": 1, "a line that is not a JSON object": 1,
    }  # fmt: skip
    assert steps["length"]["reasons"] == {"too short": 1}
    assert steps["deduplicate"]["reasons"] == {"exact duplicate": 1}
    assert steps["length"]["examples"]["too short"][0]["text"] == "too short"
    assert web["read"]["documents"] == 96
    assert web["kept"]["documents"] + web["held_out"]["documents"] == 90
    assert 8 <= web["held_out"]["documents"] <= 30
    table = pq.read_table(folder / "a" / "corpus" / "web" / "dropped" / "00003.parquet")
    assert table["reason"].to_pylist()[-1] == "too short"


def test_replacement_characters_are_counted_where_documents_are_read(folder):
    write(
        folder / "in" / "8.jsonl",
        [{"text": "Gr\ufffd\ufffde"}, {"text": "One \ufffd in a document that has enough words"}],
    )
    read, *others = run(folder, "a")["sources"]["web"]["steps"]
    assert (read["step"], read["replaced"]) == ("read", {"documents": 2, "characters": 3})
    assert all(step["replaced"] == {"documents": 0, "characters": 0} for step in others)


def test_replacement_characters_are_counted_where_every_record_can_be_read(tmp_path):
    write(
        tmp_path / "in" / "0.jsonl",
        [{"text": f"Gr\ufffd\ufffde {number} of a shop that sells chairs"} for number in range(3)],
    )
    read, *_ = run(tmp_path, "a")["sources"]["web"]["steps"]
    assert (read["step"], read["reasons"]) == ("read", {})
    assert read["replaced"] == {"documents": 3, "characters": 6}


def test_a_decomposed_text_becomes_nfc_before_filters_and_duplicates(tmp_path):
    composed = "Gr\u00fc\u00dfe aus M\u00fcnchen \u304c und \uac00 sagt der Laden heute"
    decomposed = unicodedata.normalize("NFD", composed)
    assert decomposed != composed
    # No NFKC: width, ligatures and superscripts are content. `\u0958` has no composed form in NFC.
    kept = "\uff21\uff22\uff23 \ufb01n m\u00b2 \u0915\u093c hat f\u00fcnf W\u00f6rter"
    write(tmp_path / "in" / "0.jsonl", [{"text": decomposed}, {"text": composed}, {"text": kept}])
    result = run(tmp_path, "a", deduplicate="exact", decontaminate="none")["sources"]["web"]
    (dropped,) = [step for step in result["steps"] if step["step"] == "deduplicate"]
    assert dropped["reasons"] == {"exact duplicate": 1}
    documents = [d for part in ("kept", "held_out") for d in read_documents(tmp_path / "a" / "corpus" / "web" / part)]
    assert {document.text for document in documents} == {composed, kept}
    # Ids contain the byte offset of a document in its file.
    size = len(json.dumps({"text": decomposed}).encode()) + 1
    assert {document.id for document in documents} <= {
        f"0.jsonl:{offset}" for offset in (0, size, size + len(json.dumps({"text": composed}).encode()) + 1)
    }


def test_composed_and_decomposed_files_give_the_same_corpus(tmp_path):
    texts = [
        f"{name} aus K\u00f6ln verkauft T\u00fcren f\u00fcr 5 Euro"
        for name in ("J\u00f6rg", "Andr\u00e9", "Ren\u00e9e")
    ]
    for form in ("NFC", "NFD"):
        lines = [{"text": unicodedata.normalize(form, text), "sku": str(n)} for n, text in enumerate(texts)]
        write(tmp_path / form / "in" / "0.jsonl", lines)
        run(tmp_path / form, "a", source={"id": "sku"})
    for part in ("kept", "held_out"):
        first, second = (
            [(d.id, d.text) for d in read_documents(tmp_path / form / "a" / "corpus" / "web" / part)]
            for form in ("NFC", "NFD")
        )
        assert first == second


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


class Counting(CorpusFilter):
    """Records what it judges, and fails on one document while a file exists."""

    name = "test.counting"
    folder: Path

    def judge(self, document):
        if "kill" in document.text and (self.folder / "armed").exists():
            raise DataError("stopped here")
        with (self.folder / "judged").open("a") as file:
            file.write(document.id + "\n")
        return Verdict(True)


def test_finished_shards_are_not_read_again(tmp_path):
    for number in range(3):
        write(tmp_path / "in" / f"{number}.jsonl", [{"text": f"page {number}"}] + [{"text": "kill"}] * (number == 1))
    (tmp_path / "armed").touch()
    source = Jsonl(paths=str(tmp_path / "in"), split=split_of(tmp_path / "in"), filters=(Counting(folder=tmp_path),))
    options = {"seed": 3, "corpus": tmp_path / "corpus", "fitted": tmp_path / "fitted", "progress": Silent()}
    with pytest.raises(DataError, match="stopped here"):
        curate({"web": source}, Curation(held_out=0), **options)
    (tmp_path / "armed").unlink()
    curate({"web": source}, Curation(held_out=0), **options)
    judged = (tmp_path / "judged").read_text().split()
    assert judged.count("0.jsonl:0") == 1
    assert judged.count("1.jsonl:0") == 2
    assert [d.id for d in read_documents(tmp_path / "corpus" / "web" / "kept")] == [
        "0.jsonl:0", "1.jsonl:0", "1.jsonl:19", "2.jsonl:0",
    ]  # fmt: skip


def test_what_an_interrupted_call_with_other_options_left_is_not_used(tmp_path):
    for number in range(2):
        write(tmp_path / "in" / f"{number}.jsonl", [{"text": f"page {number}"}] + [{"text": "kill"}] * (number == 1))
    (tmp_path / "armed").touch()
    options = {"seed": 3, "corpus": tmp_path / "corpus", "fitted": tmp_path / "fitted", "progress": Silent()}
    chain = (Counting(folder=tmp_path),)
    with pytest.raises(DataError, match="stopped here"):
        curate({"web": Jsonl(paths=str(tmp_path / "in"), filters=chain)}, Curation(held_out=0), **options)
    (tmp_path / "armed").unlink()
    source = Jsonl(paths=str(tmp_path / "in"), filters=(Length(max_words=1), *chain))
    curate({"web": source}, Curation(held_out=0), **options)
    assert [d.text for d in read_documents(tmp_path / "corpus" / "web" / "kept")] == ["kill"]


def test_limit_is_spread_over_shards(folder):
    web = run(folder, "a", source={"limit": 10})["sources"]["web"]
    assert web["read"]["documents"] == 10


def test_an_empty_result_names_its_cause(folder):
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


class Numbered(DocumentSource):
    """Forty shards of 300 documents, whose ids begin with the number of their shard; opened shards are recorded in a file."""

    name = "test.numbered"
    opened: Path

    def num_shards(self):
        return 40

    def documents(self, shard):
        with self.opened.open("a") as file:
            file.write(f"{shard.index}\n")
        for row in range(300):
            yield Document(f"{shard.index}-{row}", f"text {row} of shard {shard.index}")


class Learning(CorpusFilter):
    """Learns the ids of the first documents."""

    name = "test.learning"
    documents: int
    seen: Path

    def fit(self, corpus):
        self.seen.write_text(" ".join(document.id for document in islice(corpus.documents["web"], self.documents)))
        return self

    def judge(self, document):
        return Verdict(False, "all")


@pytest.mark.parametrize(("documents", "shards"), [(100, 1), (2048, 8), (99_999, 40)])
def test_a_filter_learns_from_places_all_over_the_source(tmp_path, documents, shards):
    source = Numbered(opened=tmp_path / "opened", filters=(Learning(documents=documents, seen=tmp_path / "seen"),))
    options = {"seed": 3, "corpus": tmp_path / "corpus", "fitted": tmp_path / "fitted", "progress": Silent()}
    with pytest.raises(DataError, match="nothing is left"):
        curate({"web": source}, Curation(deduplicate="none"), **options)
    ids = (tmp_path / "seen").read_text().split()
    assert len(set(ids)) == len(ids) == min(documents, 12_000)
    places = {int(id.partition("-")[0]) for id in ids}
    assert places == (set(range(0, 40, 5)) if shards == 8 else set(range(shards)))
    opened = [int(line) for line in (tmp_path / "opened").read_text().split()]
    assert len(opened) == shards + 40  # the fit opens only the shards it reads; curation opens all
