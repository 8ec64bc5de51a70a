"""Sources in which each file is one document: plain text and web pages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar

from rexplug.components import Document
from rexplug.components.document import ERROR
from rexplug.corpus.sources.charsets import Charset, decoded, decoded_as, decoded_page
from rexplug.corpus.sources.file_io import opened
from rexplug.corpus.sources.files import MOST_FILES, FileSource, Piece, broken, document, grouped
from rexplug.corpus.sources.html import PageSource
from rexplug.corpus.sources.html_worker import Extracted
from rexplug.io.compression import COMPRESSED


class _OneDocumentPerFile(FileSource):
    """Base class of sources in which each file is a document; a shard holds many files."""

    encoding: Charset | None = None
    """The charset of the files: a label that browsers know (`iso-8859-1` is windows-1252, as there) or a codec of Python such as
    `cp850`. If left out, what the file declares, UTF-8, or the most likely one. A byte-order mark has precedence."""

    @cached_property
    def shards(self) -> tuple[tuple[Piece, ...], ...]:
        """Neighbouring files, put together up to `split` bytes and a few thousand files."""
        return grouped(map(Piece, self.files), self.split, MOST_FILES)

    def read(self, piece: Piece) -> Iterator[Document]:
        """Yield the document of the file."""
        with opened(piece.file.path) as file:
            content = file.read(self.longest + 1)
        if len(content) > self.longest:
            yield broken(piece.file, 0, f"longer than {self.longest} bytes")
            return
        text, reason, data = self._text(content) if content.strip() else Extracted("", "empty file", {})
        yield document(piece.file, 0, text, None, piece.file.id, **data, **({} if text else {ERROR: reason}))

    @abstractmethod
    def _text(self, content: bytes) -> Extracted:
        """The text, or empty and the reason why there is none, and further metadata."""


class TextFiles(_OneDocumentPerFile):
    """Plain text files, each one document; bytes that are not UTF-8 are read in the most likely encoding."""

    name: ClassVar[str] = "text"
    suffixes: ClassVar[tuple[str, ...]] = tuple(f".{a}{b}" for a in ("txt", "md") for b in ("", *COMPRESSED))

    def _text(self, content: bytes) -> Extracted:
        text = decoded_as(content, self.encoding) if self.encoding else decoded(content)
        return Extracted(text.strip(), "empty file", {})


class HtmlFiles(_OneDocumentPerFile, PageSource):
    """Web pages, each file one document: the main text without menus and frames, extracted by trafilatura."""

    name: ClassVar[str] = "html"
    suffixes: ClassVar[tuple[str, ...]] = tuple(f".{a}{b}" for a in ("html", "htm", "xhtml") for b in ("", *COMPRESSED))

    def _text(self, content: bytes) -> Extracted:
        return self.main_text(decoded_as(content, self.encoding) if self.encoding else decoded_page(content))
