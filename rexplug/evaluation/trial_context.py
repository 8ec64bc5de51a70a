"""A made-up encoder and made-up documents, on which `rexplug check` tries the evaluators of plugins without a model."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from rexplug.components import (
    Document,
    EvaluationResult,
    ExampleTask,
    FineTuning,
    FineTuningTask,
    RetrievalCollection,
    TaggingTask,
)
from rexplug.errors import brief
from rexplug.evaluation.given_tasks import require_collection, require_examples, require_tagged, require_task
from rexplug.plugins.trial_limits import TrialLimits

DIMENSIONS = 256
MAX_TEXTS = 2000
"""Number of embedded texts after which a trial ends: evaluators compare texts with each other, which may take long."""


@dataclass
class TrialEncoder:
    """Embeds a text as random numbers that depend on it alone; implements `rexplug.Encoder`.

    It has no tokenizer, since loading one takes seconds: the trial ends where one is asked for.
    """

    limits: TrialLimits
    revision: str = "made-up"
    max_tokens: int = 512
    num_texts: int = 0

    @property
    def tokenizer(self) -> NoReturn:
        """Ends the trial."""
        self.limits.end("it asks for the model's tokenizer")

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Random embeddings, `[len(texts), DIMENSIONS]`, the same for the same text.

        Raises:
            TypeError: `texts` is not a sequence of texts.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise TypeError(f"encode() was given {brief(texts)}; expected a sequence of texts")
        self.num_texts += len(texts)
        if self.num_texts > MAX_TEXTS:
            self.limits.end(f"it embeds more than {MAX_TEXTS:,} texts")
        rows = [
            np.random.default_rng(zlib.crc32(text.encode("utf-8", "surrogatepass"))).standard_normal(DIMENSIONS)
            for text in texts
        ]
        return np.array(rows, np.float32).reshape(len(rows), DIMENSIONS)

    def predict_masked(self, *arguments: Any, **options: Any) -> NoReturn:
        """Ends the trial."""
        self.limits.end("it asks the model for masked tokens")

    def token_log_probs(self, *arguments: Any, **options: Any) -> NoReturn:
        """Ends the trial."""
        self.limits.end("it asks the model for probabilities of tokens")


@dataclass
class TrialContext:
    """Made-up data for an evaluator; implements `rexplug.EvaluationContext`.

    A task that is given to the harness is checked and ends the trial: there is no model to measure it with.
    """

    held_out: Mapping[str, Sequence[Document]]
    folder: Path
    seed: int
    has_scorer: bool
    limits: TrialLimits

    @cached_property
    def encoder(self) -> TrialEncoder:
        """The made-up encoder."""
        return TrialEncoder(self.limits)

    def salience(self, texts: Sequence[str]) -> list[NDArray[np.uint8]] | None:
        """Every tenth character is salient, `[len(text)]` per text; None without a scorer."""
        if not self.has_scorer:
            return None
        return [np.where(np.arange(len(text)) % 10, 0, 255).astype(np.uint8) for text in texts]

    def retrieval(
        self, collection: RetrievalCollection, tuning: FineTuning | None = None, *, max_tokens: int | None = None
    ) -> EvaluationResult:
        """Check the collection and end the trial."""
        require_collection(collection)
        self.limits.end("its task needs a model")

    def similarity(self, task: ExampleTask, tuning: FineTuning) -> EvaluationResult:
        """Check the pairs and their degrees, and end the trial."""
        require_examples(task, degrees=True, pairs=True)
        self.limits.end("its task needs a model")

    def classification(self, task: ExampleTask, tuning: FineTuning) -> EvaluationResult:
        """Check the texts and classes, and end the trial."""
        require_examples(task)
        self.limits.end("its task needs a model")

    def pair_classification(self, task: ExampleTask, tuning: FineTuning, positive: str) -> EvaluationResult:
        """Check the pairs and end the trial."""
        require_examples(task, pairs=True)
        self.limits.end("its task needs a model")

    def tagging(self, task: TaggingTask, tuning: FineTuning) -> EvaluationResult:
        """Check the spans and end the trial."""
        require_tagged(task)
        self.limits.end("its task needs a model")

    def fine_tune(self, task: FineTuningTask[Any], tuning: FineTuning) -> NoReturn:
        """Check the number of examples and end the trial."""
        require_task(task, tuning)
        self.limits.end("its task needs a model")
