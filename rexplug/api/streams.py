"""The batches of a phase as numpy arrays, exactly as training sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from rexplug.api.arguments import path_of, progress_of, strings_of, whole_number
from rexplug.api.explained import explained
from rexplug.api.folders import RunLike, folder_of
from rexplug.errors import DataError, RexplugError
from rexplug.progress import Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rexplug.batches import BatchStream, GlobalBatch, PackedRow, Position, PositionHistory
    from rexplug.report.preview import PhasePreview


@dataclass(frozen=True, eq=False)
class StreamRow:
    """A packed row of T tokens: n samples one after the other, each from [CLS] to [SEP], then padding."""

    packed: PackedRow = field(repr=False)
    stream: BatchStream = field(repr=False)

    @property
    def token_ids(self) -> NDArray[np.int64]:
        """`[T]`: what the model reads; masked tokens are replaced."""
        return self.packed.token_ids

    @property
    def labels(self) -> NDArray[np.int64]:
        """`[T]`: the token that was masked, -100 everywhere else."""
        return self.packed.labels

    @property
    def masked(self) -> NDArray[np.bool_]:
        """`[T]`: which tokens are predicted."""
        return self.packed.labels >= 0

    @property
    def original_ids(self) -> NDArray[np.int64]:
        """`[T]`: the tokens before masking."""
        import numpy as np

        return np.where(self.masked, self.packed.labels, self.packed.token_ids)

    @property
    def position_ids(self) -> NDArray[np.int64]:
        """`[T]`: the position of each token in its sample, from 0."""
        return self.packed.position_ids

    @property
    def cu_seqlens(self) -> NDArray[np.int32]:
        """`[n + 1]`: where samples begin and end; sample i is `token_ids[cu_seqlens[i]:cu_seqlens[i + 1]]`."""
        return self.packed.cu_seqlens

    @property
    def num_tokens(self) -> int:
        """Tokens that are not padding; the last entry of `cu_seqlens`."""
        return self.packed.num_tokens

    @property
    def num_masked(self) -> int:
        """Tokens that are predicted."""
        return self.packed.num_masked

    @property
    def sources(self) -> tuple[str, ...]:
        """`[n]`: the source of each sample."""
        return tuple(self.stream.sources[int(source)] for source in self.packed.sources)

    @cached_property
    def documents(self) -> tuple[str, ...]:
        """`[n]`: the id of each sample's document; read from the token stores."""
        names: dict[tuple[int, int], str] = {}
        pairs = [(int(s), int(d)) for s, d in zip(self.packed.sources, self.packed.documents, strict=True)]
        for source in {source for source, _ in pairs}:
            numbers = sorted({document for of, document in pairs if of == source})
            ids = self.stream.samples[source].store.ids(numbers)
            names |= {(source, number): name for number, name in zip(numbers, ids, strict=True)}
        return tuple(names[pair] for pair in pairs)


@dataclass(frozen=True, eq=False)
class Batch:
    """The global batch of a step, the same for any number of processes.

    `step` counts from 1, `tokens` are those of the phase up to the end of this batch, `progress` is where the phase was
    before it (0 to 1). `tokens_of` counts the batch's tokens by source, `planned` are the shares that the mixing schedule
    asks for.
    """

    step: int
    tokens: int
    progress: float
    num_tokens: int
    num_masked: int
    rows: tuple[StreamRow, ...]
    tokens_of: Mapping[str, int]
    planned: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Stream:
    """The batches of a phase. Iterating yields all of them; `batches(step)` begins at a step, `batch(step)` is one."""

    history: PositionHistory = field(repr=False)

    @property
    def phase(self) -> str:
        """The name of the phase."""
        return self._stream.phase

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that the phase mixes."""
        return self._stream.sources

    @property
    def total_tokens(self) -> int:
        """The length of the phase."""
        return self._stream.total_tokens

    @property
    def context(self) -> int:
        """The longest sample, [CLS] and [SEP] included."""
        return self._stream.context

    def __iter__(self) -> Iterator[Batch]:
        return self.batches()

    def batches(self, step: int = 1) -> Iterator[Batch]:
        """The batches from a step to the end of the phase.

        Steps that were trained are found at once; others are reached by planning the batches before them, which reads no
        tokens.

        Raises:
            DataError: the phase ends before this step, or what was trained belongs to other token stores or another recipe.
        """
        position = self._before(whole_number("step", step))
        for batch, after in self._stream.batches(position):
            yield self._wrapped(batch, after)

    def batch(self, step: int) -> Batch:
        """The batch of one step.

        Raises:
            DataError: as for `batches`.
        """
        return next(self.batches(step))

    @property
    def _stream(self) -> BatchStream:
        return self.history.stream

    @explained
    def _before(self, step: int) -> Position:
        if step < 1:
            raise DataError(f"phase '{self.phase}' has no step {step}: steps are counted from 1")
        known = min(step - 1, self.history.num_steps)
        position = self.history.before(known + 1)
        while position.batch < step - 1 and not self._stream.done(position):
            position = self._stream.plan(position)[1]
        if self._stream.done(position):
            raise DataError(f"phase '{self.phase}' has no step {step}: it ends after step {position.batch:,}")
        return position

    def _wrapped(self, batch: GlobalBatch, after: Position) -> Batch:
        rows = tuple(StreamRow(row, self._stream) for row in batch.rows)
        return Batch(
            batch.number + 1, after.tokens, batch.progress, batch.num_tokens, batch.num_masked, rows, batch.tokens_of,
            batch.planned,
        )  # fmt: skip


@explained
def open_stream(run: RunLike, phase: str | None = None) -> Stream:
    """Open the batches of a phase of a run that is tokenized.

    What comes out is a function of recipe, seed and step: these are the rows that training saw, or will see.

    Args:
        run: the run.
        phase: its name; the first phase if left out.

    Raises:
        DataError: the folder is not a run, nothing was tokenized in it yet, or a token store is damaged.
        RecipeError: its recipe cannot be loaded here, or has no such phase.
    """
    from rexplug.pipeline.lineage import run_lineages

    lineages = run_lineages(folder_of(run), phase)
    return Stream(next(iter(lineages.values())).history)


@explained
def preview(
    recipe_or_run: RunLike,
    overrides: str | Sequence[str] = (),
    *,
    phase: str | None = None,
    at: float = 0.0,
    rows: int = 1,
    samples: int = 4,
    tokens: int = 120,
    documents: int = 400,
    progress: Progress | None = None,
) -> tuple[list[PhasePreview], str]:
    """Packed rows and masks as people can read them: what is masked, what replaces it, and why.

    Args:
        recipe_or_run: the run directory of a tokenized run, or the path of a recipe. Of a recipe that has not been run, a few
            documents are curated and tokenized in a temporary folder.
        overrides: as for `load_recipe`.
        phase: only this phase; all if left out.
        at: progress of the phase, 0 to 1.
        rows: rows of each phase.
        samples: samples of each row.
        tokens: tokens of each sample.
        documents: without a run: documents of each source that are curated for the preview.
        progress: receives what happens.

    Returns:
        A preview per phase, and a sentence on where the rows come from.

    Raises:
        RexplugError: the recipe is wrong, there is no such phase, or the folder holds no token stores.
    """
    from rexplug.pipeline.preview import token_stores_for_preview
    from rexplug.report.preview import preview_phase

    if not 0 <= at <= 1:
        raise RexplugError(f"at is the progress of a phase, from 0 to 1, not {at}")
    rows, samples = whole_number("rows", rows, at_least=1), whole_number("samples", samples, at_least=1)
    tokens, documents = whole_number("tokens", tokens, at_least=1), whole_number("documents", documents, at_least=1)
    place, settings = path_of("recipe_or_run", recipe_or_run), strings_of("overrides", overrides)
    stores = token_stores_for_preview(place, settings, phase, documents, progress_of(progress))
    with stores as (recipe, run, phases, note):
        previews = [preview_phase(recipe, p, run, at=at, rows=rows, samples=samples, tokens=tokens) for p in phases]
    return previews, note
