"""Plans the phases of a recipe: tokens, epochs, steps and operations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rexplug.errors import brief
from rexplug.io.hub import cached_file, is_folder
from rexplug.model.family import DEFAULT_FAMILY, SIZES, embedding_rows, find_family, find_release, shape_and_rows
from rexplug.model.layout import EncoderShape
from rexplug.planning.history import MeasurementHistory
from rexplug.planning.sources import SourceSize, source_sizes
from rexplug.plugins.calls import mixing_weights
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.tokenizer import DEFAULT_VOCABULARY

if TYPE_CHECKING:
    from rexplug.batches.mask_rates import MaskRates

POINTS = 256
"""Points of a phase at which its curves are computed."""
_SHORT_CONTEXT = 1024
_FILLED = 0.54


@dataclass(frozen=True)
class SourceUse:
    """How a phase uses a source: its `shares` of tokens at `POINTS` moments, and its `tokens` in total.

    `epoch` is the number of tokens of one epoch at the phase's context, `epochs` how many of them the phase trains on; None
    where unknown. `mask_rates` are the shares of salient and of other tokens that are masked in its first documents, at the start
    and at the end of the phase; empty where the source is not tokenized, or masks are not guided.
    """

    shares: tuple[float, ...]
    tokens: int
    epoch: int | None
    epochs: float | None
    mask_rates: tuple[MaskRates, ...] = ()


@dataclass(frozen=True)
class PlannedPhase:
    """A phase before it runs; the curves are `POINTS` values each, evenly spaced over the phase.

    `peak_learning_rate`, `final_learning_rate` and `initial_batch_tokens` are exact: they are reached between the points.
    `attended` is the mean length of the sample that contains a token, and `attended_known` whether it was counted. `flops` are
    the operations of the phase, None if the model's shape is not known. `row_tokens` are the tokens of a microbatch, and
    `masked` is the mean share of masked tokens.
    """

    name: str
    tokens: int
    steps: int
    context: int
    sources: Mapping[str, SourceUse]
    learning_rate: tuple[float, ...]
    peak_learning_rate: float
    final_learning_rate: float
    batch_tokens: tuple[int, ...]
    initial_batch_tokens: int
    mask_rate: tuple[float, ...]
    masking: str
    attended: float
    attended_known: bool
    flops: float | None
    row_tokens: int
    masked: float
    optimizer: str


@dataclass(frozen=True)
class Plan:
    """A recipe before it runs; `parameters` and what follows from them are None if the model's shape is not known."""

    name: str
    model: str
    why_unknown: str
    shape: EncoderShape | None
    rows: int | None
    parameters: int | None
    without_embedding: int | None
    source_sizes: Mapping[str, SourceSize]
    phases: tuple[PlannedPhase, ...]
    parallel: str = "auto"
    """How several ranks hold the model: `auto`, `ddp` or `fsdp`."""

    @property
    def flops(self) -> float | None:
        """Operations of all phases; None if they are not known."""
        flops = [phase.flops for phase in self.phases if phase.flops is not None]
        return sum(flops) if len(flops) == len(self.phases) else None

    @property
    def steps(self) -> int:
        """Steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    @property
    def tokens(self) -> int:
        """Tokens of all phases."""
        return sum(phase.tokens for phase in self.phases)


def make_plan(recipe: Recipe, run: RunDirectory, history: MeasurementHistory | None = None) -> Plan:
    """Plan a recipe; counts of a run in the folder `run`, or of earlier runs, make it exact.

    Raises:
        DataError: a token store of the run is damaged.
    """
    sizes = source_sizes(recipe, run, history)
    shape, rows, why = _shape(recipe, run)
    phases = tuple(_phase(phase, sizes, shape, rows) for phase in recipe.phases)
    counted = shape is not None and rows is not None
    return Plan(
        recipe.name, recipe.model.size or str(recipe.model.from_), why, shape, rows,
        shape.parameters(rows) if counted and shape and rows else None, shape.without_embedding if shape else None,
        sizes, phases, recipe.model.parallel,
    )  # fmt: skip


def _phase(phase: Phase, sizes: Mapping[str, SourceSize], shape: EncoderShape | None, rows: int | None) -> PlannedPhase:
    moments = [(i + 0.5) / POINTS for i in range(POINTS)]
    weights_at = [_normalized(mixing_weights(phase.mixing, at)) for at in moments]
    sources = {}
    for name in weights_at[0]:
        shares = tuple(weights[name] for weights in weights_at)
        tokens = round(sum(shares) / POINTS * phase.tokens)
        epoch = sizes[name].epoch_tokens(phase.context, phase.min_tokens) if name in sizes else None
        rates = _mask_rates(phase, sizes[name]) if name in sizes else ()
        sources[name] = SourceUse(shares, tokens, epoch, tokens / epoch if epoch else None, rates)
    learning_rates = [phase.learning_rate_at(round(at * phase.tokens)) for at in (*moments, 1.0)]
    batches = [phase.batch_tokens_at(round(at * phase.tokens)) for at in (0.0, *moments)]
    masks = tuple(phase.masking.rate.at(at) for at in moments)
    attended, counted = _attended(phase, sizes, sources)
    flops = None
    if shape is not None and rows is not None:
        flops = shape.flops_per_token(rows, attended=attended, masked=sum(masks) / POINTS) * phase.tokens
    return PlannedPhase(
        phase.name, phase.tokens, planned_steps(phase), phase.context, sources,
        tuple(learning_rates[:-1]), phase.learning_rate.peak, learning_rates[-1], tuple(batches[1:]), batches[0],
        masks, phase.masking.name, attended, counted, flops, phase.row_tokens, sum(masks) / POINTS,
        phase.optimizer.use,
    )  # fmt: skip


def _mask_rates(phase: Phase, size: SourceSize) -> tuple[MaskRates, ...]:
    """The shares of a source's salient and plain tokens that guided masking masks, at the start and at the end of the phase."""
    if size.store is None or not phase.masking.scorers:
        return ()
    from rexplug.batches.mask_rates import rates_in_store

    rates = [rates_in_store(phase.masking, size.store, phase.context, at, seed=0) for at in (0.0, 1.0)]
    return tuple(each for each in rates if each is not None)


def _normalized(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def planned_steps(phase: Phase) -> int:
    """Optimizer steps with full rows: a batch is a whole number of rows, and the last batch is the remainder."""
    warmup = phase.batch_warmup

    def batch(tokens: int) -> int:
        return max(1, round(phase.batch_tokens_at(tokens) / phase.row_tokens)) * phase.row_tokens

    growing = min(warmup.tokens, phase.tokens) if warmup else 0
    steps = 0.0
    if growing:
        parts = 2000  # the batch grows by whole rows; within a part its size in the middle counts
        steps = sum(growing / parts / batch(round((i + 0.5) * growing / parts)) for i in range(parts))
    steps += (phase.tokens - growing) / batch(phase.tokens)
    return max(1, -int(-steps // 1))


def _attended(phase: Phase, sizes: Mapping[str, SourceSize], sources: Mapping[str, SourceUse]) -> tuple[float, bool]:
    """The mean length of the sample that contains a token, and whether it was counted; else it is assumed."""
    total = 0.0
    for name, use in sources.items():
        if not use.tokens:
            continue
        source = sizes.get(name)
        epoch = source.epoch(phase.context, phase.min_tokens) if source else None
        if epoch is None:
            return assumed_attended(phase.context), False
        total += use.tokens * epoch.attended
    return total / sum(use.tokens for use in sources.values()), True


def assumed_attended(context: int) -> float:
    """The length of the sample that contains a token, assumed where the lengths of documents are not known.

    Up to 1,024 tokens documents are assumed to fill the context. Beyond that, just over half of the additional context is
    assumed to be filled: with this the published speeds of ModernBERT at 8,192 follow from its speeds at 1,024 within 4 %
    (docs/explanations/plan.md).
    """
    return float(min(context, _SHORT_CONTEXT + _FILLED * max(0, context - _SHORT_CONTEXT)))


def _shape(recipe: Recipe, run: RunDirectory) -> tuple[EncoderShape | None, int | None, str]:
    """Shape and embedding rows of the model, or why they are not known."""
    if recipe.model.size is not None:
        vocabulary, why = _vocabulary(recipe, run)
        return SIZES[recipe.model.size], embedding_rows(vocabulary) if vocabulary else None, why
    name = str(recipe.model.from_)
    try:
        config = _config(name, recipe.model.revision)
    except (OSError, ValueError, RecursionError) as error:
        return None, None, f"the config.json of {brief(name)} cannot be read: {brief(str(error))}"
    if config is None:
        release = find_release(name)
        if release is not None:
            return release.shape, release.rows, ""
        return None, None, f"{brief(name)} is neither a folder with a config.json nor in the local Hugging Face cache"
    stated = config if isinstance(config, Mapping) else {}
    family = find_family(stated.get("model_type")) or DEFAULT_FAMILY
    try:
        shape, rows = shape_and_rows(stated, family)
    except ValueError:
        return None, None, f"the config.json of {brief(name)} is not that of a {family.title}"
    return shape, rows, ""


def _vocabulary(recipe: Recipe, run: RunDirectory) -> tuple[int | None, str]:
    spec = recipe.tokenizer
    if spec.from_ is None:
        return spec.vocabulary or DEFAULT_VOCABULARY, ""
    for folder in (spec.from_, str(run.tokenizer)):
        if is_folder(folder) and (Path(folder) / "tokenizer.json").exists():
            return SpecialTokens.read(Path(folder)).vocabulary_size, ""
    path = cached_file(spec.from_, "tokenizer.json")
    if path is not None:
        return SpecialTokens.read(path.parent).vocabulary_size, ""
    release = find_release(spec.from_)
    if release is not None:
        return release.rows, ""
    return None, f"the tokenizer {brief(spec.from_)} is neither a folder nor in the local Hugging Face cache"


def _config(name: str, revision: str | None) -> Any:
    """The content of a checkpoint's config.json; None if it is not on this machine.

    Raises:
        OSError, ValueError, RecursionError: it cannot be read or is not JSON.
    """
    path: Path | None = Path(name) / "config.json"
    if path is None or not is_folder(name) or not path.exists():
        path = cached_file(name, "config.json", revision)
    if path is None:
        return None
    return json.loads(path.read_text(encoding="utf-8"))
