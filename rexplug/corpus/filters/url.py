"""Where a document comes from: lists of domains and addresses."""

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
    """Keep or drop by the address: a domain in a list stands for its subdomains too.

    The lists that datatrove packages (4.6 million domains, 760 MB of memory per worker) are those of its class `URLFilter`.
    """

    name: ClassVar[str] = "url"

    allow: tuple[str, ...] = ()
    """Keep only these domains (`example.com`) or addresses without scheme (`example.com/shop/`, a prefix)."""
    block: tuple[str, ...] = ()
    """Drop these domains or addresses."""
    allow_files: tuple[Path, ...] = ()
    """Files with one more entry of `allow` a line; lines that begin with # are left out."""
    block_files: tuple[Path, ...] = ()
    """Files with one more entry of `block` a line."""
    block_words: tuple[str, ...] = ()
    """Drop addresses that contain one of these, upper and lower case alike."""
    missing: Literal["keep", "drop"] = "keep"
    """What happens to documents without an address."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.allow or self.block or self.allow_files or self.block_files or self.block_words):
            raise ValueError("write `allow`, `block`, `allow_files`, `block_files` or `block_words`; nothing is listed")
        return self

    def check(self) -> None:
        """The lists must be readable."""
        for path in (*self.allow_files, *self.block_files):
            if not path.is_file():
                raise DataError(f"the list {path} does not exist")

    @cached_property
    def _allowed(self) -> _List:
        return _List.read(self.allow, self.allow_files)

    @cached_property
    def _blocked(self) -> _List:
        return _List.read(self.block, self.block_files)

    def judge(self, document: Document) -> Verdict:
        """Reasons: `no address`, `blocked address`, `blocked word in address`, `address not allowed`."""
        if not document.url:
            return Verdict(self.missing == "keep", "" if self.missing == "keep" else "no address")
        host, path = _parts(document.url)
        if self._blocked.holds(host, path):
            return Verdict(False, "blocked address")
        lower = document.url.lower()
        if any(word.lower() in lower for word in self.block_words):
            return Verdict(False, "blocked word in address")
        if (self.allow or self.allow_files) and not self._allowed.holds(host, path):
            return Verdict(False, "address not allowed")
        return Verdict(True)


class _List:
    """Domains, and prefixes of addresses."""

    def __init__(self, entries: list[str]) -> None:
        parts = [_parts(entry) for entry in entries]
        self.domains = frozenset(host for host, path in parts if path in ("", "/"))
        self.prefixes = tuple(host + path for host, path in parts if path not in ("", "/"))

    @classmethod
    def read(cls, entries: tuple[str, ...], files: tuple[Path, ...]) -> Self:
        """Entries, and the lines of files."""
        found = list(entries)
        for file in files:
            lines = (line.strip() for _, line in read_lines(file))
            found += [line for line in lines if line and not line.startswith("#")]
        return cls(found)

    def holds(self, host: str, path: str) -> bool:
        """Whether the host, a domain above it or a prefix of the address is listed."""
        labels = host.split(".")
        if any(".".join(labels[start:]) in self.domains for start in range(len(labels))):
            return True
        return bool(self.prefixes) and (host + path).startswith(self.prefixes)


def _parts(address: str) -> tuple[str, str]:
    """Host in lower case without www and port, and the path."""
    try:
        split = urlsplit(address if "//" in address else f"//{address}")
        host = split.hostname or ""
    except ValueError:
        return "", address
    return host.removeprefix("www."), split.path
