"""The source for web archives: WARC files of crawls, and the WET files of Common Crawl, which hold plain text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from rexplug.components import Document
from rexplug.corpus.sources.charsets import content_type_charset, decoded
from rexplug.corpus.sources.file_io import opened
from rexplug.corpus.sources.files import ERROR, Piece, broken, document
from rexplug.corpus.sources.html import MISSING, PageSource
from rexplug.corpus.sources.http_bodies import UndecodableBody, body_of
from rexplug.errors import RexplugError, one_line
from rexplug.io.compression import READ_ERRORS, DamagedFile

_PAGES = ("text/html", "application/xhtml+xml")


class Warc(PageSource):
    """WARC and ARC files, plain or compressed: web pages (their main text, by trafilatura) and conversions to text."""

    name: ClassVar[str] = "warc"
    suffixes: ClassVar[tuple[str, ...]] = tuple(f".{a}{b}" for a in ("warc", "arc", "warc.wet") for b in ("", ".gz"))

    def read(self, piece: Piece) -> Iterator[Document]:
        """Yield a document per page; places are offsets of records in the file, as in crawl indexes."""
        from warcio.archiveiterator import ArchiveIterator
        from warcio.exceptions import ArchiveLoadFailed

        with opened(piece.file.path, decompress=False) as raw:
            records = ArchiveIterator(raw)
            reader = records.reader
            reader.close_decompressor = lambda: None  # its state at the end is looked at below
            try:
                for record in _whole(records):
                    if (page := self._record(record, piece, records.offset)) is not None:
                        yield page
            except ArchiveLoadFailed as error:
                raise DamagedFile(one_line(error, 200)) from None
            # warcio takes data that cannot be decompressed, and a file that breaks off, for the end.
            if reader.decompressor is not None and not reader.decompressor.eof and reader.num_block_read:
                raise DamagedFile("it breaks off inside a compressed record")

    def _record(self, record: Any, piece: Piece, offset: int) -> Document | None:
        """A record as a document; None for records that are not pages (requests, images, scripts, the crawler's notes)."""
        kind = record.rec_type
        headers = record.rec_headers
        if kind not in ("response", "conversion", "resource"):
            return None
        http = record.http_headers
        content_type = (http.get_header("Content-Type") if http else headers.get_header("Content-Type")) or ""
        mime = (headers.get_header("WARC-Identified-Payload-Type") or content_type.split(";")[0]).strip().lower()
        if mime not in _PAGES and not (kind != "response" and mime == "text/plain"):
            return None
        if http and http.get_statuscode() and not http.get_statuscode().startswith("2"):
            return None
        try:
            content = body_of(record, self.longest + 1)
        except UndecodableBody as error:
            return broken(piece.file, offset, str(error))
        if len(content) > self.longest:
            return broken(piece.file, offset, f"longer than {self.longest} bytes")
        if record.raw_stream is not None and getattr(record.raw_stream, "limit", 0) > 0:
            raise DamagedFile(f"it breaks off inside the record at {offset}")
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
        except (ArchiveLoadFailed, RexplugError, *READ_ERRORS):
            raise
        except Exception as error:
            reason = one_line(f"{type(error).__name__}: {error}", 200)
            raise DamagedFile(f"the record after byte {records.offset} cannot be read: {reason}") from None
        yield record
