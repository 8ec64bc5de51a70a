"""Files of documents: copied rows make the same file as written documents; values that JSON cannot hold; damage."""

import random

import pyarrow.parquet as pq
import pytest

from rexplug import document_files
from rexplug.components import Document
from rexplug.document_files import DocumentWriter, UnwritableMetadata, read_file
from rexplug.errors import DataError


@pytest.mark.parametrize("seed", range(5))
def test_copied_rows_make_the_file_that_written_documents_make(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(document_files, "_GROUP_ROWS", 50)
    monkeypatch.setattr(document_files, "_GROUP_CHARACTERS", 2000)
    draw = random.Random(seed)
    documents = [
        Document(str(n), "ä" * draw.choice([1, 30, 90, 2500]), draw.choice([None, "https://a.example"]), {"n": n})
        for n in range(400)
    ]
    kept = [draw.random() < 0.7 for _ in documents]
    with DocumentWriter(tmp_path / "all.parquet") as writer:
        for document in documents:
            writer.write(document)
    with DocumentWriter(tmp_path / "written.parquet") as writer:
        for document, keep in zip(documents, kept, strict=True):
            if keep:
                writer.write(document)
    with DocumentWriter(tmp_path / "copied.parquet") as writer, pq.ParquetFile(tmp_path / "all.parquet") as reader:
        first = 0
        for batch in reader.iter_batches(batch_size=37):
            writer.write_batch(batch.filter(kept[first : first + len(batch)]))
            first += len(batch)
    assert writer.num_documents == sum(kept)
    assert (tmp_path / "copied.parquet").read_bytes() == (tmp_path / "written.parquet").read_bytes()
    assert list(read_file(tmp_path / "copied.parquet")) == [d for d, keep in zip(documents, kept, strict=True) if keep]


def test_copied_rows_and_written_documents_keep_their_order(tmp_path):
    with DocumentWriter(tmp_path / "a.parquet") as writer:
        writer.write(Document("1", "one"))
    with DocumentWriter(tmp_path / "b.parquet") as writer, pq.ParquetFile(tmp_path / "a.parquet") as reader:
        writer.write(Document("0", "zero"))
        writer.write_batch(next(reader.iter_batches()))
        writer.write(Document("2", "two"))
    assert [document.id for document in read_file(tmp_path / "b.parquet")] == ["0", "1", "2"]


def test_metadata_beyond_plain_json_is_kept_as_near_as_json_comes(tmp_path):
    metadata = {"big": 2**70, 3: "three", "half": "\ud800", "path": tmp_path}
    with DocumentWriter(tmp_path / "a.parquet") as writer:
        writer.write(Document("1", "one", None, metadata))
    [document] = read_file(tmp_path / "a.parquet")
    assert document.metadata == {"big": 2**70, "3": "three", "half": "\ud800", "path": str(tmp_path)}


CYCLE = {}
CYCLE["again"] = CYCLE


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        (CYCLE, "Circular reference detected"),
        ({"terms": {(1, 2): 3}}, "keys must be str, int, float, bool or None, not tuple"),
    ],
)
def test_metadata_that_json_cannot_hold_name_the_document(tmp_path, metadata, problem):
    with pytest.raises(UnwritableMetadata) as caught, DocumentWriter(tmp_path / "a.parquet") as writer:
        writer.write(Document("op-1", "one", None, metadata))
    assert str(caught.value) == (
        f"the metadata {metadata!r} of the document 'op-1' cannot be written as JSON: {problem}"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    with DocumentWriter(path) as writer:
        writer.write(Document("1", "one"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=rf"^{path} is damaged: "):
        list(read_file(path))
