"""A source of a plugin that subclasses `rexplug.FileSource`: folders, compression, damage and ids as the core's have them."""

import gzip
from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar

import pytest

import rexplug
from rexplug.components import Shard
from rexplug.components.document import ERROR
from rexplug.errors import DataError, PluginError
from rexplug.plugins.calls import read_documents
from rexplug.testing import check_document_source


class Paragraphs(rexplug.FileSource):
    """Paragraphs of text files, a document each; a paragraph of question marks cannot be read."""

    name: ClassVar[str] = "toy.paragraphs"
    suffixes: ClassVar[tuple[str, ...]] = (".par", ".par.gz")

    def read(self, piece: rexplug.Piece) -> Iterator[rexplug.Document | rexplug.Unreadable]:
        with self.open(piece) as file:
            for number, paragraph in enumerate(file.read().decode().split("\n\n"), 1):
                if set(paragraph) == {"?"}:
                    yield self.unreadable_at(piece.file, number, "nothing but question marks")
                else:
                    yield self.document_at(piece.file, number, paragraph, number=number)


class Answers(rexplug.FileSource):
    """The answers of JSON records, a document each."""

    name: ClassVar[str] = "toy.answers"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".jsonl.gz", ".json")

    def read(self, piece: rexplug.Piece) -> Iterator[rexplug.Document | rexplug.Unreadable]:
        for place, record in self.json_records(piece):
            if isinstance(record, rexplug.Unreadable):
                yield record
                continue
            for number, answer in enumerate(record["answers"]):
                yield self.document_at(piece.file, f"{place}:{number}", answer)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.par").write_text("one\n\n???\n\nthree")
    (tmp_path / "b.par.gz").write_bytes(gzip.compress(b"four\n\nfive" + bytes(range(256)).hex().encode() * 50))
    (tmp_path / "_left.par").write_text("left out")
    (tmp_path / "other.txt").write_text("left out")
    return tmp_path


def read(source):
    return list(read_documents(source, Shard(0, 1)))


def test_it_reads_a_folder(folder):
    documents = read(Paragraphs(paths=str(folder)))
    assert [document.id for document in documents] == ["a.par:1", "a.par:2", "a.par:3", "b.par.gz:1", "b.par.gz:2"]
    assert documents[0].metadata == {"number": 1, "place": f"{folder / 'a.par'}:1"}
    assert documents[1].text == ""
    assert documents[1].metadata == {"place": f"{folder / 'a.par'}:2", ERROR: "nothing but question marks"}
    check_document_source(Paragraphs(paths=str(folder)))


def test_damage_is_refused_or_skipped(folder):
    cut = (folder / "b.par.gz").read_bytes()
    (folder / "b.par.gz").write_bytes(cut[: len(cut) // 2])
    with pytest.raises(DataError, match=r"b\.par\.gz is damaged: .*; repair or remove it, or write `damaged: skip`"):
        read(Paragraphs(paths=str(folder)))
    documents = read(Paragraphs(paths=str(folder), damaged="skip"))
    assert documents[-1].metadata[ERROR] == "a damaged file"


def test_json_records_are_read_one_by_one(tmp_path):
    lines = b'{"answers": ["one", "two"]}\n{"answers": [\n{"answers": ["three"]}\n'
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "b.json").write_text('[{"answers": []}, {"answers": ["four"]}]', encoding="utf-16")
    source = Answers(paths=str(tmp_path))
    assert [(document.id, document.text) for document in read(source)] == [
        ("a.jsonl.gz:0:0", "one"),
        ("a.jsonl.gz:0:1", "two"),
        ("a.jsonl.gz:28", ""),
        ("a.jsonl.gz:42:0", "three"),
        ("b.json:18:0", "four"),
    ]
    assert read(source)[2].metadata == {"place": f"{tmp_path / 'a.jsonl.gz'}:28", ERROR: "invalid JSON"}
    check_document_source(source)


def test_a_long_record_is_left_out_alone(tmp_path):
    lines = ['{"answers": ["one"]}', '{"answers": ["' + "x" * 200 + '"]}', '{"answers": ["three"]}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    documents = read(Answers(paths=str(tmp_path), longest=100))
    assert [document.text for document in documents] == ["one", "", "three"]
    assert documents[1].metadata[ERROR] == "longer than 100 bytes"


def test_a_part_of_a_file_has_the_records_that_begin_in_it(tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(f'{{"answers": ["{number}"]}}\n' for number in range(6)))
    source = Answers(paths=str(tmp_path))
    pieces = [rexplug.Piece(source.files[0], start, stop) for start, stop in pairwise([0, 30, 75, None])]
    texts = [[document.text for document in source.read(piece)] for piece in pieces]
    assert texts == [["0", "1"], ["2", "3"], ["4", "5"]]


def test_a_reason_must_be_a_text():
    class Wrong(rexplug.DocumentSource):
        name: ClassVar[str] = "toy.wrong"

        def documents(self, shard):
            yield rexplug.Unreadable("1", 7)

    with pytest.raises(
        PluginError, match=r"^toy\.wrong\.documents\(\) yielded an Unreadable with the reason 7; expected a str$"
    ):
        read(Wrong())
