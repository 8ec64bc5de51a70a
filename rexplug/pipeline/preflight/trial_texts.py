"""Made-up texts and documents, on which components are tried before a run."""

from __future__ import annotations

from collections.abc import Iterable

from rexplug.components import Document

TEXTS = (
    "The committee met on 12 March 2024 and read the report. It found three errors, and asked for a new draft by Friday.\n\n"
    "Section 4.2 says who may vote: every member who has paid the fee of $25.00 in time. Nobody objected.",
    "Short.",
    "Ein zweiter Text, größer als der erste, mit Umlauten und der Zahl 1.234,50 €.\nUnd einer zweiten Zeile.",
)
_PER_SOURCE = 12


def made_up_documents(sources: Iterable[str]) -> dict[str, list[Document]]:
    """Source -> a dozen documents with distinct ids and texts."""
    return {
        name: [
            Document(f"{name}-made-up-{number}", f"{TEXTS[number % len(TEXTS)]} {name} {number}")
            for number in range(_PER_SOURCE)
        ]
        for name in sources
    }
