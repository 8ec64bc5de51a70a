"""Token stores to batches: order, mixing, packing, masking. Knows no Composer and no recipe."""

from rexplug.batches.history import PositionHistory, PositionLog
from rexplug.batches.lineage import Lineage
from rexplug.batches.masking import IGNORED
from rexplug.batches.position import BatchPlan, GlobalBatch, PackedRow, Position, rank_rows
from rexplug.batches.samples import Sample
from rexplug.batches.stream import BatchStream

__all__ = [
    "IGNORED",
    "BatchPlan",
    "BatchStream",
    "GlobalBatch",
    "Lineage",
    "PackedRow",
    "Position",
    "PositionHistory",
    "PositionLog",
    "Sample",
    "rank_rows",
]
