"""The core's own masking policy; plugins add others."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rexplug.components import MaskingPolicy, TokenBatch, random_tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class RandomMasking(MaskingPolicy):
    """Choose tokens uniformly at random, as in plain masked language modelling."""

    name: ClassVar[str] = "random"

    def choose(self, batch: TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        """`budget` of the maskable tokens, `[num_tokens]`; every such set is equally likely."""
        return random_tokens(batch.maskable, self.budget(batch, progress), generator)
