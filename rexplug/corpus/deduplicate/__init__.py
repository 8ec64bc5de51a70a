"""Deduplication by URL, by text and by MinHash: keys are written while filtering and compared afterwards."""

from rexplug.corpus.deduplicate.find import find_duplicates

__all__ = ["find_duplicates"]
