"""Deduplication by URL, by text and by MinHash: keys are written while filtering and compared afterwards."""

from rexplug.corpus.deduplicate.find import find_duplicates
from rexplug.corpus.deduplicate.twins import ShardFiles, read_drops

__all__ = ["ShardFiles", "find_duplicates", "read_drops"]
