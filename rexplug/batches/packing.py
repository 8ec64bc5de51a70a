"""Rows filled with whole samples: in order while any sample fits, and at the end of a row with those that fit best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from rexplug.batches.mixing import choose, settle, settle_all
from rexplug.batches.samples import Item, Samples

LOOK_AHEAD = 48
"""Samples of each source from which the end of a row is chosen; those passed over come first in the next row."""
_PATIENCE = 4 * LOOK_AHEAD
"""A sample that was passed over while so many after it were drawn begins the next row that its source begins."""
_OVERDUE = 5 * LOOK_AHEAD
"""After so many draws no other sample of its source is taken before it, wherever in a row, and though it may not fit."""
SMALL = _OVERDUE + LOOK_AHEAD
"""Sources with fewer samples than this finish an epoch before they begin the next: a sample may wait for nearly as many draws,
which would be several epochs of them."""
_TRIES = 48
"""Ends of a row that are compared."""
_RESERVE = 3
"""Samples of mean length for which room is kept when a row is filled in order."""
_DRAW = 2
"""Where a sample's draw stands in its tuple; its length stands first and its source second."""


class Window:
    """The next samples of one source in order of their draws; the first `LOOK_AHEAD` may be taken in any order."""

    def __init__(self, samples: Samples, draws: int, waiting: Sequence[int]) -> None:
        self._samples = samples
        self.samples: list[Item] = [samples.drawn(draw) for draw in waiting]
        self.at = 0
        """Where the next sample stands in `samples`."""
        self.draws = draws
        """One more than the highest draw that was taken."""
        self._next = draws

    def fill(self, count: int = LOOK_AHEAD) -> list[Item]:
        """At least `count` samples from `at` on."""
        while len(self.samples) - self.at < count:
            more = self._samples.chunk_from(self._next)
            self.samples = self.samples[self.at :] + more
            self.at = 0
            self._next += len(more)
        return self.samples

    def choices(self) -> list[Item]:
        """The next samples, in order, of which any may be taken: `LOOK_AHEAD` of them, what is left of a small source's epoch, or
        the oldest alone if it has waited for too long.
        """
        found = self.samples[self.at : self.at + LOOK_AHEAD]
        if self.draws - found[0][_DRAW] >= _OVERDUE:
            return found[:1]
        size = self._samples.size
        if size < SMALL:
            next_epoch = (found[0][_DRAW] // size + 1) * size
            found = [sample for sample in found if sample[_DRAW] < next_epoch]
        return found

    def took(self, end: int) -> None:
        """Everything before place `end` of `samples` was taken."""
        if end > self.at:
            self.draws = max(self.draws, self.samples[end - 1][_DRAW] + 1)
            self.at = end

    def take(self, places: Sequence[int]) -> None:
        """The samples at `places` were taken out of their turn."""
        for place in sorted(places, reverse=True):
            self.draws = max(self.draws, self.samples[place][_DRAW] + 1)
            del self.samples[place]

    @property
    def waiting(self) -> list[int]:
        """Draws that were passed over."""
        found = []
        for sample in self.samples[self.at :]:
            if sample[_DRAW] >= self.draws:
                break
            found.append(sample[_DRAW])
        return found


@dataclass
class Packer:
    """Fills the rows of a batch; `credits` are changed as samples are taken."""

    windows: Sequence[Window]
    credits: list[int]
    weights: Sequence[int]
    context: int
    _active: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._active = [i for i, weight in enumerate(self.weights) if weight]

    def row(self, capacity: int, *, never_empty: bool) -> list[Item]:
        """The samples of a row of `capacity` tokens.

        Whichever source is next gives its oldest sample. Once there is room for a few samples only, each source still comes
        in its turn but gives, of its next `LOOK_AHEAD` samples, the one that leads to the fullest row among the ends that
        are tried. A sample that has waited for long goes first.

        Args:
            capacity: tokens of the row.
            never_empty: if no sample fits, take one that does not.
        """
        row: list[Item] = []
        room = self._in_order(row, capacity) if len(self._active) > 1 else self._in_order_of_one(row, capacity)
        settle_all(self.credits, self.weights, row)
        end = _End(self, room, capacity >> 9).best() if room else []
        if not row and not end and never_empty:
            source = choose(self.credits, self.weights, self.context)
            end = [(source, self.windows[source].at)]
        chosen = [self.windows[source].samples[place] for source, place in end]
        settle_all(self.credits, self.weights, chosen)
        for source in self._active:
            self.windows[source].take([place for each, place in end if each == source])
        return row + chosen

    def _reserve(self) -> int:
        """Room that is left for the end of a row."""
        lengths = [
            sample[0] for i in self._active for sample in self.windows[i].fill()[self.windows[i].at :][:LOOK_AHEAD]
        ]
        return min(self.context, _RESERVE * sum(lengths) // len(lengths))

    def _in_order_of_one(self, row: list[Item], room: int) -> int:
        window, reserve = self.windows[self._active[0]], self._reserve()
        overdue = window.draws - _PATIENCE
        while True:
            samples, at = window.fill(), window.at
            for sample in islice(samples, at, None):
                length = sample[0]
                if length > room or (room <= reserve and (row or sample[_DRAW] >= overdue)):
                    break
                room -= length
                at += 1
            full = at < len(samples)
            row += samples[window.at : at]
            window.took(at)
            if full:
                window.fill()
                return room

    def _in_order(self, row: list[Item], room: int) -> int:
        """`choose` and `settle` for every sample, written out: a microsecond each would be most of the stream's time."""
        active, weights, windows = self._active, self.weights, self.windows
        credits, total, reserve = self.credits.copy(), sum(weights), self._reserve()
        samples = [window.fill() if weight else [] for window, weight in zip(windows, weights, strict=True)]
        at = [window.at for window in windows]
        ends = [len(each) - LOOK_AHEAD for each in samples]
        longest = self.context * total
        overdue = [window.draws - _PATIENCE for window in windows]
        while True:
            best, soonest = -1, 0.0
            for i in active:
                credit = credits[i]
                if credit >= 0:
                    finish = (longest - credit) / weights[i]
                    if best < 0 or finish < soonest:
                        best, soonest = i, finish
            if best < 0:
                best = choose(credits, weights, self.context)
            sample = samples[best][at[best]]
            length = sample[0]
            if length > room or (room <= reserve and (row or sample[_DRAW] >= overdue[best])):
                break
            row.append(sample)
            room -= length
            for i in active:
                credits[i] += weights[i] * length
            credits[best] -= total * length
            at[best] += 1
            if at[best] > ends[best]:
                windows[best].took(at[best])
                samples[best] = windows[best].fill()
                at[best], ends[best] = windows[best].at, len(samples[best]) - LOOK_AHEAD
        for i in active:
            windows[i].took(at[i])
            windows[i].fill()
        return room


class _End:
    """A search for the samples that fill the room left in a row; depth first, longest first, a bounded number of tries."""

    def __init__(self, packer: Packer, room: int, enough: int) -> None:
        self.weights = packer.weights
        self.room, self.enough = room, enough
        self.tries = _TRIES
        self.found: list[tuple[int, int]] = []
        self.left = room + 1
        self.credits, self.longest = packer.credits, packer.context
        self.longest_first: list[list[tuple[int, int]]] = [[] for _ in self.weights]
        for source in packer._active:
            window = packer.windows[source]
            lengths = [sample[0] for sample in window.choices()]
            places = range(window.at, window.at + len(lengths))
            self.longest_first[source] = sorted(zip(lengths, places, strict=True), key=lambda each: (-each[0], each[1]))

    def best(self) -> list[tuple[int, int]]:
        """(source, place in its window) of the samples to take."""
        self._try(self.room, self.credits, [])
        return self.found

    def _try(self, room: int, credits: Sequence[int], taken: list[tuple[int, int]]) -> bool:
        """Go on from `taken`; returns whether to stop."""
        source = choose(credits, self.weights, self.longest)
        stuck, before = True, -1
        for length, place in self.longest_first[source]:
            if length > room or length == before or (source, place) in taken:
                continue
            stuck, before = False, length
            after = list(credits)
            settle(after, self.weights, source, length)
            if self._try(room - length, after, [*taken, (source, place)]):
                return True
        if stuck:
            self.tries -= 1
            if room < self.left:
                self.left, self.found = room, taken
        return self.left <= self.enough or self.tries <= 0
