"""Duplicates by address, by text, and nearly: keys written while filtering, compared afterwards, one of each group kept."""

from rexplug.corpus.deduplicate.find import find_duplicates

__all__ = ["find_duplicates"]
