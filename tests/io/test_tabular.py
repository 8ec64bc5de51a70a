"""The readers of JSON lines, CSV and Parquet: positions, bad records, parts of files, damage."""

import datetime
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rexplug.components import Shard
from rexplug.corpus.sources import Parquet
from rexplug.errors import DataError
from rexplug.io.compression import DamagedFile
from rexplug.io.tabular import (
    BadRecord,
    CsvReader,
    byte_lines,
    json_records,
    open_parquet,
    parquet_chunks,
    parquet_records,
    read_records,
)


def test_json_records_keep_the_positions_of_their_lines():
    lines = [(0, b'{"a": 1}\n'), (9, b"  \n"), (12, b'{"a": NaN}\n'), (23, '{"a": "\ud800"}')]
    (first, one), (second, two), (third, three) = json_records(lines)
    assert (first, one) == (0, {"a": 1})
    assert (second, str(two["a"])) == (12, "nan")
    assert (third, three) == (23, {"a": "\ud800"})


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        (b"{", "invalid JSON", "not valid JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b'{"a": "\xff"}', "invalid UTF-8", "not UTF-8: 'utf-8' codec can't decode byte 0xff in position 7: invalid start byte"),
        (b"[" * 100_000, "invalid JSON", "not valid JSON: it is nested too deep"),
        ("[1]", "a line that is not a JSON object", 'expected an object like {"text": ...}'),
    ],
)  # fmt: skip
def test_a_line_without_a_record_has_a_reason(line, reason, detail):
    assert list(json_records([(7, line)])) == [(7, BadRecord(reason, detail))]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 100])
def test_the_parts_of_a_file_hold_each_line_once(size):
    data = b"one\ntwo\n\nfour, which is longer\nfive"
    whole = list(byte_lines(io.BytesIO(data), 100))
    starts = range(0, len(data), size)
    parts = [byte_lines(io.BytesIO(data), 100, start, start + size) for start in starts]
    assert [line for part in parts for line in part] == whole
    assert [data[offset:].splitlines(keepends=True)[0] for offset, _ in whole] == [line for _, line in whole]


def test_a_line_beyond_the_bound_is_not_held_in_memory():
    lines = list(byte_lines(io.BytesIO(b"ok\n" + b"x" * 50 + b"\nok\n"), 10))
    assert lines == [(0, b"ok\n"), (3, BadRecord("longer than 10 bytes", "longer than 10 bytes")), (54, b"ok\n")]


def test_csv_rows_report_their_number_of_fields():
    reader = CsvReader(io.StringIO('a,b\n1,"two\nlines"\n\n3\n4,5,6\n', newline=""), ",")
    assert reader.columns == ["a", "b"]
    rows = [(row.line, row.record, row.num_fields) for row in reader]
    assert rows == [
        (3, {"a": "1", "b": "two\nlines"}, 2), (5, {"a": "3", "b": None}, 1), (6, {"a": "4", "b": "5"}, 3),
    ]  # fmt: skip
    assert CsvReader(iter(()), ",").columns is None
    assert [row.record for row in CsvReader(['1\t"x\n'], "\t", ("n", "text"))] == [{"n": "1", "text": '"x'}]


def test_a_csv_field_beyond_the_bound_is_damage():
    reader = CsvReader(["a\n", "1\n", f"{'x' * 50}\n"], ",", longest=10)
    with pytest.raises(DamagedFile, match=r"^the row that begins at line 3: field larger than field limit \(10\)$"):
        list(reader)


def test_parquet_records_of_some_row_groups(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": range(10), "m": range(10)}), path, row_group_size=4)
    with open_parquet(path) as reader:
        assert list(parquet_records(reader, ("n",), range(1, 3))) == [{"n": n} for n in range(4, 10)]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedFile), open_parquet(path):
        pass


def test_parquet_chunks_of_some_rows(tmp_path):
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"n": list(range(10)), "text": list("abcdefghij")}), path, row_group_size=4)
    with open_parquet(path) as reader:
        chunks = parquet_chunks(reader, "text", np.array([0, 3, 3, 9]))
        assert [text for chunk in chunks for text in chunk.to_pylist()] == ["a", "d", "d", "j"]
        assert list(parquet_chunks(reader, "text", np.array([], np.int64))) == []


def test_small_files_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\n')
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfa\n1\n")
    assert list(read_records(tmp_path / "a.jsonl")) == [(1, {"a": 1})]
    assert list(read_records(tmp_path / "a.csv")) == [(2, {"a": "1"})]


def test_short_rows_are_refused_unless_allowed(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1\n")
    with pytest.raises(DataError, match=r"a\.csv:2: 1 fields where 2 are expected \(a, b\)$"):
        list(read_records(tmp_path / "a.csv"))
    assert list(read_records(tmp_path / "a.csv", short_rows=True)) == [(2, {"a": "1", "b": None})]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", b"a", "is not .jsonl, .csv or .tsv (.gz, .bz2, .zst and .xz may follow)"),
        ("x.csv", None, "No such file or directory"),
        ("x.csv.gz", b"no gzip", "Not a gzipped file"),
        ("x.jsonl.zst", b"no zstd", "cannot read"),
        ("x.jsonl", b'{"a": "\xff"}\n', "can't decode byte 0xff"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(read_records(tmp_path / name))
    assert message in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_blank_lines_before_the_header_are_left_out():
    reader = CsvReader(io.StringIO("\n\r\na,b\n1,2\n", newline=""), ",")
    assert reader.columns == ["a", "b"]
    assert [row.record for row in reader] == [{"a": "1", "b": "2"}]


def test_a_row_of_a_parquet_file_that_python_cannot_hold_is_bad_alone(tmp_path):
    text = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0\4\0\0\0\6\0\0\0"), pa.py_buffer(b"ab\xff\xfecd")]
    )
    pq.write_table(pa.table({"text": text}), tmp_path / "a.parquet")
    with open_parquet(tmp_path / "a.parquet") as reader:
        records = list(parquet_records(reader, ["text"]))
    assert records == [
        {"text": "ab"},
        BadRecord("invalid UTF-8", "not UTF-8: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        {"text": "cd"},
    ]
    source = Parquet(paths=(str(tmp_path / "a.parquet"),))
    documents = list(source.documents(Shard(0, 1)))
    assert [document.text for document in documents] == ["ab", "", "cd"]
    assert documents[1].metadata == {"rexplug_error": "invalid UTF-8", "place": f"{tmp_path}/a.parquet:2"}


def test_a_date_beyond_the_calendar_of_python_is_bad_alone(tmp_path):
    dates = pa.array([0, 10**7], pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"day": dates}), tmp_path / "a.parquet")
    with open_parquet(tmp_path / "a.parquet") as reader:
        first, second = parquet_records(reader, ["day"])
    assert first == {"day": datetime.date(1970, 1, 1)}
    assert second.reason == "a value that cannot be read"
