"""Fills rows with whole samples: in order while any sample fits, and at the end of a row with those that fit best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter

from rexplug.batches.mixing import charge, next_source
from rexplug.batches.samples import SampleRecord, Samples

LOOK_AHEAD = 48
"""The end of a row is chosen from so many next samples of each source; those passed over come first in the next row."""
_FIRST_AFTER = 4 * LOOK_AHEAD
"""A deferred sample opens the next row that its source opens, once the source has got so far ahead of it."""
_FORCED_AFTER = 5 * LOOK_AHEAD
"""Once a source has got so far ahead of a deferred sample, no other of its samples goes before it, wherever in a row."""
SMALL = _FORCED_AFTER + LOOK_AHEAD
"""A source with fewer samples finishes an epoch before it begins the next: a sample may be deferred for nearly as many
sample indices, which would be several of its epochs."""
_MAX_TRIES = 48
"""Ends of a row that are compared."""
_RESERVED_SAMPLES = 3
"""Filling in order stops when there is room for about so many samples of mean length, so that the end can be chosen."""


class Window:
    """The next samples of one source, deferred ones first; the first `LOOK_AHEAD` may be taken in any order."""

    def __init__(self, source_samples: Samples, next_index: int, deferred: Sequence[int]) -> None:
        self._source_samples = source_samples
        self.samples: list[SampleRecord] = [source_samples.at_index(sample_index) for sample_index in deferred]
        self.cursor = 0
        """Index of the next sample in `samples`."""
        self.next_index = next_index
        """One more than the highest sample index that was taken."""
        self._next_to_fetch = next_index

    def fetch(self, count: int = LOOK_AHEAD) -> list[SampleRecord]:
        """`samples`, with at least `count` of them from `cursor` on."""
        while len(self.samples) - self.cursor < count:
            more = self._source_samples.from_index(self._next_to_fetch)
            self.samples = self.samples[self.cursor :] + more
            self.cursor = 0
            self._next_to_fetch += len(more)
        return self.samples

    def candidates(self) -> list[SampleRecord]:
        """The next samples, in order, of which any may be taken: `LOOK_AHEAD` of them, the rest of a small source's epoch, or
        the oldest alone if it has been deferred for too long.
        """
        candidates = self.samples[self.cursor : self.cursor + LOOK_AHEAD]
        if self.next_index - candidates[0].sample_index >= _FORCED_AFTER:
            return candidates[:1]
        size = self._source_samples.size
        if size < SMALL:
            next_epoch = (candidates[0].sample_index // size + 1) * size
            candidates = [sample for sample in candidates if sample.sample_index < next_epoch]
        return candidates

    def take_until(self, end: int) -> None:
        """Take everything from `cursor` to place `end` of `samples`."""
        if end > self.cursor:
            self.next_index = max(self.next_index, self.samples[end - 1].sample_index + 1)
            self.cursor = end

    def take_at(self, places: Sequence[int]) -> None:
        """Take the samples at `places` of `samples`, out of order."""
        for place in sorted(places, reverse=True):
            self.next_index = max(self.next_index, self.samples[place].sample_index + 1)
            del self.samples[place]

    @property
    def deferred(self) -> list[int]:
        """Sample indices that were passed over so far."""
        deferred = []
        for sample in self.samples[self.cursor :]:
            if sample.sample_index >= self.next_index:
                break
            deferred.append(sample.sample_index)
        return deferred


@dataclass
class Packer:
    """Fills the rows of a batch; takes samples out of `windows` and charges them to `credits`.

    `windows`, `credits`, `weights` and `tokens_of` hold one entry per source; `context` is the length of the longest
    sample, `tokens_of` the tokens taken so far.
    """

    windows: Sequence[Window]
    credits: list[int]
    weights: Sequence[int]
    context: int
    tokens_of: list[int] = field(init=False)
    _active: list[int] = field(init=False)
    """The sources with a share."""

    def __post_init__(self) -> None:
        self.tokens_of = [0] * len(self.weights)
        self._active = [source for source, weight in enumerate(self.weights) if weight]

    def fill_row(self, capacity: int, *, never_empty: bool) -> list[SampleRecord]:
        """The samples of a row of `capacity` tokens.

        Whichever source is next gives its oldest sample. Once there is room for a few samples only, each source still comes
        in its turn but gives, of its next `LOOK_AHEAD` samples, the one that leads to the fullest row among the ends that
        are tried. A sample that was deferred for long goes first.

        Args:
            capacity: tokens of the row.
            never_empty: if no sample fits, take one that does not.
        """
        row: list[SampleRecord] = []
        room = self._fill_in_order(row, capacity) if len(self._active) > 1 else self._fill_from_one(row, capacity)
        end = _EndSearch(self, room, capacity >> 9).best() if room else []
        if not row and not end and never_empty:
            source = next_source(self.credits, self.weights, self.context)
            end = [(source, self.windows[source].cursor)]
        last = [self.windows[source].samples[place] for source, place in end]
        for sample in last:
            charge(self.credits, self.weights, sample.source, sample.length)
            self.tokens_of[sample.source] += sample.length
        for active in self._active:
            self.windows[active].take_at([place for source, place in end if source == active])
        return row + last

    def _reserve(self) -> int:
        """Tokens of a row that are left to the search for its end."""
        lengths = [
            sample.length
            for source in self._active
            for sample in self.windows[source].fetch()[self.windows[source].cursor :][:LOOK_AHEAD]
        ]
        return min(self.context, _RESERVED_SAMPLES * sum(lengths) // len(lengths))

    def _fill_from_one(self, row: list[SampleRecord], room: int) -> int:
        """Fill a row in order from the only active source; returns the room that is left.

        Credits stay as they are: the source earns all tokens that it pays for.
        """
        window, reserve = self.windows[self._active[0]], self._reserve()
        goes_first = window.next_index - _FIRST_AFTER
        capacity = room
        while True:
            samples, cursor = window.fetch(), window.cursor
            for sample in islice(samples, cursor, None):
                length = sample.length
                if length > room or (room <= reserve and (row or sample.sample_index >= goes_first)):
                    break
                room -= length
                cursor += 1
            is_full = cursor < len(samples)
            row += samples[window.cursor : cursor]
            window.take_until(cursor)
            if is_full:
                window.fetch()
                self.tokens_of[self._active[0]] += capacity - room
                return room

    def _fill_in_order(self, row: list[SampleRecord], room: int) -> int:
        """Fill a row in order from several sources; returns the room that is left.

        `next_source` and `charge` written out: a call for every sample would be most of the stream's time.
        """
        active, weights, windows = self._active, self.weights, self.windows
        credits, tokens_of = self.credits, self.tokens_of
        total, reserve = sum(weights), self._reserve()
        samples = [window.fetch() if weight else [] for window, weight in zip(windows, weights, strict=True)]
        cursors = [window.cursor for window in windows]
        fetch_at = [len(fetched) - LOOK_AHEAD for fetched in samples]
        longest = self.context * total
        goes_first = [window.next_index - _FIRST_AFTER for window in windows]
        while True:
            best, soonest = -1, 0.0
            for i in active:
                credit = credits[i]
                if credit >= 0:
                    finish = (longest - credit) / weights[i]
                    if best < 0 or finish < soonest:
                        best, soonest = i, finish
            if best < 0:
                best = next_source(credits, weights, self.context)
            sample = samples[best][cursors[best]]
            length = sample.length
            if length > room or (room <= reserve and (row or sample.sample_index >= goes_first[best])):
                break
            row.append(sample)
            room -= length
            for i in active:
                credits[i] += weights[i] * length
            credits[best] -= total * length
            tokens_of[best] += length
            cursors[best] += 1
            if cursors[best] > fetch_at[best]:
                windows[best].take_until(cursors[best])
                samples[best] = windows[best].fetch()
                cursors[best], fetch_at[best] = windows[best].cursor, len(samples[best]) - LOOK_AHEAD
        for i in active:
            windows[i].take_until(cursors[i])
            windows[i].fetch()
        return room


class _EndSearch:
    """A search for the samples that fill the rest of a row: depth first, longest first, a bounded number of tries.

    It stops early once at most `good_enough` tokens stay free.
    """

    def __init__(self, packer: Packer, room: int, good_enough: int) -> None:
        self.weights = packer.weights
        self.room, self.good_enough = room, good_enough
        self.tries_left = _MAX_TRIES
        self.best_end: list[tuple[int, int]] = []
        self.least_room = room + 1
        self.credits, self.max_length = packer.credits, packer.context
        self.longest_first: list[list[tuple[int, int]]] = [[] for _ in self.weights]
        """Per source, (length, place in its window) of the candidates."""
        for source in packer._active:
            window = packer.windows[source]
            lengths = [sample.length for sample in window.candidates()]
            places = range(window.cursor, window.cursor + len(lengths))
            # Among equal lengths the earlier place stays first: a reversed sort is stable too.
            self.longest_first[source] = sorted(zip(lengths, places, strict=True), key=itemgetter(0), reverse=True)

    def best(self) -> list[tuple[int, int]]:
        """(source, place in its window) of the samples to take."""
        self._extend(self.room, self.credits, [])
        return self.best_end

    def _extend(self, room: int, credits: Sequence[int], taken: list[tuple[int, int]]) -> bool:
        """Try every sample that can follow `taken`; returns whether the search is over."""
        source = next_source(credits, self.weights, self.max_length)
        nothing_fits, length_before = True, -1
        for length, place in self.longest_first[source]:
            if length > room or length == length_before or (source, place) in taken:
                continue
            nothing_fits, length_before = False, length
            after = list(credits)
            charge(after, self.weights, source, length)
            if self._extend(room - length, after, [*taken, (source, place)]):
                return True
        if nothing_fits:
            self.tries_left -= 1
            if room < self.least_room:
                self.least_room, self.best_end = room, taken
        return self.least_room <= self.good_enough or self.tries_left <= 0
