"""Product pages in the shapes of real shops, with the truth about their products."""

from __future__ import annotations

from shop_pages import json_ld, markup, state, visible
from shop_pages.parts import Shape

SHAPES: dict[str, Shape] = {**json_ld.SHAPES, **markup.SHAPES, **state.SHAPES, **visible.SHAPES}
