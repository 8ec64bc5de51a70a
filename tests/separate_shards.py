"""Makes each small file of a test a shard of its own."""

from pathlib import Path


def split_of(folder: Path) -> int:
    """A `split` at which the files of a folder stay whole, and hardly two of them fit into one shard: the largest size."""
    return max(path.stat().st_size for path in folder.rglob("*") if path.is_file())
