"""Extracts the text of a web page from its bytes."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Annotated, Literal

from pydantic import Field

from rexplug.components.quantities import Positive
from rexplug.corpus.sources.charsets import decoded_page
from rexplug.corpus.sources.files import FileSource
from rexplug.corpus.sources.html_worker import extract_apart
from rexplug.errors import DataError

Extraction = Literal["precision", "recall", "none"]
_XML = re.compile(r"\s*<\?xml\s[^>]*>", re.IGNORECASE)
MISSING = "no main text in the page"


class PageSource(FileSource):
    """Base class of sources of web pages: how the main text is extracted, and what a page may cost."""

    extract: Extraction = "precision"
    """`precision` takes less and surer text, `recall` more; `none` keeps the markup."""
    most_tags: Positive = 100_000
    """A page with more tags is dropped before extraction, whose time can grow with their square."""
    extract_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Processor time that the extraction of one page may take; a page that needs more is dropped."""

    def check(self) -> None:
        """Files must match, and trafilatura must be installed."""
        if self.extract != "none" and find_spec("trafilatura") is None:
            raise DataError(f"{self.name}: extraction of pages needs trafilatura; run `pip install trafilatura`")
        super().check()

    def page_text(self, content: bytes, charset: str | None = None, url: str | None = None) -> tuple[str, str]:
        """The main text of a page by trafilatura, or the empty text and the reason.

        `charset` is that of the HTTP header; if there is none, the page's own, UTF-8, or a guess.
        """
        return self.main_text(decoded_page(content, charset), url)

    def main_text(self, page: str, url: str | None = None) -> tuple[str, str]:
        """The main text of a decoded page, or the empty text and the reason."""
        if self.extract == "none":
            return page.strip(), MISSING
        if page.count("<") > self.most_tags:
            return "", f"more than {self.most_tags} tags in the page"
        # Its own deduplication remembers pages that the worker saw before, so that a text would depend on the worker.
        options = {
            "url": url, "include_comments": False, "deduplicate": False, "favor_precision": self.extract == "precision",
            "favor_recall": self.extract == "recall",
        }  # fmt: skip
        # The parser would decode the page once more by the charset that an XML declaration names.
        text, reason = extract_apart(
            _XML.sub("", page, count=1) if _XML.match(page) else page, options, self.extract_seconds
        )
        return text, reason or MISSING
