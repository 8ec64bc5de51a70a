"""Base class of models that predict no masked words, such as lexical baselines and embeddings that were computed elsewhere.

Imports no third-party library, as `rexplug.evaluation.lexical` must not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from rexplug.errors import NotApplicable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PredictsNoWords:
    """The predictions of `rexplug.Encoder`, for models without a masked-language-model head."""

    @property
    def predicts_words(self) -> bool:
        """Whether it has a masked-language-model head."""
        return False

    def predict_masked(
        self, rows: Sequence[NDArray[np.int64]], positions: Sequence[NDArray[np.int64]], top: int = 1
    ) -> list[NDArray[np.int64]]:
        """Not available.

        Raises:
            NotApplicable: always.
        """
        self._refuse("predicts no words")

    def token_log_probs(
        self,
        rows: Sequence[NDArray[np.int64]],
        positions: Sequence[NDArray[np.int64]],
        targets: Sequence[NDArray[np.int64]],
    ) -> list[NDArray[np.float32]]:
        """Not available.

        Raises:
            NotApplicable: always.
        """
        self._refuse("predicts no words")

    def _refuse(self, why: str) -> NoReturn:
        """Raise `NotApplicable`; `why` is a clause whose subject is the model, for example `has no tokenizer`."""
        raise NotApplicable(f"the model {why}")
