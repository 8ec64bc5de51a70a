"""Fine-tunes with a loss and a head of an evaluator's own: `EvaluationContext.fine_tune`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

R = TypeVar("R")


class TrainableEncoder(Protocol):
    """A copy of the encoder under evaluation, of which a `FineTuningTask` trains the weights.

    Tensors are fp32 and on `device`. They are differentiable while a loss is computed and the encoder is trained; `on_dev` and
    `on_test` run without gradients, and there any number of texts may be given at once. Texts are truncated at `max_tokens` of the
    `FineTuning`. The encoder runs without dropout.
    """

    @property
    def device(self) -> torch.device:
        """Where the encoder runs."""
        ...

    @property
    def dimensions(self) -> int:
        """Size of an embedding."""
        ...

    @property
    def hidden_size(self) -> int:
        """Size of the vector of a token."""
        ...

    def embed(self, texts: Sequence[str], *, role: Literal["query", "document"] | None = None) -> Tensor:
        """Embeddings as the model's makers compute them, `[len(texts), dimensions]`.

        Args:
            texts: the texts.
            role: the role of the texts in a search, which decides the prompt before them if the model has prompts.
        """
        ...

    def mean_vectors(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Tensor:
        """The mean of the token vectors of each text, `[len(texts), hidden_size]`.

        Args:
            texts: the texts.
            pairs: the second text of each, which the encoder reads together with the first one.
        """
        ...

    def token_vectors(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[Tensor]:
        """The last hidden states of each text, `[n_i, hidden_size]`, special tokens included.

        The n_i tokens are those of `context.encoder.tokenizer(text, truncation=True, max_length=...)`.

        Args:
            texts: the texts.
            pairs: the second text of each, which the encoder reads together with the first one.
        """
        ...


class FineTuningTask(ABC, Generic[R]):
    """Examples, loss and measures of a fine-tune: what an evaluator gives to `EvaluationContext.fine_tune`.

    The type `R` is that of what a fine-tuned encoder reaches on test, such as a list with the score of each item. Methods get the
    encoder and the head; their results may depend on nothing else that changes. A fine-tune is a function of encoder, task, budget
    and seed.
    """

    @property
    @abstractmethod
    def num_examples(self) -> int:
        """Number of the examples to train on, at least 1; `loss` receives their indices."""

    def head(self, encoder: TrainableEncoder) -> torch.nn.Module | None:
        """A new head, whose weights are trained beside those of the encoder; none if left out.

        It may draw its weights with torch, whose generator has the fine-tune's seed here. The head is moved to the encoder's
        device and stays in evaluation mode, without dropout.
        """
        return None

    @abstractmethod
    def loss(self, encoder: TrainableEncoder, head: Any, examples: Sequence[int]) -> Tensor:
        """The loss of a batch, a scalar that is differentiable in the weights of the encoder or of the head.

        Args:
            encoder: the encoder.
            head: what `head` returned.
            examples: indices of the batch's examples, from 0.
        """

    @abstractmethod
    def on_dev(self, encoder: TrainableEncoder, head: Any) -> float:
        """How good the encoder is on dev, the higher the better: learning rate and step are chosen by it.

        A value that is not a number counts as the worst; it is refused for the encoder before the fine-tune, where it means that
        there is nothing to measure on.
        """

    @abstractmethod
    def on_test(self, encoder: TrainableEncoder, head: Any) -> R:
        """What the encoder reaches on test; called once for each fine-tune, and nothing is chosen by it."""


@dataclass(frozen=True)
class FineTuned(Generic[R]):
    """The results of `EvaluationContext.fine_tune`.

    `results` and `untuned` hold what `FineTuningTask.on_test` returned.
    """

    results: Mapping[str, Sequence[R]]
    """Mode (`full` or `probe`, the first one of the `FineTuning` first) -> the result on test of each seed. A single one, that of
    the encoder before the fine-tune, where no step was better on dev."""
    untuned: R
    """The result on test before the first step: of the encoder as it is, with the head of the first seed."""
    notes: Sequence[str] = ()
    """Sentences about what was chosen on dev, for `EvaluationResult.notes`."""
    table: Sequence[Mapping[str, Any]] = ()
    """A row for each measurement on dev, for `EvaluationResult.tables`: mode, seed, learning rate, steps, dev."""
