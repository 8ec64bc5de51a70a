"""Batches from token stores: order, mixing, packing, masking. Independent of Composer and of recipes."""

from rexplug.batches.history import PositionHistory, PositionLog
from rexplug.batches.lineage import Lineage
from rexplug.batches.masking import IGNORED
from rexplug.batches.position import BatchPlan, GlobalBatch, PackedRow, Position, rank_rows
from rexplug.batches.samples import SampleRecord
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
    "SampleRecord",
    "rank_rows",
]
