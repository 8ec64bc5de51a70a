"""Packed rows and their masks as text: which tokens are masked, whether by salience, and why a span is salient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rexplug.batches import IGNORED, BatchStream, PackedRow, Position
from rexplug.batches.mask_rates import MaskRateCounter, MaskRates
from rexplug.batches.masking import row_generator
from rexplug.components import Document, Reason, SalienceScorer, TokenizedDocument
from rexplug.document_files import files_in
from rexplug.io.tokenizer_files import open_tokenizer
from rexplug.phase_stream import phase_stream
from rexplug.plugins.calls import explain_salience, mixing_weights, salient_subset
from rexplug.recipe import Recipe
from rexplug.recipe.schema import Phase
from rexplug.run_directory import RunDirectory
from rexplug.tokens.store import TokenStore
from rexplug.tokens.tokenize import encode, fit_scorers

Kind = Literal["plain", "random", "guided"]
_RATES_WITHIN = 0.05
"""Mask rates are measured within so much of the phase after the first row shown."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A token as text.

    Attributes:
        space: white space before it.
        text: its text.
        kind: `plain` if it is not masked, `guided` if it is masked because it is salient, else `random`.
        shown: what replaces it (`=` for itself); None if it is not masked.
        label: label of the salient span that contains it; None outside of one.
    """

    space: str
    text: str
    kind: Kind
    shown: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class SamplePreview:
    """The first tokens of a sample, and the salient spans in them as (text, label, whether masked)."""

    source: str
    document: str
    start: int
    end: int
    pieces: tuple[Piece, ...]
    spans: tuple[tuple[str, str, bool], ...]

    @property
    def hidden(self) -> int:
        """Number of tokens that are not among the pieces."""
        return self.end - self.start - len(self.pieces)


@dataclass(frozen=True, slots=True)
class RowPreview:
    """A packed row: its counts, and its first samples."""

    num_samples: int
    num_tokens: int
    width: int
    num_masked: int
    num_guided: int
    samples: tuple[SamplePreview, ...]


@dataclass(frozen=True, slots=True)
class PhasePreview:
    """Rows of a phase at some progress; `mixture` is (source, planned share).

    `mask_rates` are (source, rates of masked tokens) in the rows shown and those after them; empty if the policy is not guided by
    salience.
    """

    phase: str
    progress: float
    masking: str
    rate: float
    mixture: tuple[tuple[str, float], ...]
    rows: tuple[RowPreview, ...]
    mask_rates: tuple[tuple[str, MaskRates], ...] = ()


def preview_phase(
    recipe: Recipe,
    phase: Phase,
    run: RunDirectory,
    *,
    at: float = 0.0,
    rows: int = 1,
    samples: int = 4,
    tokens: int = 120,
) -> PhasePreview:
    """Rows of `phase` at progress `at`, from the token stores of a run.

    At 0 these are the first rows of the phase. At a later point mixture and masks are those of that point, but the samples
    only resemble those of training, which depend on everything drawn before.

    Args:
        recipe: the recipe of the run.
        phase: one of its phases.
        run: the run directory.
        at: progress in [0, 1].
        rows: how many rows.
        samples: how many samples of each row.
        tokens: how many tokens of each sample.

    Raises:
        DataError: the stores are missing or damaged.
    """
    stream = phase_stream(recipe, phase, run)
    previewer = _RowPreviewer(recipe, phase, run, stream, samples, tokens)
    position = _position(stream, at)
    row_previews: list[RowPreview] = []
    progress, mixture = at, {}
    rates = MaskRateCounter(stream)
    following = ((batch, row) for batch, _ in stream.batches(position) for row in batch.rows)
    for batch, row in following:
        if not row_previews:
            progress, mixture = batch.progress, dict(batch.planned)
        if len(row_previews) < rows:
            row_previews.append(previewer.preview(row, batch.number, batch.progress))
        elif rates.complete or batch.progress > progress + _RATES_WITHIN:
            break
        rates.add(row)
    return PhasePreview(
        phase.name,
        progress,
        phase.masking.name,
        phase.masking.rate.at(progress),
        tuple(mixture.items()),
        tuple(row_previews),
        rates.by_source(),
    )


def _position(stream: BatchStream, at: float) -> Position:
    """The approximate position of the stream at progress `at`: as many samples drawn as the planned shares amount to."""
    tokens = min(int(at * stream.total_tokens), stream.total_tokens - 1)
    if tokens <= 0:
        return stream.start
    points = [(i + 0.5) / 64 * at for i in range(64)]
    weights = [mixing_weights(stream.mixing, point) for point in points]
    next_indices = []
    for name, samples, length in zip(
        stream.sources, stream.epoch_samples(), stream.epoch_tokens().values(), strict=True
    ):
        share = sum(at_point.get(name, 0.0) / sum(at_point.values()) for at_point in weights) / len(weights)
        next_indices.append(int(share * tokens * samples / length) if length else 0)
    batch = tokens // max(1, stream.batch_tokens(tokens))
    return replace(stream.start, batch=batch, tokens=tokens, next_indices=tuple(next_indices))


@dataclass(frozen=True)
class _RowPreviewer:
    recipe: Recipe
    phase: Phase
    run: RunDirectory
    stream: BatchStream
    samples: int
    tokens: int

    @cached_property
    def _scorer(self) -> SalienceScorer | None:
        scorers = self.phase.masking.scorers
        if not scorers:
            return None
        fitted = fit_scorers(
            self.recipe.scorers,
            self.run.corpus,
            list(self.recipe.sources),
            folder=self.run.fitted,
            seed=self.recipe.seed,
        )
        return dict(zip((scorer.channel for scorer in self.recipe.scorers), fitted, strict=True))[scorers[0].channel]

    @cached_property
    def _tokenizer(self) -> Any:
        return open_tokenizer(self.run.tokenizer)

    def preview(self, row: PackedRow, batch: int, progress: float) -> RowPreview:
        """The preview of a row of batch `batch`."""
        size = row.num_tokens
        labels, shown = row.labels[:size], row.token_ids[:size]
        view = self.stream.unmasked(row.samples)
        generator = row_generator(self.stream.seed, self.phase.name, batch, row.number)
        guided = salient_subset(self.phase.masking, view, progress, generator) & (labels != IGNORED)
        previews = []
        for index, sample in enumerate(islice(row.samples, self.samples)):
            first = int(row.cu_seqlens[index]) + 1
            end = min(sample.end, sample.start + self.tokens)
            inside = slice(first, first + end - sample.start)
            name = self.stream.sources[int(row.sources[index])]
            document, reasons = self._document(name, sample.document)
            kinds: list[Kind] = [
                "plain" if label == IGNORED else "guided" if by_choice else "random"
                for label, by_choice in zip(labels[inside], guided[inside], strict=True)
            ]
            previews.append(
                self._sample(
                    name, document, reasons, sample.start, sample.end, view.token_ids[inside], shown[inside], kinds
                )
            )
        return RowPreview(
            len(row.samples), size, len(row.token_ids), row.num_masked, int(guided.sum()), tuple(previews)
        )  # fmt: skip

    def _document(self, source: str, number: int) -> tuple[TokenizedDocument, Sequence[Reason]]:
        """A document with its text and the reasons of its salient spans; without its text, what its tokens show."""
        store = self.stream.stores[source]
        ids = np.asarray(store.document(number), np.uint32)
        name = store.ids([number])[0]
        text = kept_text(store, self.run.corpus / source / "kept", number)
        if text is not None:
            (document,) = encode(self.run.tokenizer, [Document(name, text)])
            if np.array_equal(document.token_ids, ids):
                return document, explain_salience(self._scorer, document) if self._scorer is not None else ()
        pieces = [self._tokenizer.decode([int(token)]) for token in ids]
        ends = np.cumsum([len(piece) for piece in pieces])
        offsets = np.stack([ends - [len(piece) for piece in pieces], ends], 1).astype(np.uint32)
        starts = np.asarray(store.channel("word_start", number)).astype(bool)
        return TokenizedDocument(name, "".join(pieces), ids, offsets, starts), ()

    def _sample(
        self,
        source: str,
        document: TokenizedDocument,
        reasons: Sequence[Reason],
        start: int,
        end: int,
        original: NDArray[np.int64],
        shown: NDArray[np.int64],
        kinds: Sequence[Kind],
    ) -> SamplePreview:
        pieces = []
        spans: dict[int, tuple[str, str, bool]] = {}
        before = int(document.offsets[start, 0]) if len(document.offsets) else 0
        owner = _owners(document, reasons)
        for index, (kind, token, replaced_by) in enumerate(zip(kinds, original, shown, strict=True), start):
            # Of a character that is split into several tokens, the first token shows all of it.
            after = max(before, int(document.offsets[index, 1]))
            text, before = document.text[before:after], after
            span = int(owner[index])
            label = reasons[span].label if span >= 0 else None
            if span >= 0:
                value = document.text[reasons[span].start : reasons[span].end]
                masked = spans[span][2] if span in spans else False
                spans[span] = (value, reasons[span].label, masked or kind == "guided")
            words = text.lstrip()
            space = text[: len(text) - len(words)]
            replacement = None
            if kind != "plain":
                words = words or ("⏎" if "\n" in space else "␣")
                is_mask = int(replaced_by) == self.stream.special.mask
                replacement = (
                    "[MASK]"
                    if is_mask
                    else "="
                    if replaced_by == token
                    else self._tokenizer.decode([int(replaced_by)]).strip()
                )
            pieces.append(Piece(space, words, kind, replacement, label))
        return SamplePreview(source, document.id, start, end, tuple(pieces), tuple(spans.values()))


def _owners(document: TokenizedDocument, reasons: Sequence[Reason]) -> NDArray[np.int64]:
    """For each token the index of the reason whose span covers it, -1 for none; `[num_tokens]`."""
    owner = np.full(len(document.token_ids), -1, np.int64)
    last = np.ascontiguousarray(document.offsets[:, 1])
    for number, reason in enumerate(reasons):
        first, after = last.searchsorted([reason.start, reason.end], side="right")
        owner[first:after] = number
    return owner


def kept_text(store: TokenStore, folder: Path, number: int) -> str | None:
    """The text of document `number` of a store, from the curated file of its shard; None if that file is missing."""
    import pyarrow.parquet as pq

    shard = int(np.searchsorted(store.first_documents, number, side="right")) - 1
    number -= int(store.first_documents[shard])
    files = files_in(folder)
    if shard >= len(files):
        return None
    with pq.ParquetFile(files[shard]) as file:
        for group in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if number < rows:
                return str(file.read_row_group(group, columns=["text"])["text"][number].as_py())
            number -= rows
    return None


def previews(recipe: Recipe, run: RunDirectory) -> Iterator[PhasePreview]:
    """A row from the middle of each phase, for the report; not of phases whose masks can no longer be made."""
    for phase in recipe.phases:
        if not phase.masking.retired:
            yield preview_phase(recipe, phase, run, at=0.5, samples=3, tokens=90)
