"""Bodies of archived responses: content codings, chunks, codings that are not what the header says."""

import gzip
import zlib

import brotli
import pytest
import zstandard

from rexplug.components import Shard
from rexplug.corpus.sources import ERROR, Warc
from rexplug.errors import DataError

PAGE = ("<html><body>" + "<p>An oak chair that carries 120 kilograms.</p>" * 50 + "</body></html>").encode()
RAW_DEFLATE = zlib.compressobj(wbits=-15)
BODIES = {
    "gzip": gzip.compress(PAGE),
    "X-GZIP": gzip.compress(PAGE[:100]) + gzip.compress(PAGE[100:]),
    "deflate": zlib.compress(PAGE),
    "Deflate": RAW_DEFLATE.compress(PAGE) + RAW_DEFLATE.flush(),
    "br": brotli.compress(PAGE),
    "zstd": zstandard.compress(PAGE),
    "gzip, br": brotli.compress(gzip.compress(PAGE)),
    "identity": PAGE,
    "utf-8": PAGE,
}


def record(body, *headers):
    block = "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: text/html", *headers, "", ""]).encode() + body
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://x.example/\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}"
    return head.encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def chunked(body):
    parts = [body[start : start + 700] for start in range(0, len(body), 700)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def read(tmp_path, *records, **options):
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    source = Warc(paths=str(tmp_path / "a.warc"), extract="none", **options)
    return [(d.text, d.metadata.get(ERROR)) for d in source.documents(Shard(0, 1))]


@pytest.mark.parametrize("coding", BODIES)
def test_content_codings(tmp_path, coding):
    body, header = BODIES[coding], f"Content-Encoding: {coding}"
    found = read(
        tmp_path, record(body, header), record(chunked(body), header, "Transfer-Encoding: Chunked"), record(PAGE, header), record(PAGE)
    )  # fmt: skip
    assert found == [(PAGE.decode(), None)] * 4


def test_codings_in_other_headers_and_without_a_header(tmp_path):
    zipped = gzip.compress(PAGE)
    found = read(
        tmp_path,
        record(brotli.compress(zipped), "Content-Encoding: gzip", "Content-Encoding: br"),
        record(chunked(zipped), "Transfer-Encoding: gzip, chunked"),
        record(zipped),
    )
    assert found == [(PAGE.decode(), None)] * 3


def test_a_response_without_a_type_is_a_page_if_it_begins_like_one(tmp_path):
    unnamed = [
        record(body).replace(b"Content-Type: text/html", b"X-Powered-By: ink press")
        for body in (PAGE, b"%PDF-1.4", b"")
    ]
    assert read(tmp_path, *unnamed, record(PAGE)) == [(PAGE.decode(), None)] * 2


def test_what_follows_the_last_chunk_is_no_damage(tmp_path):
    body = chunked(PAGE) + b"Server-Timing: 5\r\n\r\n"
    assert read(tmp_path, record(body, "Transfer-Encoding: chunked"), record(PAGE)) == [(PAGE.decode(), None)] * 2


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_body_that_is_not_what_its_header_says_is_dropped_alone(tmp_path, coding):
    reason = f"a body that is not {coding}, which its Content-Encoding says"
    found = read(tmp_path, record(b"\xf5\x01 noise \x00", f"Content-Encoding: {coding}"), record(PAGE))
    assert found == [("", reason), (PAGE.decode(), None)]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_small_body_cannot_fill_the_memory(tmp_path, coding):
    compress = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstandard.compress}[
        coding
    ]
    body = compress(b"<p>" + b"x" * 50_000_000)
    found = read(tmp_path, record(body, f"Content-Encoding: {coding}"), record(PAGE), longest=100_000)
    assert found == [("", "longer than 100000 bytes"), (PAGE.decode(), None)]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_of_a_body_that_breaks_off_the_beginning_is_kept(tmp_path, coding):
    body = BODIES[coding]
    [(text, reason)] = read(tmp_path, record(body[: len(body) - 8], f"Content-Encoding: {coding}"))
    assert text.startswith("<html><body><p>An oak chair")
    assert PAGE.decode().startswith(text)
    assert reason is None


def test_a_record_without_an_address_is_damage(tmp_path):
    with pytest.raises(DataError, match=r"a.warc is damaged: the record after byte 0 cannot be read: "):
        read(tmp_path, record(PAGE).replace(b"WARC-Target-URI", b"WARC-No-URI"))


def test_an_archive_that_breaks_off_inside_of_a_body_is_damage(tmp_path):
    whole = record(BODIES["br"], "Content-Encoding: br")
    with pytest.raises(DataError, match="it breaks off inside the record at 0"):
        read(tmp_path, whole[:-20])
