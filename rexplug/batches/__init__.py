"""Token stores to batches: order, mixing, packing, masking. Knows no Composer and no recipe."""

from rexplug.batches.history import PositionHistory, PositionLog
from rexplug.batches.lineage import Lineage
from rexplug.batches.masking import IGNORED
from rexplug.batches.position import BatchPlan, GlobalBatch, Position, Row, rank_rows
from rexplug.batches.samples import Sample
from rexplug.batches.stream import BatchStream

__all__ = [
    "IGNORED",
    "BatchPlan",
    "BatchStream",
    "GlobalBatch",
    "Lineage",
    "Position",
    "PositionHistory",
    "PositionLog",
    "Row",
    "Sample",
    "rank_rows",
]
