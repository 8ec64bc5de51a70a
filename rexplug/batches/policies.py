"""The core's own masking policy."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from rexplug.components import MaskingPolicy, TokenBatch


class RandomMasking(MaskingPolicy):
    """Choose tokens evenly at random, as in plain masked language modelling."""

    name: ClassVar[str] = "random"

    def choose(self, batch: TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """Choose `budget` of the maskable tokens, each set equally likely."""
        places = np.flatnonzero(batch.maskable)
        chosen = np.zeros(len(batch.token_ids), np.bool_)
        chosen[generator.choice(places, self.budget(batch, progress), replace=False, shuffle=False)] = True
        return chosen
