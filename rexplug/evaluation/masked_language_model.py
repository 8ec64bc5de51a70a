"""Encoders that may have a masked-language-model head: predictions at given positions of token rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rexplug.errors import NotApplicable
from rexplug.evaluation.device_batches import to_device
from rexplug.evaluation.text_encoder import TextEncoder


class MaskedLanguageModel(TextEncoder):
    """An encoder that predicts words if it has a masked-language-model head.

    A subclass says what the head reads at some positions of a batch, and how it predicts tokens from that.
    """

    no_words: ClassVar[str] = "the model has no masked-language-model head, so it predicts no words"
    """The message for models without such a head."""

    @property
    @abstractmethod
    def predicts_words(self) -> bool:
        """Whether it has a masked-language-model head."""

    @abstractmethod
    def _head_inputs(self, rows: Sequence[NDArray[np.int64]], positions: Sequence[NDArray[np.int64]]) -> Tensor:
        """The inputs of the head at given positions of one batch, `[m, ...]`: hidden states, or the logits of an ONNX graph."""

    @abstractmethod
    def _best_tokens(self, inputs: Tensor, top: int) -> Tensor:
        """The `top` most probable token ids, best first, `[m, top]`."""

    @abstractmethod
    def _log_probs(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Natural logarithm of the probability of each target `[m]`, `[m]`."""

    def predict_masked(
        self, rows: Sequence[NDArray[np.int64]], positions: Sequence[NDArray[np.int64]], top: int = 1
    ) -> list[NDArray[np.int64]]:
        """The `top` most probable token ids at `positions` of each row, best first, `[len(positions[i]), top]`.

        Raises:
            NotApplicable: the model has no masked-language-model head.
        """
        nothing = np.zeros((0, top), np.int64)
        return self._at_positions(rows, positions, lambda inputs, _: self._best_tokens(inputs, top), nothing)

    def token_log_probs(
        self,
        rows: Sequence[NDArray[np.int64]],
        positions: Sequence[NDArray[np.int64]],
        targets: Sequence[NDArray[np.int64]],
    ) -> list[NDArray[np.float32]]:
        """Natural logarithm of the probability of `targets[i]` at `positions[i]` of each row, `[len(positions[i])]`.

        Logits are fp32 in every number format.

        Raises:
            NotApplicable: the model has no masked-language-model head.
        """

        def of_targets(inputs: Tensor, chosen: list[int]) -> Tensor:
            ids = np.concatenate([targets[i] for i in chosen]).astype(np.int64)
            return self._log_probs(inputs, to_device(ids, self.device))

        return self._at_positions(rows, positions, of_targets, np.zeros(0, np.float32))

    def _at_positions(
        self,
        rows: Sequence[NDArray[np.int64]],
        positions: Sequence[NDArray[np.int64]],
        function: Callable[[Tensor, list[int]], Tensor],
        nothing: NDArray[Any],
    ) -> list[NDArray[Any]]:
        """Apply a function to the head's inputs at `positions` of each row; results are `[len(positions[i]), ...]`.

        Args:
            rows: token ids of each row.
            positions: positions in each row.
            function: the head's inputs at the positions of some rows `[m, ...]`, and the numbers of these rows -> `[m, ...]`.
            nothing: the result for a row without positions.
        """
        if not self.predicts_words:
            raise NotApplicable(self.no_words)
        result = [nothing] * len(rows)
        masked = [index for index, of_row in enumerate(positions) if len(of_row)]

        def at(numbers: list[int]) -> Tensor:
            chosen = [masked[n] for n in numbers]
            inputs = self._head_inputs([rows[i] for i in chosen], [positions[i] for i in chosen])
            return function(inputs, chosen)

        for numbers, computed in self.compute([rows[i] for i in masked], at):
            ends = np.cumsum([len(positions[masked[n]]) for n in numbers])[:-1]
            for number, of_row in zip(numbers, np.split(computed, ends), strict=True):
                result[masked[number]] = of_row
        return result
