"""Records of JSON files in every layout: lines, arrays, objects over several lines; bad ones alone, in bounded memory."""

import gzip
import io
import json
import random

import pytest

from rexplug.components import Shard
from rexplug.corpus.sources import ERROR, Jsonl
from rexplug.errors import DataError
from rexplug.io import json_values
from rexplug.io.compression import DamagedFile
from rexplug.io.json_values import has_a_record_per_line, json_texts
from rexplug.io.tabular import BadRecord, json_records

RECORDS = [{"text": 'a "b" \\ {[ é ☃', "n": [1, {"x": "}"}, []]}, {"text": "\\"}, {"text": ""}]
LAYOUTS = {
    "lines": "\n".join(map(json.dumps, RECORDS)),
    "array": json.dumps(RECORDS),
    "array of lines": "[\n" + ",\n".join(map(json.dumps, RECORDS)) + "\n]\n",
    "indented array": json.dumps(RECORDS, indent=2, ensure_ascii=False),
    "indented objects": "\n\n" + "\n".join(json.dumps(record, indent=4) for record in RECORDS),
    "objects on one line": "".join(map(json.dumps, RECORDS)),
    "byte-order mark": "\ufeff" + json.dumps(RECORDS, indent=1),
    "two arrays": json.dumps(RECORDS[:1]) + "\n" + json.dumps(RECORDS[1:]),
}


def read(data, longest=1000):
    records = json_records(json_texts(io.BytesIO(data), longest))
    return [(place, record.reason if isinstance(record, BadRecord) else record) for place, record in records]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 18])
def test_every_layout_gives_its_records_and_their_places(monkeypatch, layout, size):
    monkeypatch.setattr(json_values, "_READ_SIZE", size)
    data = LAYOUTS[layout].encode()
    found = read(data)
    assert [record for _, record in found] == RECORDS
    for place, record in found:
        assert json.JSONDecoder().raw_decode(data[place:].decode())[0] == record


def test_random_values_survive_any_cut(monkeypatch):
    random.seed(1)
    signs = ['"', "\\", "{", "}", "[", "]", ",", ":", "é", "\n", " ", "a"]
    records = [{"text": "".join(random.choices(signs, k=random.randrange(30)))} for _ in range(300)]
    data = json.dumps(records, ensure_ascii=False, indent=1).encode()
    for size in (1, 5, 11, 64):
        monkeypatch.setattr(json_values, "_READ_SIZE", size)
        assert [record for _, record in read(data)] == records


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b'[{"text": NaN, "n": 123456789012345678901234567890}]', [(1, {"text": pytest.approx(float("nan"), nan_ok=True), "n": 123456789012345678901234567890})]),
        (b'[{"text": "\xff"}, {"text": "b"}]', [(1, "invalid UTF-8"), (16, {"text": "b"})]),
        (b'[{"text": a}, {"text": "b"}]', [(1, "invalid JSON"), (14, {"text": "b"})]),
        (b'[{"a": 1}, 2, "x", {"text": "b"}, [3]]', [(1, {"a": 1}), (9, "a value that is not a JSON object"), (19, {"text": "b"}), (34, "a line that is not a JSON object")]),
        (b'[{"text": "' + b"x" * 2000 + b'"}, {"text": "b"}]', [(1, "longer than 1000 bytes"), (2015, {"text": "b"})]),
        (b"[]", []), (b"", []), (b" \n\n", []),
        # A first line that is broken costs only itself.
        (b'{"text": "a\n{"text": "b"}\n', [(0, "invalid JSON"), (12, {"text": "b"})]),
        (b'{"text": [\n{"text": "b"}\n', [(0, "invalid JSON"), (11, {"text": "b"})]),
        (b'{"text": "a"} x\n{"text": "b"}\n', [(0, "invalid JSON"), (16, {"text": "b"})]),
        (b'\xff\n{"text": "b"}\n', [(0, "invalid UTF-8"), (2, {"text": "b"})]),
        (b"x" * 2000 + b'\n{"text": "b"}\n', [(0, "longer than 1000 bytes"), (2001, {"text": "b"})]),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_read_costs_only_itself(data, found):
    assert read(data) == found


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'[{"text": "a"}, {"text": "b', "it ends within the value that begins at byte 16"),
        (b'[{"text": "a"},', "it ends within an array"),
        (b'[{"text": "a"]', "the bracket at byte 13 closes another kind of bracket"),
        (b'[{"text": "a"}]}', "the bracket at byte 15 closes what was not opened"),
    ],
)
def test_what_has_no_end_is_damage(tmp_path, data, message):
    with pytest.raises(DamagedFile, match=f"^{message}$"):
        read(data)
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(DataError, match=f"a.json is damaged: {message}; "):
        list(Jsonl(paths=str(tmp_path)).documents(Shard(0, 1)))
    *_, last = Jsonl(paths=str(tmp_path), damaged="skip").documents(Shard(0, 1))
    assert last.metadata[ERROR] == "a damaged file"


def test_memory_is_bounded_by_the_longest_record():
    class Endless(io.RawIOBase):
        """An array with one value of 64 MB, and another after it."""

        parts = iter([b'[{"text": "', *[b"x" * (1 << 16)] * 1024, b'"}, {"text": "b"}]'])

        def readable(self):
            return True

        def read(self, size=-1):
            return next(self.parts, b"")

        def readline(self, size=-1):
            return self.read()

    import tracemalloc

    tracemalloc.start()
    found = list(json_texts(Endless(), 100_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [place for place, _ in found] == [1, 11 + (64 << 20) + 4]
    assert peak < 8 << 20


def test_arrays_are_read_as_sources_whole(tmp_path):
    records = [{"text": f"product number {number}"} for number in range(300)]
    (tmp_path / "a.json").write_text(json.dumps(records, indent=1))
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(json.dumps(records).encode()))
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, records)))
    source = Jsonl(paths=str(tmp_path), split=1000)
    assert [len(pieces) for pieces in source.shards[:3]] == [1, 1, 1]
    assert [piece.file.id for (piece,) in source.shards[:3]] == ["a.json", "b.json.gz", "c.jsonl"]
    texts = [
        d.text for index in range(source.num_shards()) for d in source.documents(Shard(index, source.num_shards()))
    ]
    assert texts == [record["text"] for record in records] * 3
    with (tmp_path / "a.json").open("rb") as array, (tmp_path / "c.jsonl").open("rb") as lines:
        assert (has_a_record_per_line(array, 1000), has_a_record_per_line(lines, 1000)) == (False, True)
