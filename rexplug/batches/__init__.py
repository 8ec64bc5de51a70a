"""Batches from token stores: order, mixing, packing, masking. Independent of Composer and of recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rexplug.lazy import lazy_names

if TYPE_CHECKING:
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

# The masking policies are imported whenever plugins are listed, and must not import numpy.
__getattr__ = lazy_names(
    __name__,
    {
        "rexplug.batches.history": ("PositionHistory", "PositionLog"),
        "rexplug.batches.lineage": ("Lineage",),
        "rexplug.batches.masking": ("IGNORED",),
        "rexplug.batches.position": ("BatchPlan", "GlobalBatch", "PackedRow", "Position", "rank_rows"),
        "rexplug.batches.samples": ("SampleRecord",),
        "rexplug.batches.stream": ("BatchStream",),
    },
)
