"""The recipe as a tree of frozen models; its sections are in `model`, `phase` and `curation`.

The string under a key is its documentation: `rexplug schema` and the reference page print it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from rexplug.components import DocumentSource, Evaluator, SalienceScorer, Use
from rexplug.components.quantities import Positive
from rexplug.errors import PluginError, RexplugError
from rexplug.plugins.calls import evaluator_label, is_synthetic, mixing_weights, plugin_at_fault
from rexplug.recipe.curation import (
    Audit,
    Classifier,
    Curation,
    Decontamination,
    Executor,
    FuzzyMatches,
    MinHash,
    Relevance,
    Slurm,
    Threshold,
)
from rexplug.recipe.evaluation import Baseline, Evaluation
from rexplug.recipe.model import Model, Tokenizer
from rexplug.recipe.phase import BatchWarmup, Checkpoints, LearningRate, LossGuard, Optimizer, Phase, Rope
from rexplug.recipe.section import LONGEST_NAME, Section

__all__ = [
    "Audit",
    "Baseline",
    "BatchWarmup",
    "Card",
    "Checkpoints",
    "Classifier",
    "Curation",
    "Decontamination",
    "Evaluation",
    "Executor",
    "FuzzyMatches",
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


class Card(Section):
    """What the model card says beyond what a run knows by itself."""

    license: str | None = None
    """Licence of the trained model, as the Hugging Face hub writes it (`apache-2.0`); it follows from the training data."""
    intended_use: str = ""
    """What the model is for, and what it is not for."""
    limits: str = ""
    """What users must know: languages, time span, known biases."""
    data_licenses: dict[str, str] = Field(default_factory=dict)
    """Source -> licence or terms of its text."""


class LoggerOptions(Section):
    """A logger for training metrics besides metrics.jsonl; its name alone means the logger without options."""

    use: Literal["tensorboard", "wandb", "mlflow"]
    """One of Composer's loggers; its package must be installed."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Passed to the logger, e.g. `{project: encoders}` for wandb."""

    @model_validator(mode="before")
    @classmethod
    def _name_or_mapping(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"use": value}
        if isinstance(value, dict) and "use" in value and "options" not in value:
            return {"use": value["use"], "options": {key: option for key, option in value.items() if key != "use"}}
        return value


class Recipe(Section):
    """Everything that decides what a run does."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=LONGEST_NAME)
    """Name of the run and of its folder."""
    description: str = ""
    """What the recipe is for; shown in the report and on the model card."""
    seed: int = Field(default=17, ge=0, lt=2**32)
    """Seed of everything random: split, order, mixture, masks, initial weights."""
    training_seed: int | None = Field(default=None, ge=0, lt=2**32)
    """Seed of initial weights, order and masks in place of `seed`, so that runs with different training seeds share corpus,
    tokens and held-out texts."""
    plugins: tuple[str, ...] = ()
    """Plugins in files, besides the installed ones: Python modules, or folders with an `__init__.py`; relative to the recipe's own
    folder. A run keeps copies of them."""
    sources: dict[
        Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=LONGEST_NAME)], Annotated[DocumentSource, Use()]
    ] = Field(min_length=1)
    """Named sources of text."""
    relevance: Relevance | None = None
    """A classifier of relevance to the vertical, trained before curation."""
    curation: Curation = Curation()
    """From documents to corpus."""
    tokenizer: Tokenizer
    """From text to tokens."""
    model: Model
    """The encoder: its size, or the checkpoint that training starts from."""
    phases: tuple[Phase, ...] = Field(min_length=1)
    """Training, phase by phase."""
    evaluators: tuple[Annotated[Evaluator, Use()], ...] = ()
    """What is measured, before the first phase and after each."""
    evaluation: Evaluation = Evaluation()
    """How evaluators run the models."""
    baselines: tuple[Baseline, ...] = ()
    """Other models that the evaluators run on: folders, hub names, `bm25`, `tfidf`, `random:FOLDER`; `label=` may precede. A
    mapping sets how one is used: `{model: e5=intfloat/e5-base, query_prompt: "query: ", max_tokens: 256}`."""
    salience: tuple[Annotated[SalienceScorer, Use()], ...] = ()
    """Salience scorers besides those of the phases' masking. Evaluators tell salient words from others by the first one; if left
    out, by the last phase's."""

    card: Card = Card()
    """What the model card says beyond what a run knows by itself."""
    loggers: tuple[LoggerOptions, ...] = ()
    """Loggers for training metrics besides metrics.jsonl: `[tensorboard, {use: wandb, project: encoders}]`."""

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        for source in self.card.data_licenses:
            if source not in self.sources:
                raise PydanticCustomError(
                    "card",
                    "card.data_licenses names '{source}', but the sources are {known}",
                    {"source": source, "known": ", ".join(self.sources)},
                )
        self._check_phase_names()
        self._check_curation(distinct_labels(self.evaluators))
        for phase in self.phases:
            unknown = sorted({source for at in (0.0, 0.5, 1.0) for source in _weights(phase, at)} - set(self.sources))
            if unknown:
                raise PydanticCustomError(
                    "mixing",
                    "phase '{phase}' mixes '{unknown}', but the sources are {known}",
                    {"phase": phase.name, "unknown": unknown[0], "known": ", ".join(self.sources)},
                )
        return self

    def _check_phase_names(self) -> None:
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

    def _check_curation(self, evaluators: list[str]) -> None:
        against = self.curation.decontaminate
        for name in against if isinstance(against, tuple) else ():
            if name not in evaluators and all(name != evaluator.name for evaluator in self.evaluators):
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
    def synthetic_sources(self) -> list[str]:
        """The sources whose texts a program generated."""
        return [name for name, source in self.sources.items() if is_synthetic(source)]

    @property
    def scorers(self) -> tuple[SalienceScorer, ...]:
        """The distinct salience scorers of the recipe and of the phases' masking policies."""
        by_channel = {scorer.channel: scorer for scorer in self.salience}
        by_channel |= {scorer.channel: scorer for phase in self.phases for scorer in phase.masking.scorers}
        return tuple(by_channel.values())

    @property
    def evaluation_scorer(self) -> SalienceScorer | None:
        """The scorer by which evaluators tell salient words from others."""
        for scorer in (*self.salience, *(s for phase in reversed(self.phases) for s in phase.masking.scorers)):
            return scorer
        return None


def _weights(phase: Phase, progress: float) -> dict[str, float]:
    """The weights of a phase's mixing schedule at `progress`.

    Raises:
        PydanticCustomError: the weights are not valid, which other options of the schedule may repair.
        PluginError: the plugin's code raised, which no recipe repairs.
    """
    try:
        return mixing_weights(phase.mixing, progress)
    except OSError as error:
        if (blamed := plugin_at_fault(error)) is not None:
            raise blamed from error
        raise
    except RexplugError as error:
        if isinstance(error.__cause__, Exception | SystemExit):
            raise PluginError(f"phases.{phase.name}.mixing: {error}") from error.__cause__
        problem = str(error)
    raise PydanticCustomError("mixing", "phase '{phase}': {problem}", {"phase": phase.name, "problem": problem})


def distinct_labels(evaluators: Sequence[Evaluator]) -> list[str]:
    """The labels of evaluators, which name their results.

    Raises:
        PydanticCustomError: two are the same.
    """
    labels = [evaluator_label(evaluator) for evaluator in evaluators]
    for label in labels:
        if labels.count(label) > 1:
            raise PydanticCustomError("evaluators", "'{name}' is listed twice", {"name": label})
    return labels
