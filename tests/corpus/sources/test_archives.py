"""Web archives with other compression, cut-off files, and files that are not archives."""

import bz2
import gzip
import lzma

import pytest
import zstandard

from rexplug.components import Shard
from rexplug.corpus.sources import ERROR, Warc
from rexplug.errors import DataError

HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"


def record(number, length=None, kind="response"):
    block = HTTP + f"<html><body><p>Oak chair number {number}, made of solid oak.</p></body></html>".encode()
    length = len(block) if length is None else length
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://x.example/{number}\r\n"
        f"Content-Type: application/http; msgtype={kind}\r\n"
    )
    return (
        head.encode()
        + (f"Content-Length: {length}\r\n".encode() if length != "none" else b"")
        + b"\r\n"
        + block
        + b"\r\n\r\n"
    )


RECORDS = [record(number) for number in range(5)]


def read(tmp_path, content, name="a.warc", **options):
    (tmp_path / name).write_bytes(content)
    found = list(Warc(paths=str(tmp_path), extract="none", **options).documents(Shard(0, 1)))
    assert len({document.id for document in found}) == len(found)
    return [document.metadata.get(ERROR) or document.url[len("http://x.example/") :] for document in found]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.warc.gz", b"".join(map(gzip.compress, RECORDS))),
        ("a.warc.gz", gzip.compress(b"".join(RECORDS))),
        ("a.warc.gz", gzip.compress(b"".join(RECORDS[:1])) + gzip.compress(b"".join(RECORDS[1:]))),
        ("a.warc", gzip.compress(b"".join(RECORDS))),
        ("a.warc.zst", b"".join(map(zstandard.compress, RECORDS))),
        ("a.WARC.ZST", zstandard.compress(b"".join(RECORDS))),
        ("a.warc.bz2", bz2.compress(b"".join(RECORDS))),
        ("a.warc.xz", lzma.compress(b"".join(RECORDS))),
    ],
)
def test_archives_in_every_compression(tmp_path, name, content):
    assert read(tmp_path, content, name) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("content", "kept", "problem"),
    [
        (RECORDS[0] + record(1, "none") + RECORDS[2], ["0"], "has no Content-Length, so that its end cannot be found"),
        (RECORDS[0] + RECORDS[1][:60], ["0"], "it breaks off inside the header of its last record"),
        (RECORDS[0][:60], [], "it does not begin with a record of WARC or ARC"),
        (RECORDS[0] + record(1, kind="request")[:-20], ["0"], "it breaks off inside the record at"),
        (b"<html><body>an error page of a proxy, not an archive</body></html>", [], "is not a WARC or ARC record"),
        (b"\r\n\r\n" + RECORDS[0], [], "is not a WARC or ARC record"),
    ],
)
def test_unreadable_archives_are_damage(tmp_path, content, kept, problem):
    with pytest.raises(DataError) as error:
        read(tmp_path, content)
    assert problem in str(error.value)
    assert read(tmp_path, content, damaged="skip") == [*kept, "a damaged file"]


def test_a_wrong_length_is_counted_and_prints_nothing(tmp_path, capfd):
    found = read(tmp_path, RECORDS[0] + record(1, 80) + RECORDS[2])
    assert found == ["0", "1", "a record whose Content-Length is wrong", "2"]
    assert capfd.readouterr().err == ""


def test_an_empty_archive_has_no_documents(tmp_path):
    assert read(tmp_path, b"") == read(tmp_path, gzip.compress(b""), "b.warc.gz") == []
