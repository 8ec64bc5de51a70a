"""The parts of a recipe about a training phase."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from rexplug.components import MaskingPolicy, MixingSchedule, Quantity, Use
from rexplug.components.quantities import Positive, parse_quantity
from rexplug.optimizers import OPTIMIZERS
from rexplug.recipe.section import LONGEST_NAME, SameResult, Section
from rexplug.schedules import batch_size, learning_rate_factor

_RESERVED_NAMES = ("initial", "baselines")
"""Evaluations beside those of phases; their results have folders of these names."""
_Beta = Annotated[float, Field(ge=0, lt=1)]


class Rope(Section):
    """Rotary position embedding."""

    global_theta: float | None = Field(default=None, gt=1, le=1e12)
    """Theta of the global layers from this phase on; unchanged if left out. ModernBERT: 10,000, then 160,000 at 8,192."""
    local_theta: float | None = Field(default=None, gt=1, le=1e12)
    """Theta of the local layers from this phase on; unchanged if left out."""


class LearningRate(Section):
    """The learning rate as a function of the tokens of the phase."""

    peak: float = Field(gt=0, le=1)
    """Highest value; published encoders used 2.5e-4 to 3e-3. `check` warns of values outside what has been published."""
    schedule: Literal["constant", "linear", "cosine", "wsd", "one_minus_sqrt"] = "wsd"
    """`constant` after the warm-up; `linear` or `cosine` from the warm-up to the end; `wsd` and `one_minus_sqrt` hold the
    peak and fall over the last `decay` tokens, linearly or as 1 - sqrt(x)."""
    warmup: Quantity = 0
    """Tokens over which it rises from 0 to the peak."""
    decay: Quantity | None = None
    """Tokens over which it falls at the end (`wsd`, `one_minus_sqrt`); 0 means no decay. If left out, the whole phase after the
    warm-up."""
    final: float = Field(default=0.0, ge=0, le=1)
    """Final value, as a share of the peak."""

    @model_validator(mode="after")
    def _no_dead_keys(self) -> Self:
        if self.decay is not None and self.schedule not in ("wsd", "one_minus_sqrt"):
            raise PydanticCustomError(
                "learning_rate",
                "'decay' has no effect with schedule '{schedule}'; it goes with wsd and one_minus_sqrt",
                {"schedule": self.schedule},
            )
        falls = self.schedule != "constant" and self.decay != 0
        if self.final and not falls:
            raise PydanticCustomError("learning_rate", "'final' has no effect: this learning rate does not fall", {})
        return self

    @property
    def decays(self) -> bool:
        """Whether it falls below half of its peak, which counts as a decay phase."""
        return self.schedule != "constant" and self.decay != 0 and self.final < 0.5


def _known_optimizer(value: Any) -> Any:
    if not (isinstance(value, str) and value in OPTIMIZERS):
        *others, last = map(repr, OPTIMIZERS)
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}"})
    return value


def _list_optimizers(schema: dict[str, Any]) -> None:
    """Let editors complete the names."""
    schema["enum"] = list(OPTIMIZERS)


OptimizerName = Annotated[
    str,
    BeforeValidator(_known_optimizer),
    Field(
        description="; ".join(f"`{name}`: {spec.description}" for name, spec in OPTIMIZERS.items()) + ".",
        json_schema_extra=_list_optimizers,
    ),
]


class Optimizer(Section):
    """The optimizer and its options."""

    use: OptimizerName = "stable_adamw"
    betas: tuple[_Beta, _Beta] = (0.9, 0.98)
    """Decay rates of the two moments."""
    eps: float = Field(default=1e-6, ge=1e-20, le=1)
    """Added to the denominator."""
    weight_decay: float = Field(default=1e-5, ge=0, lt=1)
    """Fully decoupled: a step multiplies weights by 1 - weight_decay * learning_rate / peak. Norms and biases do not decay."""


class BatchWarmup(Section):
    """A batch size that grows from `start` to `batch_tokens`."""

    start: Positive
    """Tokens in the first batch."""
    tokens: Positive
    """Tokens over which the batch size grows linearly."""


class Checkpoints(Section):
    """When training saves a checkpoint, besides at the end of the phase and when it is interrupted."""

    every_tokens: Positive | None = None
    """Save each time this many more tokens have been trained on."""
    every_minutes: float = Field(default=10, ge=1e-6, le=1e6)
    """Save at least this often."""
    keep: int = Field(default=2, ge=1, le=10_000)
    """How many recent checkpoints of a running phase to keep; of a finished phase the last one stays."""
    keep_best: int = Field(default=0, ge=0, le=10_000)
    """How many checkpoints with the lowest smoothed training loss to keep in addition; they stay after the phase."""


class LossGuard(Section):
    """What happens when the loss is not finite or jumps."""

    spike: float | None = Field(default=None, gt=1, le=1e6)
    """A loss above this many times its smoothed value counts as a jump, from the phase's 20th step on; off if left out."""
    action: Literal["stop", "skip"] = "stop"
    """`stop` ends the run and names the batch's documents; `skip` leaves that batch out and continues."""


def _quantity_or_auto(value: Any) -> Any:
    return value if value == "auto" else parse_quantity(value)


Microbatch = Annotated[
    int | Literal["auto"],
    BeforeValidator(_quantity_or_auto, json_schema_input_type=int | str),
    Field(examples=["auto", 8192, "64k"]),
]


class Phase(Section):
    """A training phase with its own data mixture, context length and learning rate."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=LONGEST_NAME)
    """Name of the phase in folders, metrics and plots."""
    tokens: Positive
    """Length of the phase in tokens; special tokens count, padding does not."""
    context: int = Field(ge=16, le=2**20)
    """Longest sample in tokens, special tokens included; longer documents are split into several samples."""
    min_tokens: Quantity = 0
    """Use only documents of at least this many tokens; a context extension needs long documents."""
    rope: Rope = Rope()
    """Rotary position embedding from this phase on."""
    batch_tokens: Annotated[Quantity, Field(gt=0, le=2**30)]
    """Tokens of a global batch, that is, of one optimizer step."""
    batch_warmup: BatchWarmup | None = None
    """Begin with smaller batches."""
    microbatch_tokens: Microbatch | None = None
    """Tokens per device and forward pass, at least `context`. If left out: `context` on a CPU; on a GPU 65,536, up to 262,144 for
    small models, as far as batch and memory allow. `auto` tries what fits when the phase starts, halving from the batch size
    on. A phase that resumes keeps its value."""
    learning_rate: LearningRate
    """The learning rate schedule."""
    optimizer: Optimizer = Optimizer()
    """The optimizer and its options."""
    carry: Literal["weights", "optimizer"] = "optimizer"
    """What this phase starts with from the phase before: the weights alone, or the optimizer state too."""
    mixing: Annotated[MixingSchedule, Use()]
    """The share of each source in the tokens."""
    masking: Annotated[MaskingPolicy, Use()]
    """Which tokens are masked."""
    checkpoints: Annotated[Checkpoints, SameResult()] = Checkpoints()
    """When training saves a checkpoint."""
    average: int = Field(default=1, ge=1, le=1000)
    """End the phase with the mean of this many sets of weights: the last ones and those of the checkpoints before them that
    `checkpoints.every_tokens` asks for. ModernBERT-base averages its last decay checkpoints."""
    loss_guard: LossGuard = LossGuard()
    """What happens when the loss is not finite or jumps."""
    evaluate_every: Annotated[Positive | None, SameResult()] = None
    """Run the evaluators each time this many more tokens have been trained on, besides after the phase."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.name in _RESERVED_NAMES:
            raise PydanticCustomError(
                "phase",
                "a phase cannot be called '{name}': a run keeps results of another stage under that name",
                {"name": self.name},
            )
        if isinstance(self.microbatch_tokens, int) and self.microbatch_tokens < self.context:
            raise PydanticCustomError(
                "phase",
                "microbatch_tokens ({row}) is less than context ({context}); a sample must fit into a microbatch",
                {"row": self.microbatch_tokens, "context": self.context},
            )
        if self.batch_tokens < self.row_tokens:
            raise PydanticCustomError(
                "phase",
                "batch_tokens ({batch}) is less than a microbatch ({row})",
                {"batch": self.batch_tokens, "row": self.row_tokens},
            )
        every = self.checkpoints.every_tokens
        if self.average > 1 and (every is None or (self.average - 1) * every >= self.tokens):
            raise PydanticCustomError(
                "phase",
                "average: {count} needs checkpoints.every_tokens of less than {most}, so that there is enough to average",
                {"count": self.average, "most": max(1, self.tokens // (self.average - 1))},
            )
        if self.batch_warmup is not None and self.batch_warmup.start >= self.batch_tokens:
            raise PydanticCustomError(
                "phase",
                "batch_warmup.start ({start}) is not less than batch_tokens ({batch}), so the batch would not grow",
                {"start": self.batch_warmup.start, "batch": self.batch_tokens},
            )
        if self.batch_warmup is not None and self.batch_warmup.tokens > self.tokens:
            raise PydanticCustomError(
                "phase",
                "batch_warmup.tokens ({warmup}) is more than the phase has ({tokens})",
                {"warmup": self.batch_warmup.tokens, "tokens": self.tokens},
            )
        warmup, decay = self.learning_rate.warmup, self.learning_rate.decay or 0
        if warmup + decay > self.tokens:
            raise PydanticCustomError(
                "phase",
                "learning_rate.warmup and decay need {need} tokens, but the phase has {tokens}",
                {"need": warmup + decay, "tokens": self.tokens},
            )
        return self

    @property
    def row_tokens(self) -> int:
        """Tokens of a microbatch; with `auto` the smallest possible number."""
        return self.microbatch_tokens if isinstance(self.microbatch_tokens, int) else self.context

    def learning_rate_at(self, tokens: int) -> float:
        """The learning rate of the step after `tokens` of the phase."""
        options = self.learning_rate
        return options.peak * learning_rate_factor(
            tokens, total=self.tokens, schedule=options.schedule, warmup=options.warmup, decay=options.decay,
            final=options.final,
        )  # fmt: skip

    def batch_tokens_at(self, tokens: int) -> int:
        """Tokens of the batch after `tokens` of the phase; training rounds them to whole rows."""
        warmup = self.batch_warmup
        if warmup is None:
            return self.batch_tokens
        return batch_size(tokens, full=self.batch_tokens, start=warmup.start, warmup=warmup.tokens)
