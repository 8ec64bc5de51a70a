"""Records of JSON and Parquet as other programs write them."""

import bz2
import gzip
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from rexplug.components import Shard
from rexplug.corpus.sources import ERROR, Csv, HtmlFiles, Jsonl, Parquet
from rexplug.errors import DataError

LINES = b'{"text": "oak chair"}\n{"text": "oak table"}\n'


def read(source):
    count = source.num_shards()
    documents = [document for index in range(count) for document in source.documents(Shard(index, count))]
    return [document.text or document.metadata[ERROR] for document in documents]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
@pytest.mark.parametrize("layout", ["lines", "array"])
def test_json_with_a_byte_order_mark(tmp_path, encoding, layout):
    """Files as Windows programs write them."""
    texts = [f"Stuhl {number} für draußen" for number in range(3000)]
    records = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    content = "\r\n".join(records) if layout == "lines" else "[" + ",\r\n".join(records) + "]"
    (tmp_path / "a.json").write_bytes(content.encode(encoding))
    assert read(Jsonl(paths=str(tmp_path))) == texts
    if layout == "array" or encoding == "utf-16":
        assert read(Jsonl(paths=str(tmp_path), split=1000)) == texts


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ('{"text": "a b"},\n{"text": "c d"},\n', ["a b", "c d"]),
        ('{"text": "a b"},\n{"text": "c d",\n{"text": "e f"}\n', ["a b", "invalid JSON", "e f"]),
        ('[null, {"text": "a b"}]', ["a value that is not a JSON object", "a b"]),
        ('["a", "b"],\n{"text": "a b"}\n', ["invalid JSON", "a b"]),
    ],
)
def test_json_lines_with_commas_and_empty_elements(tmp_path, content, texts):
    (tmp_path / "a.json").write_text(content)
    assert read(Jsonl(paths=str(tmp_path))) == texts


def test_ids_and_addresses_that_are_records_or_lists(tmp_path):
    record = {"text": "oak chair", "_id": {"$oid": "5f"}, "links": [None, "http://x.example/1", "http://x.example/2"]}
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    [document] = Jsonl(paths=str(tmp_path), id="_id", url="links").documents(Shard(0, 1))
    assert (document.id, document.url) == ("$oid: 5f", "http://x.example/1")
    [document] = Jsonl(paths=str(tmp_path), id="_id.$oid").documents(Shard(0, 1))
    assert (document.id, document.url) == ("5f", None)


@pytest.mark.parametrize(
    ("compress", "name"),
    [
        (gzip.compress, "compressed by gzip (.gz)"),
        (bz2.compress, "compressed by bzip2 (.bz2)"),
        (zstandard.compress, "compressed by zstd (.zst)"),
        (lzma.compress, "compressed by xz (.xz)"),
        (lambda content: b"PAR1\x15" + content, "Parquet"),
    ],
)
@pytest.mark.parametrize(
    ("source", "ending"), [(Jsonl, "jsonl"), (Jsonl, "jsonl.gzip"), (Csv, "csv"), (HtmlFiles, "html")]
)
def test_a_file_of_another_kind_than_its_name_says_is_named(tmp_path, compress, name, source, ending):
    file = tmp_path / f"a.{ending}"
    file.write_bytes(compress(LINES))
    with pytest.raises(DataError) as error:
        read(source(paths=str(file)))
    assert str(error.value).startswith(f"{file} is damaged: its content is {name}, which its name does not say; repair")
    assert read(source(paths=str(file), damaged="skip")) == ["a damaged file"]


def test_a_text_may_begin_with_the_signature_of_another_format(tmp_path):
    (tmp_path / "a.csv").write_text("text,PAR1\nBZh 9,1\n")
    (tmp_path / "b.csv").write_text("PAR1,text\n1,BZh 9\n")
    assert read(Csv(paths=str(tmp_path))) == ["BZh 9", "BZh 9"]


def test_single_precision_numbers_keep_their_shortest_decimals(tmp_path):
    table = pa.table(
        {
            "text": ["kettle", "pot", "pan"],
            "price": pa.array([12.3, None, 1e-3], pa.float32()),
            "weight": pa.array([0.1, 5.25, float("nan")], pa.float32()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(Parquet(paths=str(tmp_path), text=("text", "price", "weight"))) == [
        "kettle\n\n12.3\n\n0.1",
        "pot\n\n5.25",
        "pan\n\n0.001",
    ]


def test_an_unknown_time_zone_drops_its_record(tmp_path):
    table = pa.table({"text": ["kettle", "pot"], "t": pa.array([None, 1577934245], pa.timestamp("s", "Mars/Phobos"))})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(Parquet(paths=str(tmp_path))) == ["kettle", "pot"]
    assert read(Parquet(paths=str(tmp_path), metadata={"t": "t"})) == ["kettle", "a value that cannot be read"]
