"""Invented products with consistent attributes.

Material, measures and use of a product depend on its brand and line alone, so that a model can learn them from many pages.
Colour, size and price differ from offer to offer.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from rexplug_ecommerce.pages.categories import CATEGORIES, Category
from rexplug_ecommerce.pages.chance import Chance

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Product:
    """One offer. `measures` are (what, value with unit)."""

    category: Category
    type: str
    brand: str
    line: str
    model: str
    colour: str
    size: str
    material: str
    measures: tuple[tuple[str, str], ...]
    features: tuple[str, ...]
    use: str
    price: str

    @property
    def title(self) -> str:
        """Brand, line, model number, type and colour."""
        return f"{self.brand} {self.line} {self.model} {self.type}"


@dataclass(frozen=True, slots=True)
class _Model:
    type: str
    number: str
    material: str
    measures: tuple[tuple[str, str], ...]
    features: tuple[str, ...]
    use: str
    price: int


def _of_name(items: Sequence[T], *names: str) -> T:
    return items[zlib.crc32("|".join(names).encode()) % len(items)]


@lru_cache(maxsize=4096)
def _model(category: Category, brand: str, line: str) -> _Model:
    measures = tuple(
        (what, f"{_of_name(values, brand, line, what)} {unit}") for what, unit, values in category.measures
    )
    start = zlib.crc32(f"{brand}{line}".encode()) % len(category.features)
    low, high = category.prices
    letters = "".join(c for c in brand.upper() if c in "BCDFGHJKLMNPQRSTVWXZ")[:2]
    return _Model(
        type=_of_name(category.types, brand, line, "type"),
        number=f"{letters}{line[0].upper()}-{100 + zlib.crc32(f'{line}{brand}'.encode()) % 900}",
        material=_of_name(category.materials, brand, line, "material"),
        measures=measures,
        features=tuple((category.features * 2)[start : start + 4]),
        use=_of_name(category.uses, line),
        price=low + zlib.crc32(f"{brand}{line}price".encode()) % (high - low),
    )


def make_product(chance: Chance, category: Category | None = None, brand: str | None = None) -> Product:
    """Draw an offer, of the category and brand if they are given."""
    category = category or chance.pick(CATEGORIES)
    brand = brand or chance.pick(category.brands)
    line = chance.pick(category.lines)
    model = _model(category, brand, line)
    return Product(
        category=category,
        type=model.type,
        brand=brand,
        line=line,
        model=model.number,
        colour=chance.pick(category.colours),
        size=chance.pick(category.sizes),
        material=model.material,
        measures=model.measures,
        features=model.features,
        use=model.use,
        price=f"{model.price - chance.below(4)}.{chance.pick(('00', '49', '90', '95', '99'))}",
    )
