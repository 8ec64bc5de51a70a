"""The filter by URL: lists of domains and addresses to keep or drop."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import model_validator

from rexplug.components import CorpusFilter, Document, Verdict
from rexplug.errors import DataError
from rexplug.io.compression import read_lines


class Addresses(CorpusFilter):
    """Keep or drop by the address: a domain in a list includes its subdomains.

    The lists that datatrove packages (4.6 million domains, 760 MB of memory per worker) are those of its class `URLFilter`.
    """

    name: ClassVar[str] = "url"

    allow: tuple[str, ...] = ()
    """Keep only these domains (`example.com`) or addresses without scheme (`example.com/shop/`, a prefix)."""
    block: tuple[str, ...] = ()
    """Drop these domains or addresses."""
    allow_files: tuple[Path, ...] = ()
    """Files with further entries of `allow`, one a line; lines that begin with # are left out."""
    block_files: tuple[Path, ...] = ()
    """Files with further entries of `block`, one a line."""
    block_words: tuple[str, ...] = ()
    """Drop addresses that contain one of these, whatever their case."""
    missing: Literal["keep", "drop"] = "keep"
    """What happens to documents without an address."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.allow or self.block or self.allow_files or self.block_files or self.block_words):
            raise ValueError("write `allow`, `block`, `allow_files`, `block_files` or `block_words`; nothing is listed")
        return self

    def check(self) -> None:
        """The lists must exist."""
        for path in (*self.allow_files, *self.block_files):
            if not path.is_file():
                raise DataError(f"the list {path} does not exist")

    @cached_property
    def _allowed(self) -> _UrlList:
        return _UrlList.read(self.allow, self.allow_files)

    @cached_property
    def _blocked(self) -> _UrlList:
        return _UrlList.read(self.block, self.block_files)

    def judge(self, document: Document) -> Verdict:
        """Reasons: `no address`, `blocked address`, `blocked word in address`, `address not allowed`."""
        if not document.url:
            return Verdict(self.missing == "keep", "" if self.missing == "keep" else "no address")
        host, path = _parts(document.url)
        if self._blocked.contains(host, path):
            return Verdict(False, "blocked address")
        lower = document.url.lower()
        if any(word.lower() in lower for word in self.block_words):
            return Verdict(False, "blocked word in address")
        if (self.allow or self.allow_files) and not self._allowed.contains(host, path):
            return Verdict(False, "address not allowed")
        return Verdict(True)


class _UrlList:
    """A list of domains and of prefixes of addresses."""

    def __init__(self, entries: list[str]) -> None:
        parts = [_parts(entry) for entry in entries]
        self.domains = frozenset(host for host, path in parts if path in ("", "/"))
        self.prefixes = tuple(host + path for host, path in parts if path not in ("", "/"))

    @classmethod
    def read(cls, entries: tuple[str, ...], files: tuple[Path, ...]) -> Self:
        """Make a list of entries and of the lines of files."""
        all_entries = list(entries)
        for file in files:
            lines = (line.strip() for _, line in read_lines(file))
            all_entries += [line for line in lines if line and not line.startswith("#")]
        return cls(all_entries)

    def contains(self, host: str, path: str) -> bool:
        """Whether the host, a domain above it or a prefix of the address is listed."""
        labels = host.split(".")
        if any(".".join(labels[start:]) in self.domains for start in range(len(labels))):
            return True
        return bool(self.prefixes) and (host + path).startswith(self.prefixes)


def _parts(address: str) -> tuple[str, str]:
    """The host of a URL, in lower case without www and port, and its path."""
    try:
        split = urlsplit(address if "//" in address else f"//{address}")
        host = split.hostname or ""
    except ValueError:
        return "", address
    return host.removeprefix("www."), split.path
