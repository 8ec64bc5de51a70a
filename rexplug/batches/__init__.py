"""Batches from token stores: order, mixing, packing, masking. Independent of Composer and of recipes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

_PLACES = {
    "IGNORED": "rexplug.batches.masking",
    "BatchPlan": "rexplug.batches.position",
    "BatchStream": "rexplug.batches.stream",
    "GlobalBatch": "rexplug.batches.position",
    "Lineage": "rexplug.batches.lineage",
    "PackedRow": "rexplug.batches.position",
    "Position": "rexplug.batches.position",
    "PositionHistory": "rexplug.batches.history",
    "PositionLog": "rexplug.batches.history",
    "SampleRecord": "rexplug.batches.samples",
    "rank_rows": "rexplug.batches.position",
}


def __getattr__(name: str) -> Any:
    # The masking policies are imported whenever plugins are listed, and must not bring numpy along.
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'rexplug.batches' has no attribute '{name}'")
