"""Evaluator of search on graded judgments of Open Icecat products (the Chorus project's ratings) from local files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rexplug_ecommerce.judgments import JudgedSearch


class IcecatSearch(JudgedSearch):
    """Search among the judged products of Open Icecat with short queries, graded 0 to 3 by three raters (Chorus).

    The corpus is the judged products alone: for queries such as `laptop` the catalogue holds hundreds of relevant products that
    nobody judged. Encoders are first fine-tuned on the products of grade 3 of the train queries; metrics without fine-tuning are
    reported too.
    """

    name: ClassVar[str] = "ecommerce.icecat"
    label_column: ClassVar[str] = "rating"

    judgments: Path
    """Judgments as .jsonl or .csv (.gz or .zst too), with `query`, `docid` or `product_id`, and `rating` (0 to 3)."""
    fields: tuple[str, ...] = ("title", "short_description")
    """Fields of a product that make its text."""

    def grade(self, label: str) -> int:
        """The rating as a number."""
        if label not in {"0", "1", "2", "3"}:
            raise ValueError(f"rating {label!r} is not a whole number from 0 to 3")
        return int(label)
