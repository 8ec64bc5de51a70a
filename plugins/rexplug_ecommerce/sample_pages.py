"""The source of synthetic web pages, with which a recipe runs from raw text to report without any download."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from rexplug import Document, DocumentSource, Quantity, Shard
from rexplug_ecommerce.pages import general, noise, retail
from rexplug_ecommerce.pages.chance import Chance
from rexplug_ecommerce.pages.general_vocabulary import PLACES

Write = Callable[[Chance], str]

# Kind -> (how many of 1,000 pages, writer); without a writer an earlier page is repeated.
# About 60 % of the pages are general, 40 % retail.
_KINDS: dict[str, tuple[int, Write | None]] = {
    "news": (150, general.news),
    "how_to": (110, general.how_to),
    "forum": (90, general.forum),
    "encyclopaedic": (95, general.encyclopaedic),
    "essay": (70, general.essay),
    "long_encyclopaedic": (12, lambda chance: general.encyclopaedic(chance, chance.between(30_000, 50_000))),
    "long_essay": (8, lambda chance: general.essay(chance, chance.between(30_000, 50_000))),
    "product": (210, retail.product_page),
    "review": (55, retail.review_page),
    "category": (30, retail.category_page),
    "specification": (25, retail.specification_page),
    "long_specification": (20, lambda chance: retail.specification_page(chance, chance.between(30_000, 50_000))),
    "spam": (30, noise.spam),
    "broken": (30, lambda chance: noise.broken(chance.pick(_TO_BREAK)(chance), chance)),
    "duplicate": (30, None),
    "near_duplicate": (35, None),
}
_TO_BREAK: tuple[Write, ...] = (general.news, general.forum, retail.product_page, retail.review_page)
_TABLE = tuple(kind for kind, (count, _) in _KINDS.items() for _ in range(count))
_RETAIL = frozenset({"product", "review", "category", "specification", "long_specification"})
# Templates write "a" before any word.
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")
_PARTS = {"train": 0, "test": 1}


class SamplePages(DocumentSource):
    """Synthetic pages: shop pages and general ones, with duplicates, spam and broken pages among them.

    A page depends on `seed`, `part` and its index alone, so any number of shards and workers yields the same pages.
    Brands, models and persons are invented. The properties of a product depend on its brand and line, facts at the
    start of long pages are named again at their end, and about 4 % of the pages are longer than 30,000 characters.
    """

    name: ClassVar[str] = "ecommerce.sample_pages"

    pages: Annotated[Quantity, Field(gt=0)] = 6000
    """Number of pages."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Decides what the pages say."""
    shards: Annotated[int, Field(gt=0)] = 8
    """Number of shards; it does not change the pages."""
    part: Literal["train", "test"] = "train"
    """Pages of different parts are independent of each other."""

    @property
    def synthetic(self) -> bool:
        """True: the pages are written by a program."""
        return True

    def num_shards(self) -> int:
        """The option `shards`, but at most the number of pages."""
        return min(self.shards, self._count)

    @property
    def _count(self) -> int:
        return self.pages if self.limit is None else min(self.pages, self.limit)

    def documents(self, shard: Shard) -> Iterator[Document]:
        """Yield the pages `index`, `index + count`, `index + 2 count`, ... of a shard, in this order."""
        for index in range(shard.index, self._count, shard.count):
            yield self.page(index)

    def page(self, index: int) -> Document:
        """The page at `index`. `kind` in its metadata is for statistics; filters do not read it."""
        kind, text, domain = self._write(index)
        return Document(
            id=f"sample-{self.seed}-{self.part}-{index:07d}",
            text=text,
            url=f"https://www.{domain}/pages/{index}",
            metadata={"kind": kind, "synthetic": True},
        )

    def _write(self, index: int) -> tuple[str, str, str]:
        chance = Chance(2 * self.seed + _PARTS[self.part], index)
        kind = chance.pick(_TABLE)
        if kind.endswith("duplicate") and index == 0:
            kind = "product"  # there is no page before the first that it could repeat
        domain = f"{chance.pick(PLACES).lower().replace(' ', '-')}-{'shop' if kind in _RETAIL else 'pages'}.example"
        write = _KINDS[kind][1]
        if write is None:
            _, text, _ = self._write(chance.below(index))
            return kind, text if kind == "duplicate" else noise.light_edit(text, chance), domain
        text = _ARTICLE.sub(r"\1n ", write(chance))
        return kind, text if kind == "broken" else noise.with_boilerplate(text, domain, chance), domain
