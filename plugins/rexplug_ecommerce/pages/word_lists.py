"""Word lists as blocks of text, which stay readable at hundreds of words."""

from __future__ import annotations


def words(text: str) -> tuple[str, ...]:
    """The words of a text, which white space separates."""
    return tuple(text.split())


def entries(text: str) -> tuple[str, ...]:
    """Entries of one or more words between commas; line breaks count as blanks."""
    return tuple(" ".join(entry.split()) for entry in text.split(","))
