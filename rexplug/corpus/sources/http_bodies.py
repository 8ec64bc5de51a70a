"""Bodies of HTTP responses in archives, without their transfer and content codings."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any

_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<[!?a-zA-Z]")
_GZIP = b"\x1f\x8b\x08"
_READ_SIZE = 1 << 16


class UndecodableBody(Exception):
    """A body is not what its Content-Encoding says."""


def is_markup(content: bytes) -> bool:
    """Whether a body begins with an element, a comment or a declaration of HTML or XML."""
    return _MARKUP.match(content) is not None


def body_of(record: Any, most: int) -> bytes:
    """The body of a record of warcio, decoded, at most `most` bytes of it; of a body that breaks off, what is there.

    Crawlers often store a body decoded and its header unchanged: one that is markup already is taken as it is.

    Raises:
        UndecodableBody: it is not what its Content-Encoding says.
    """
    http = record.http_headers
    stored = _without_chunks(record, most)
    if http is None or len(stored) >= most:
        return stored
    codings = [*_names(http, "content-encoding"), *_names(http, "transfer-encoding")]
    if not any(name in _DECODERS for name in codings) and stored.startswith(_GZIP):
        codings = ["gzip"]  # some crawlers and servers omit the header; no page begins with these bytes
    content = stored
    for name in reversed(codings):
        decode = _DECODERS.get(name)  # browsers take a body under a name that they do not know as it is
        if decode is None:
            continue
        try:
            content = decode(content, most)
        except Exception as error:
            if is_markup(stored) or not stored:
                return stored
            raise UndecodableBody(f"a body that is not {name}, which its Content-Encoding says") from error
    return content


def _names(http: Any, header: str) -> list[str]:
    """The values of a header, which may be written several times and hold several each, in lower case."""
    values = ",".join(value for name, value in http.headers if name.lower() == header)
    return [name.strip().lower() for name in values.split(",")]


class _BrotliStream:
    """What warcio expects of a decompressor."""

    unused_data = b""

    def __init__(self) -> None:
        import brotli

        self._reader = brotli.Decompressor()

    def decompress(self, data: bytes) -> bytes:
        """The bytes that follow."""
        return bytes(self._reader.process(data))

    def flush(self) -> bytes:
        """Nothing is held back."""
        return b""


def mend_brotli_of_warcio() -> None:
    """Let others who read bodies by warcio read brotli: warcio 1.8 sets an attribute that brotli 1.2 refuses."""
    from warcio.bufferedreaders import BufferedReader

    BufferedReader.DECOMPRESSORS["br"] = _BrotliStream


def _without_chunks(record: Any, most: int) -> bytes:
    """The stored body without transfer coding; what follows it in the record is read and left out."""
    from warcio.bufferedreaders import ChunkedDataReader

    raw, http = record.raw_stream, record.http_headers
    is_chunked = http is not None and "chunked" in _names(http, "transfer-encoding")
    stream = ChunkedDataReader(raw) if is_chunked else raw
    parts, missing = [], most
    while missing > 0 and (part := stream.read(min(missing, _READ_SIZE))):
        parts.append(part)
        missing -= len(part)
    if missing > 0:
        while raw.read(_READ_SIZE):
            pass
    return b"".join(parts)


def _gzip(data: bytes, most: int) -> bytes:
    content = b""
    while data and len(content) < most:
        reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            content += reader.decompress(data, most - len(content))
        except zlib.error:
            if content:  # bytes after the end of the data, which do not begin another member
                return content
            raise
        data = reader.unused_data
    return content


def _deflate(data: bytes, most: int) -> bytes:
    """As browsers take it: with the header of zlib, which the standard means, or without, which servers send."""
    try:
        return zlib.decompressobj().decompress(data, most)
    except zlib.error:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most)


def _brotli(data: bytes, most: int) -> bytes:
    import brotli

    reader = brotli.Decompressor()
    content = reader.process(data, output_buffer_limit=most)
    while len(content) < most and not reader.is_finished() and not reader.can_accept_more_data():
        content += reader.process(b"", output_buffer_limit=most - len(content))
    return bytes(content[:most])


def _zstd(data: bytes, most: int) -> bytes:
    import zstandard

    with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
        parts, missing = [], most
        while missing > 0 and (part := reader.read(min(missing, 1 << 20))):
            parts.append(part)
            missing -= len(part)
    return b"".join(parts)


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
