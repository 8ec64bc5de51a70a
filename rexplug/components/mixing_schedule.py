"""Mixing schedules: the share of the tokens that each source has."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from rexplug.components.base import Component


class MixingSchedule(Component):
    """Gives the share of the tokens that each source has at any point of a phase.

    The batch stream and plans call it at many points of the phase; they need the same weights every time.
    """

    kind: ClassVar[str] = "mixing schedule"

    @abstractmethod
    def weights(self, progress: float) -> Mapping[str, float]:
        """Source -> its share of the tokens at `progress` of the phase, in [0, 1].

        Shares are finite, at least 0 and not all 0, and name the same sources at any progress; they need not add up to 1.
        """
