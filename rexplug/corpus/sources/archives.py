"""The source for web archives: WARC files of crawls, and the WET files of Common Crawl, which hold plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any, ClassVar

from rexplug.components import Document
from rexplug.components.document import ERROR
from rexplug.corpus.sources.charsets import content_type_charset, decoded
from rexplug.corpus.sources.file_io import opened
from rexplug.corpus.sources.files import Piece, broken, document
from rexplug.corpus.sources.html import MISSING, PageSource
from rexplug.corpus.sources.http_bodies import UndecodableBody, body_of, is_markup
from rexplug.errors import RexplugError, one_line
from rexplug.io.compression import COMPRESSED, READ_ERRORS, DamagedFile, decompressed

_WHOLE = (".bz2", ".zst", ".xz")
"""Endings of archives that are decompressed before their records are found; warcio decompresses gzip itself, record by record."""
_WRONG_LENGTH = "a record whose Content-Length is wrong"
_PAGES = ("text/html", "application/xhtml+xml")


class Warc(PageSource):
    """WARC and ARC files, plain or compressed: web pages (their main text, by trafilatura) and conversions to text."""

    name: ClassVar[str] = "warc"
    suffixes: ClassVar[tuple[str, ...]] = tuple(
        f".{a}{b}" for a in ("warc", "arc", "warc.wet") for b in ("", *COMPRESSED)
    )

    def read(self, piece: Piece) -> Iterator[Document]:
        """Yield a document per page; places are offsets of records in the file, as in crawl indexes.

        Of a file that is not compressed by gzip, or is compressed as a whole, they are offsets in the decompressed file.
        """
        path = piece.file.path
        done = 0
        with opened(path, decompress=path.lower().endswith(_WHOLE)) as raw:
            try:
                for number, page in self._pages(raw, piece):
                    done = number
                    yield from page
                return
            except _CompressedAsAWhole:
                pass
        with opened(path, decompress=False) as raw, decompressed(raw, ".gz") as file:
            for number, page in self._pages(file, piece):
                if number > done:
                    yield from page

    def _pages(self, raw: IO[bytes], piece: Piece) -> Iterator[tuple[int, list[Document]]]:
        """Yield (number of the record, its page, and an entry for damage if it has any) of an open archive."""
        from warcio.archiveiterator import ArchiveIterator
        from warcio.exceptions import ArchiveLoadFailed

        records = ArchiveIterator(raw)
        records.INC_RECORD = ""  # its warning on standard error; counted below
        records.loader.parse_record_stream = _refusing_cut_headers(records.loader.parse_record_stream)
        reader = records.reader
        reader.close_decompressor = lambda: None  # kept open, since its state at the end is checked below
        number = num_wrong = 0
        try:
            for number, record in enumerate(_whole(records), 1):
                page = self._record(record, piece, records.offset)
                wrong = (
                    [broken(piece.file, f"before {records.offset}", _WRONG_LENGTH)]
                    if records.err_count > num_wrong
                    else []
                )
                num_wrong = records.err_count
                yield number, [*wrong, *([page] if page is not None else [])]
        except ArchiveLoadFailed as error:
            if "non-chunked gzip" in str(error):
                raise _CompressedAsAWhole from None
            raise DamagedFile(one_line(error, 200)) from None
        # warcio treats data that cannot be decompressed, and a truncated file, as the end of the file.
        if reader.decompressor is not None and not reader.decompressor.eof and reader.num_block_read:
            raise DamagedFile("it breaks off inside a compressed record")
        if number and _limit(record) > 0:
            raise DamagedFile(f"it breaks off inside the record at {records.offset}")
        if not number and piece.file.size and reader.decompressor is None and reader.num_block_read:
            raise DamagedFile("it does not begin with a record of WARC or ARC")

    def _record(self, record: Any, piece: Piece, offset: int) -> Document | None:
        """A record as a document; None for records that are not pages (requests, images, scripts, the crawler's notes)."""
        kind = record.rec_type
        headers = record.rec_headers
        if kind not in ("response", "conversion", "resource"):
            return None
        http = record.http_headers
        content_type = (http.get_header("Content-Type") if http else headers.get_header("Content-Type")) or ""
        mime = (headers.get_header("WARC-Identified-Payload-Type") or content_type.split(";")[0]).strip().lower()
        # As in browsers, a response without a type is a page if it begins like one.
        unnamed = kind == "response" and not mime
        if mime not in _PAGES and not unnamed and not (kind != "response" and mime == "text/plain"):
            return None
        if http and http.get_statuscode() and not http.get_statuscode().startswith("2"):
            return None
        try:
            content = body_of(record, self.longest + 1)
        except UndecodableBody as error:
            return broken(piece.file, offset, str(error))
        if len(content) > self.longest:
            return None if unnamed else broken(piece.file, offset, f"longer than {self.longest} bytes")
        if _limit(record) > 0:
            raise DamagedFile(f"it breaks off inside the record at {offset}")
        if unnamed and not is_markup(content):
            return None
        charset = content_type_charset(content_type)
        url = headers.get_header("WARC-Target-URI") or headers.get_header("uri")
        text, reason, data = (
            (decoded(content, charset).strip(), MISSING, {})
            if mime == "text/plain"
            else self.page_text(content, charset, url)
        )
        metadata = {
            "record": headers.get_header("WARC-Record-ID"), "date": headers.get_header("WARC-Date"), **data,
        }  # fmt: skip
        if not text:
            metadata[ERROR] = reason
        return document(piece.file, offset, text, url, **metadata)


def _whole(records: Any) -> Iterator[Any]:
    """The records of an archive; what warcio raises about one that lacks a header names neither."""
    from warcio.exceptions import ArchiveLoadFailed

    while True:
        try:
            record = next(records)
        except StopIteration:
            return
        except (ArchiveLoadFailed, DamagedFile, RexplugError, *READ_ERRORS):
            raise
        except Exception as error:
            reason = one_line(f"{type(error).__name__}: {error}", 200)
            raise DamagedFile(f"the record after byte {records.offset} cannot be read: {reason}") from None
        if record.format == "warc" and not record.rec_headers.headers:
            raise DamagedFile(f"the data at {records.offset} is not a WARC or ARC record")
        if record.format == "warc" and record.length is None:
            raise DamagedFile(f"the record at {records.offset} has no Content-Length, so that its end cannot be found")
        if record.format == "arc" and not str(record.rec_headers.get_header("length")).isdigit():
            raise DamagedFile(f"the data at {records.offset} is not a WARC or ARC record")
        yield record


def _refusing_cut_headers(parse: Callable[..., Any]) -> Callable[..., Any]:
    """warcio's parser of records, with an error for a file that ends within a header; warcio takes that for its end."""

    def checked(stream: Any, line: bytes | None = None, *rest: Any) -> Any:
        try:
            return parse(stream, line, *rest)
        except EOFError:
            if line is None:
                raise
            raise DamagedFile("it breaks off inside the header of its last record") from None

    return checked


def _limit(record: Any) -> int:
    """The number of bytes that are missing from a record's stated length, once it was read to its end."""
    return getattr(record.raw_stream, "limit", 0) if record.raw_stream is not None else 0


class _CompressedAsAWhole(Exception):
    """An archive is one gzip stream instead of one for each record."""
