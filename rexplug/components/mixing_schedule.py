"""Which source the next tokens come from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from rexplug.components.base import Component


class MixingSchedule(Component):
    """Says what share of the tokens each source has at any point of a phase."""

    kind: ClassVar[str] = "mixing schedule"

    @abstractmethod
    def weights(self, progress: float) -> Mapping[str, float]:
        """Share of tokens per source at `progress` in [0, 1] of the phase.

        Finite, non-negative, not all zero, the same sources at any progress; they need not add up to 1.
        """
