"""Generates the sample documents of new plugins, on which a run takes about a minute, and of contract checks."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

NUM_DOCUMENTS = 120
_SUBJECTS = ("The river", "A neighbour", "The old bridge", "My sister", "The orchestra", "A heavy storm", "The museum")
_VERBS = ("crossed", "surprised", "filled", "woke", "divided", "delighted")
_OBJECTS = (
    "the valley",
    "the whole street",
    "the harbour",
    "a crowd of visitors",
    "the garden",
    "the sleeping village",
)
_TIMES = ("in the morning", "before the holidays", "late in autumn", "without a sound", "for the third time")
_PERMITS = ("building permit", "parking permit", "trade permit", "event permit", "demolition permit")
_AUTHORITIES = ("The inspector", "The planning office", "The licensing clerk", "The fire marshal")
_DECISIONS = ("approved", "refused", "suspended", "extended", "returned")
_GROUNDS = (
    "the site plan is incomplete",
    "the fee was paid in full",
    "the neighbours raised no objection",
    "the exits are marked",
)


def general_documents(count: int = NUM_DOCUMENTS) -> Iterator[dict[str, str]]:
    """Documents of general English text."""
    for number in range(count):
        draw = Random(number)
        sentences = [
            f"{draw.choice(_SUBJECTS)} {draw.choice(_VERBS)} {draw.choice(_OBJECTS)} {draw.choice(_TIMES)}."
            for _ in range(8)
        ]
        yield {"id": f"general-{number}", "text": " ".join(sentences)}


def domain_documents(first: int = 0, count: int = NUM_DOCUMENTS) -> Iterator[dict[str, str]]:
    """Documents of a made-up vertical: decisions of a town on permits."""
    for number in range(first, first + count):
        draw = Random(1000 + number)
        permit = draw.choice(_PERMITS)
        title = f"Decision {number} on a {permit}"
        sentences = [
            f"{draw.choice(_AUTHORITIES)} {draw.choice(_DECISIONS)} the {permit} "
            f"under clause {draw.randint(1, 40)}.{draw.randint(1, 9)}, "
            f"because {draw.choice(_GROUNDS)}."
            for _ in range(5)
        ]
        sentences.append(f"The fee of the {permit} is {5 * draw.randint(2, 60)} crowns.")
        yield {"id": f"decision-{number}", "text": f"{title}\n{' '.join(sentences)}"}
