"""Rows filled with whole samples: in order while any sample fits, and at the end of a row with those that fit best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rexplug.batches.mixing import choose, settle, settle_all
from rexplug.batches.samples import Sample, Samples

LOOK_AHEAD = 24
"""Samples of each source from which the end of a row is chosen; those passed over come first in the next row."""
_TRIES = 96
"""Ends of a row that are compared."""


class Window:
    """The next samples of one source in order of their draws; the first `LOOK_AHEAD` may be taken in any order."""

    def __init__(self, samples: Samples, draws: int, waiting: Sequence[int]) -> None:
        self._samples = samples
        self.samples = [samples.drawn(draw) for draw in waiting]
        self.at = 0
        """Where the next sample stands in `samples`."""
        self.draws = draws
        """One more than the highest draw that was taken."""
        self._next = draws

    def fill(self, count: int = LOOK_AHEAD) -> list[Sample]:
        """At least `count` samples from `at` on."""
        while len(self.samples) - self.at < count:
            more = self._samples.chunk_from(self._next)
            self.samples = self.samples[self.at :] + more
            self.at = 0
            self._next += len(more)
        return self.samples

    def took(self, end: int) -> None:
        """Everything before place `end` of `samples` was taken."""
        if end > self.at:
            self.draws = max(self.draws, self.samples[end - 1].draw + 1)
            self.at = end

    def take(self, places: Sequence[int]) -> None:
        """The samples at `places` were taken out of their turn."""
        for place in sorted(places, reverse=True):
            self.draws = max(self.draws, self.samples[place].draw + 1)
            del self.samples[place]

    @property
    def waiting(self) -> list[int]:
        """Draws that were passed over."""
        found = []
        for sample in self.samples[self.at :]:
            if sample.draw >= self.draws:
                break
            found.append(sample.draw)
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

    def row(self, capacity: int, *, never_empty: bool) -> list[Sample]:
        """The samples of a row of `capacity` tokens.

        Whichever source is next gives its oldest sample as long as any would fit. Once the room is less than a context,
        each source still comes in its turn but gives, of its next `LOOK_AHEAD` samples, the one that leads to the fullest
        row among the ends that are tried.

        Args:
            capacity: tokens of the row.
            never_empty: if no sample fits, take one that does not.
        """
        row: list[Sample] = []
        room = self._in_order(row, capacity) if len(self._active) > 1 else self._in_order_of_one(row, capacity)
        settle_all(self.credits, self.weights, row)
        end = _End(self, room, capacity >> 10).best() if room else []
        if not row and not end and never_empty:
            end = [(source := self._next_source(), self.windows[source].at)]
        chosen = [self.windows[source].samples[place] for source, place in end]
        settle_all(self.credits, self.weights, chosen)
        for source in self._active:
            self.windows[source].take([place for each, place in end if each == source])
        return row + chosen

    def _next_source(self) -> int:
        heads = [0] * len(self.weights)
        for i in self._active:
            window = self.windows[i]
            heads[i] = window.fill()[window.at].length
        return choose(self.credits, self.weights, heads)

    def _in_order_of_one(self, row: list[Sample], room: int) -> int:
        window, context = self.windows[self._active[0]], self.context
        while room >= context:
            samples, at = window.fill(), window.at
            while room >= context and at < len(samples):
                room -= samples[at][0]
                at += 1
            row += samples[window.at : at]
            window.took(at)
        window.fill()
        return room

    def _in_order(self, row: list[Sample], room: int) -> int:
        """`choose` and `settle` for every sample, written out: a microsecond each would be most of the stream's time."""
        active, weights, context, windows = self._active, self.weights, self.context, self.windows
        credits, total = self.credits.copy(), sum(weights)
        samples = [window.fill() if weight else [] for window, weight in zip(windows, weights, strict=True)]
        at = [window.at for window in windows]
        ends = [len(each) - LOOK_AHEAD for each in samples]
        while room >= context:
            best, soonest = -1, 0.0
            for i in active:
                credit = credits[i]
                if credit >= 0:
                    finish = (samples[i][at[i]][0] * total - credit) / weights[i]
                    if best < 0 or finish < soonest:
                        best, soonest = i, finish
            if best < 0:
                best = choose(credits, weights, [0] * len(weights))
            sample = samples[best][at[best]]
            length = sample[0]
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
        self.credits = packer.credits
        self.heads: list[list[int]] = [[] for _ in self.weights]
        self.longest_first: list[list[tuple[int, int]]] = [[] for _ in self.weights]
        for source in packer._active:
            window = packer.windows[source]
            lengths = [sample[0] for sample in window.samples[window.at : window.at + LOOK_AHEAD]]
            self.heads[source] = lengths
            places = range(window.at, window.at + len(lengths))
            self.longest_first[source] = sorted(zip(lengths, places, strict=True), key=lambda each: (-each[0], each[1]))

    def best(self) -> list[tuple[int, int]]:
        """(source, place in its window) of the samples to take."""
        self._try(self.room, self.credits, [])
        return self.found

    def _try(self, room: int, credits: Sequence[int], taken: list[tuple[int, int]]) -> bool:
        """Go on from `taken`; returns whether to stop."""
        source = choose(credits, self.weights, [lengths[0] if lengths else 0 for lengths in self.heads])
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
