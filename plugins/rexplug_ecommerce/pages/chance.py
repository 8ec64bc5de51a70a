"""Random choices that depend on a key alone, cheap enough for hundreds per page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    pass


T = TypeVar("T")


class Chance:
    """A stream of random choices keyed by two numbers; equal keys give equal choices on every machine and in every worker."""

    def __init__(self, first: int, second: int) -> None:
        import numpy as np

        key = np.array([first, second], dtype=np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key))

        # One numpy call per choice would cost more than everything else together, so numbers are drawn in blocks.
        def blocks() -> Iterator[list[int]]:
            while True:
                yield generator.integers(0, 2**31, size=1024).tolist()

        self.number = chain.from_iterable(blocks()).__next__
        """A whole number in [0, 2**31)."""

    def below(self, end: int) -> int:
        """A whole number in [0, end)."""
        return self.number() % end

    def between(self, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        return low + self.number() % (high - low + 1)

    def happens(self, percent: int) -> bool:
        """True with a probability of `percent` per cent."""
        return self.number() % 100 < percent

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.number() % len(items)]

    def some(self, items: Sequence[T], count: int) -> list[T]:
        """`count` of the items (all if there are not so many), each at most once, in the order in which they were drawn."""
        remaining = list(items)
        return [remaining.pop(self.number() % len(remaining)) for _ in range(min(count, len(remaining)))]
