"""Token stores to batches: order, mixing, packing, masking. Knows no Composer and no recipe."""

from rexplug.batches.masking import IGNORED
from rexplug.batches.position import BatchPlan, GlobalBatch, Position, Row, rank_rows
from rexplug.batches.samples import Sample
from rexplug.batches.stream import BatchStream

__all__ = ["IGNORED", "BatchPlan", "BatchStream", "GlobalBatch", "Position", "Row", "Sample", "rank_rows"]
