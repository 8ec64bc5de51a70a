"""From the bytes of a web page to its text."""

from __future__ import annotations

import re
from typing import Literal

from rexplug.errors import DataError

Extraction = Literal["precision", "recall", "none"]
_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)


def extracted(content: bytes, how: Extraction, charset: str | None = None, url: str | None = None) -> str:
    """The main text of a page by trafilatura; `none` gives the page as it is.

    `charset` is what the server said; otherwise the page's own, UTF-8, or a guess. Empty if there is no main text.
    """
    page = decoded(content, charset)
    if how == "none":
        return page.strip()
    try:
        import trafilatura
    except ImportError:
        raise DataError("extraction of pages needs trafilatura; run `pip install trafilatura`") from None
    # Its own deduplication remembers pages that the worker saw before, so that a text would depend on the worker.
    found = trafilatura.extract(
        page, url=url, include_comments=False, deduplicate=False, favor_precision=how == "precision",
        favor_recall=how == "recall",
    )  # fmt: skip
    return (found or "").strip()


def decoded(content: bytes, charset: str | None = None) -> str:
    """Bytes as text by what the server says, what the page says, UTF-8, or a guess, whichever fits first."""
    declared = _CHARSET.search(content[:4096])
    for name in (charset, declared.group(1).decode() if declared else None, "utf-8"):
        if name:
            try:
                return content.decode(name)
            except (LookupError, UnicodeDecodeError):
                continue
    try:
        import cchardet

        guess = cchardet.detect(content[:100_000])["encoding"]
        return content.decode(guess or "utf-8", errors="replace")
    except (ImportError, LookupError):
        return content.decode("utf-8", errors="replace")
