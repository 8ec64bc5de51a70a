"""The part of a recipe about evaluation."""

from __future__ import annotations

from typing import Literal

from rexplug.recipe.section import Section

EvaluationPrecision = Literal["fp32", "bf16"]
"""Number formats that encoders are evaluated in."""


class Evaluation(Section):
    """How evaluators run the models, those of the run and baselines alike."""

    precision: EvaluationPrecision = "fp32"
    """Number format of the encoder's matrix products in evaluators and in their fine-tunes. With `bf16` a GPU uses its tensor cores
    and the attention kernels of training; of CPUs only those with AVX512-BF16 or AMX gain. `rexplug evaluate --precision fp32
    --precision bf16` shows what it changes in each metric. Weights, losses and embeddings are fp32 in both."""
