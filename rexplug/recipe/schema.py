"""The recipe as a tree of frozen models; every key is documented here, or in `curation`, and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

from rexplug.components import DocumentSource, Evaluator, MaskingPolicy, MixingSchedule, Quantity, SalienceScorer, Use
from rexplug.components.quantities import parse_quantity
from rexplug.errors import brief
from rexplug.optimizers import OPTIMIZERS
from rexplug.recipe.curation import (
    Audit,
    Classifier,
    Curation,
    Decontamination,
    Executor,
    MinHash,
    Relevance,
    Slurm,
    Threshold,
)
from rexplug.recipe.section import Positive, Section

__all__ = [
    "Audit",
    "BatchWarmup",
    "Card",
    "Checkpoints",
    "Classifier",
    "Curation",
    "Decontamination",
    "Executor",
    "LearningRate",
    "LoggerOptions",
    "LossGuard",
    "MinHash",
    "Model",
    "Optimizer",
    "Phase",
    "Positive",
    "Recipe",
    "Relevance",
    "Rope",
    "Section",
    "Slurm",
    "Threshold",
    "Tokenizer",
]

_LONGEST_NAME = 100
"""Characters of a name that becomes a folder's: file systems take 255 bytes, and temporary names put something before it."""
_STAGES = ("initial", "baselines")
"""Moments of evaluation beside the phases; their results lie in folders of these names."""
Beta = Annotated[float, Field(ge=0, lt=1)]


class Tokenizer(Section):
    """Either `{use: train, vocabulary: 8192}` or `{from: answerdotai/ModernBERT-base}` (a folder or a hub name)."""

    use: Literal["train"] | None = None
    """`train`: train a byte-level BPE on the kept documents."""
    vocabulary: Annotated[Quantity, Field(ge=300, le=1_000_000)] | None = None
    """Size of the trained vocabulary, special tokens included; 8,192 if left out."""
    sample: Positive = 20_000_000
    """Train on at most this many characters, drawn evenly from all sources."""
    from_: str | None = Field(default=None, alias="from")
    """A folder or a hub name with a fast tokenizer that has [CLS], [SEP], [PAD] and [MASK]."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.use is None) == (self.from_ is None):
            raise PydanticCustomError(
                "tokenizer", "write either 'use: train' (with a vocabulary) or 'from: FOLDER or hub name'", {}
            )
        if self.from_ is not None and self.vocabulary is not None:
            raise PydanticCustomError(
                "tokenizer", "'vocabulary' goes with 'use: train'; it has no effect with 'from'", {}
            )
        return self


class Model(Section):
    """The encoder: a size trained from scratch, or a checkpoint to go on from."""

    size: Literal["nano", "micro", "mini", "base", "large"] | None = None
    """nano (a demo), micro 17M, mini 68M, base 150M, large 400M: the shapes of Ettin."""
    from_: str | None = Field(default=None, alias="from")
    """A folder or hub name of a ModernBERT-family checkpoint to start from; needs that checkpoint's tokenizer."""
    revision: str | None = None
    """Branch, tag or commit of the hub repository of `from`; repositories keep checkpoints from before the end that way."""
    resize_vocabulary: bool = False
    """Add embeddings (the mean of the known ones) where the tokenizer has more tokens than the checkpoint of `from`; the
    tokens that both have must have the same ids."""
    attention: Literal["auto", "flash4", "flash3", "flash", "varlen", "sdpa", "blocks", "eager"] = "auto"
    """Attention backend; `auto` takes the fastest that this machine has and says which: on a GPU FlashAttention 4, 3 or 2,
    whichever package is installed, else torch's own."""
    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    """Number format of the forward pass; `auto` is bf16 on a GPU and fp32 on a CPU. `tf32` is fp32 whose products a GPU rounds. A
    CPU trains in fp32 only."""
    residual: Literal["fp32", "bf16"] = "fp32"
    """Number format of the residual stream where `precision` is bf16: bf16 moves less memory (2 to 3 % faster on an H200) and
    rounds what every layer adds to; what that costs in quality has not been measured."""
    compile: Literal["auto", True, False] = "auto"
    """Whether torch compiles the layers around attention; `auto` does on a GPU where triton and a C compiler are there. On a CPU
    it takes a minute and gains nothing beside oneDNN's products."""
    parallel: Literal["auto", "ddp", "fsdp"] = "auto"
    """How several processes hold the model: `ddp` all of it in each, `fsdp` a part of every weight, gradient and moment
    in each; `auto` is fsdp where those would take more than a quarter of a process's memory. May change at any time."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.size is None) == (self.from_ is None):
            raise PydanticCustomError(
                "model", "write either 'size' (train from scratch) or 'from' (go on from a checkpoint)", {}
            )
        if self.revision is not None and self.from_ is None:
            raise PydanticCustomError("model", "'revision' goes with 'from'; a new model has none", {})
        if self.resize_vocabulary and self.from_ is None:
            raise PydanticCustomError(
                "model", "'resize_vocabulary' goes with 'from'; a new model fits its tokenizer", {}
            )
        return self


class Rope(Section):
    """Rotary position embedding."""

    global_theta: float | None = Field(default=None, gt=1, le=1e12)
    """Theta of the global layers from this phase on; unchanged if left out. ModernBERT: 10,000, then 160,000 at 8,192."""
    local_theta: float | None = Field(default=None, gt=1, le=1e12)
    """Theta of the local layers from this phase on; unchanged if left out."""


class LearningRate(Section):
    """The learning rate as a function of the tokens of the phase."""

    peak: float = Field(gt=0, le=1)
    """Highest value; published encoders took 2.5e-4 to 3e-3. `check` warns of peaks that no encoder is known to survive."""
    schedule: Literal["constant", "linear", "cosine", "wsd", "one_minus_sqrt"] = "wsd"
    """`constant` after the warm-up; `linear` or `cosine` from the warm-up to the end; `wsd` and `one_minus_sqrt` hold the
    peak and fall over the last `decay` tokens, in a line or as 1 - sqrt(x)."""
    warmup: Quantity = 0
    """Tokens over which it rises from 0 to the peak."""
    decay: Quantity | None = None
    """Tokens over which it falls at the end (`wsd`, `one_minus_sqrt`); 0 means no decay, left out the whole phase after
    the warm-up."""
    final: float = Field(default=0.0, ge=0, le=1)
    """Where it ends, as a share of the peak."""

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
        """Whether it falls so far that the weights settle: below half of its peak."""
        return self.schedule != "constant" and self.decay != 0 and self.final < 0.5


def _known_optimizer(value: Any) -> Any:
    if not (isinstance(value, str) and value in OPTIMIZERS):
        *others, last = map(repr, OPTIMIZERS)
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}"})
    return value


def _list_optimizers(schema: dict[str, Any]) -> None:
    """Have editors complete the names."""
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
    """Optimizer."""

    use: OptimizerName = "stable_adamw"
    betas: tuple[Beta, Beta] = (0.9, 0.98)
    """Decay rates of the two moments."""
    eps: float = Field(default=1e-6, ge=1e-20, le=1)
    """Added to the denominator."""
    weight_decay: float = Field(default=1e-5, ge=0, lt=1)
    """Fully decoupled: a step multiplies weights by 1 - weight_decay * learning rate / peak; norms and biases are not decayed."""


class BatchWarmup(Section):
    """A batch that grows from `start` to `batch_tokens`."""

    start: Positive
    """Tokens in the first batch."""
    tokens: Positive
    """Tokens over which the batch grows, in a line."""


class Checkpoints(Section):
    """When training saves itself, besides at the end of the phase and when it is stopped."""

    every_tokens: Positive | None = None
    """Save each time this many more tokens were seen."""
    every_minutes: float = Field(default=10, ge=1e-6, le=1e6)
    """Save at least this often."""
    keep: int = Field(default=2, ge=1, le=10_000)
    """How many to keep of a phase that is running; of a finished phase the last one stays."""
    keep_best: int = Field(default=0, ge=0, le=10_000)
    """How many with the lowest smoothed training loss to keep besides; they stay when the phase is finished."""


class LossGuard(Section):
    """What happens when the loss is no number or jumps."""

    spike: float | None = Field(default=None, gt=1, le=1e6)
    """A loss above this many times its smoothed value counts as a jump, from the phase's 20th step on; off if left out."""
    action: Literal["stop", "skip"] = "stop"
    """`stop` ends the run and names the batch's documents; `skip` takes no step on that batch and goes on."""


def _amount_or_auto(value: Any) -> Any:
    return value if value == "auto" else parse_quantity(value)


Microbatch = Annotated[
    int | Literal["auto"],
    BeforeValidator(_amount_or_auto, json_schema_input_type=int | str),
    Field(examples=["auto", 8192, "64k"]),
]


class Phase(Section):
    """One stretch of training with its own data, context and learning rate."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=_LONGEST_NAME)
    """Names the phase's folder, figures and plots."""
    tokens: Positive
    """Length of the phase in tokens, padding not counted, special tokens counted."""
    context: int = Field(ge=16, le=2**20)
    """Longest sample in tokens, special tokens included; longer documents are cut into several samples."""
    min_tokens: Quantity = 0
    """Take only documents of at least this many tokens; a context extension needs documents that are truly long."""
    rope: Rope = Rope()
    """Rotary position embedding from this phase on."""
    batch_tokens: Annotated[Quantity, Field(gt=0, le=2**30)]
    """Tokens of a global batch: one step of the optimizer."""
    batch_warmup: BatchWarmup | None = None
    """Begin with smaller batches."""
    microbatch_tokens: Microbatch | None = None
    """Tokens that a device takes at a time, never less than `context`. If left out: `context` on a CPU; on a GPU 65,536, up to
    262,144 for small models, as far as batch and memory allow. `auto` tries what fits, halving from the batch on, when the
    phase starts. A phase that resumes keeps what it began with."""
    learning_rate: LearningRate
    """The learning rate."""
    optimizer: Optimizer = Optimizer()
    """Which optimizer trains the weights, and its options."""
    carry: Literal["weights", "optimizer"] = "optimizer"
    """What this phase takes over from the one before: the weights alone, or the optimizer's moments too."""
    mixing: Annotated[MixingSchedule, Use()]
    """Which source the tokens come from."""
    masking: Annotated[MaskingPolicy, Use()]
    """Which tokens are masked."""
    checkpoints: Checkpoints = Checkpoints()
    """When training saves itself."""
    average: int = Field(default=1, ge=1, le=1000)
    """End the phase with the mean of this many weights: those at its end and those of the last checkpoints made by
    `checkpoints.every_tokens`. ModernBERT-base averages its last decay checkpoints."""
    loss_guard: LossGuard = LossGuard()
    """What happens when the loss is no number or jumps."""
    evaluate_every: Positive | None = None
    """Run the evaluators each time this many more tokens were seen; after the phase they run anyway."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.name in _STAGES:
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
        """Tokens of a microbatch; those of the smallest one while `auto` has not found more."""
        return self.microbatch_tokens if isinstance(self.microbatch_tokens, int) else self.context


class Card(Section):
    """What the model card says beyond what a run knows by itself."""

    license: str | None = None
    """Licence of the trained model, as the Hugging Face hub writes it (`apache-2.0`); it follows from the training data."""
    intended_use: str = ""
    """What the model is for, and what it is not for."""
    limits: str = ""
    """What users must know: languages, periods, known leanings."""
    data_licenses: dict[str, str] = Field(default_factory=dict)
    """Source -> licence or terms of its text."""


class LoggerOptions(Section):
    """Where figures of training go besides metrics.jsonl; one name stands for a recorder without options."""

    use: Literal["tensorboard", "wandb", "mlflow"]
    """One of Composer's loggers; its package must be installed."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Passed to the logger, e.g. `{project: encoders}` for wandb."""

    @model_validator(mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"use": value}
        if isinstance(value, dict) and "use" in value and "options" not in value:
            return {"use": value["use"], "options": {key: each for key, each in value.items() if key != "use"}}
        return value


class Recipe(Section):
    """Everything that decides what a run does."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=_LONGEST_NAME)
    """Names the run and its folder."""
    description: str = ""
    """What the recipe is for; shown in the report and on the model card."""
    seed: int = Field(default=17, ge=0, lt=2**32)
    """Decides every draw: split, order, mixture, masks, initial weights."""
    training_seed: int | None = Field(default=None, ge=0, lt=2**32)
    """Decides initial weights, order and masks in place of `seed`, so that runs with other draws share corpus, tokens
    and held-out texts."""
    sources: dict[
        Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=_LONGEST_NAME)], Annotated[DocumentSource, Use()]
    ] = Field(min_length=1)
    """Named sources of text."""
    relevance: Relevance | None = None
    """A classifier of relevance to the vertical, trained before curation."""
    curation: Curation = Curation()
    """From documents to corpus."""
    tokenizer: Tokenizer
    """From text to tokens."""
    model: Model
    """The encoder."""
    phases: tuple[Phase, ...] = Field(min_length=1)
    """Training, phase by phase."""
    evaluators: tuple[Annotated[Evaluator, Use()], ...] = ()
    """What is measured, before the first phase and after each."""
    baselines: tuple[str, ...] = ()
    """Other models that the evaluators run on: folders, hub names, `bm25`, `tfidf`, `random:FOLDER`; `label=` may precede."""
    salience: tuple[Annotated[SalienceScorer, Use()], ...] = ()
    """Salience scorers beside those of the phases' masking. Evaluators tell salient words by the first one; if left out,
    by the last phase's."""

    card: Card = Card()
    """What the model card says beyond what a run knows by itself."""
    loggers: tuple[LoggerOptions, ...] = ()
    """Where figures of training go besides metrics.jsonl: `[tensorboard, {use: wandb, project: encoders}]`."""

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for source in self.card.data_licenses:
            if source not in self.sources:
                raise PydanticCustomError(
                    "card",
                    "card.data_licenses names '{source}', but the sources are {known}",
                    {"source": source, "known": ", ".join(self.sources)},
                )
        names = [phase.name for phase in self.phases]
        for name in names:
            if names.count(name) > 1:
                raise PydanticCustomError("phases", "two phases are called '{name}'", {"name": name})
            before, _, tokens = name.rpartition("-")
            if before in names and tokens.isdigit():
                raise PydanticCustomError(
                    "phases",
                    "a phase cannot be called '{name}' beside '{before}': a run keeps evaluations on the way through '{before}' "
                    "under such names",
                    {"name": name, "before": before},
                )
        evaluators = [evaluator.label for evaluator in self.evaluators]
        for name in evaluators:
            if evaluators.count(name) > 1:
                raise PydanticCustomError("evaluators", "'{name}' is listed twice", {"name": name})
        self._check_curation(evaluators)
        for phase in self.phases:
            unknown = sorted({source for at in (0.0, 0.5, 1.0) for source in _weights(phase, at)} - set(self.sources))
            if unknown:
                raise PydanticCustomError(
                    "mixing",
                    "phase '{phase}' mixes '{unknown}', but the sources are {known}",
                    {"phase": phase.name, "unknown": unknown[0], "known": ", ".join(self.sources)},
                )
        return self

    def _check_curation(self, evaluators: list[str]) -> None:
        against = self.curation.decontaminate
        for name in against if isinstance(against, tuple) else ():
            if name not in evaluators and all(name != each.name for each in self.evaluators):
                raise PydanticCustomError(
                    "decontaminate",
                    "curation.decontaminate names '{name}', but the evaluators are {known}",
                    {"name": name, "known": ", ".join(evaluators) or "none"},
                )
        for name in (self.relevance.sources or ()) if self.relevance else ():
            if name not in self.sources:
                raise PydanticCustomError(
                    "relevance",
                    "relevance.sources names '{name}', but the sources are {known}",
                    {"name": name, "known": ", ".join(self.sources)},
                )

    @property
    def seed_of_training(self) -> int:
        """The seed of initial weights, order and masks."""
        return self.seed if self.training_seed is None else self.training_seed

    @property
    def scorers(self) -> tuple[SalienceScorer, ...]:
        """The distinct salience scorers of the recipe and of the phases' masking policies."""
        found = {scorer.channel: scorer for scorer in self.salience}
        found |= {scorer.channel: scorer for phase in self.phases for scorer in phase.masking.scorers}
        return tuple(found.values())

    @property
    def evaluation_scorer(self) -> SalienceScorer | None:
        """The scorer by which evaluators tell salient from plain words."""
        for scorer in (*self.salience, *(s for phase in reversed(self.phases) for s in phase.masking.scorers)):
            return scorer
        return None


def _weights(phase: Phase, at: float) -> Mapping[str, float]:
    """The weights of a phase's mixing schedule; what no stream could mix is refused with the schedule's name."""
    name = phase.mixing.name
    try:
        weights = phase.mixing.weights(at)
        total = sum(weights.values())
        sound = math.isfinite(total) and total > 0 and min(weights.values()) >= 0
        said = "" if sound else "; they must be finite, none below 0 and not all 0"
        problem = None if sound else f"gives weights of {brief(dict(weights))} at progress {at:g}{said}"
    except Exception as error:  # a plugin's own code
        weights, problem = {}, f"cannot say its weights at progress {at:g}: {type(error).__name__}: {brief(str(error))}"
    if problem is not None:
        raise PydanticCustomError(
            "mixing",
            "phase '{phase}': the mixing schedule '{name}' {problem}",
            {"phase": phase.name, "name": name, "problem": problem},
        )
    return weights
