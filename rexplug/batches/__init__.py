"""Token stores to batches: order, mixing, packing, masking. Knows no Composer and no recipe."""

from rexplug.batches.masking import IGNORED
from rexplug.batches.stream import BatchStream, GlobalBatch, Position, Row

__all__ = ["IGNORED", "BatchStream", "GlobalBatch", "Position", "Row"]
