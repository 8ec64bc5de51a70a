"""The filter by domain of FineFineWeb."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import ClassVar

from pydantic import Field

from rexplug import CorpusFilter, Document, Verdict

RETAIL_DOMAINS = (
    "automotive",
    "beauty",
    "entertainment",
    "fashion",
    "food",
    "health",
    "hobby",
    "music",
    "photo",
    "sports",
    "travel",
)
"""Our choice. Fashion, beauty, automotive and entertainment are named in a summary of the RexBERT work; the others are added."""


class Domains(CorpusFilter):
    """Keeps documents of some domains of FineFineWeb, the first step before relevance is judged within them.

    A document's domain is its metadata `domain`, or else a folder in the path of its file with the name of one of the `domains`
    (FineFineWeb has a folder for each). The list is our choice; four of its names are in a summary of the RexBERT work.
    """

    name: ClassVar[str] = "ecommerce.domains"

    domains: tuple[str, ...] = Field(default=RETAIL_DOMAINS, min_length=1)
    """Domains whose documents are kept."""
    key: str = "domain"
    """Metadata key that holds the domain."""

    def judge(self, document: Document) -> Verdict:
        """Keep a document of one of the domains; the reason against others is `other domain`."""
        own = document.metadata.get(self.key)
        place = PurePosixPath(str(document.metadata.get("place", "")))
        names = {str(own).lower()} if own is not None else {part.lower() for part in place.parts[:-1]}
        return Verdict(bool(names & set(self.domains)), "other domain")
