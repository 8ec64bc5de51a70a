"""A tiny pharmacy vertical for rexplug: leaflets, a filter and a salience scorer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

import rexplug

_DRUGS = ("aspirin", "ibuprofen", "paracetamol", "cetirizine", "omeprazole", "metformin")
_HELPS = ("headache", "fever", "a cold", "allergies", "heartburn", "back pain")
_TIMES = ("in the morning", "after meals", "before sleep", "twice a day", "with water")
_ADVICE = ("Keep it away from children.", "Ask a pharmacist if in doubt.", "Do not drive if you feel dizzy.")


class Leaflets(rexplug.DocumentSource):
    """Package leaflets written by a program."""

    name: ClassVar[str] = "example.leaflets"

    count: int = Field(default=200, ge=1)
    """How many leaflets."""
    dosed: float = Field(default=0.5, ge=0, le=1)
    """Share of them that state a dose."""

    def documents(self, shard: rexplug.Shard) -> Iterator[rexplug.Document]:
        """Leaflet `i` depends on `i` alone, so shards add up to the same leaflets."""
        for index in range(shard.index, self.count, shard.count):
            draw = np.random.default_rng(index)
            drug, helps, time = (str(draw.choice(words)) for words in (_DRUGS, _HELPS, _TIMES))
            dose = (
                f" Take {5 * int(draw.integers(1, 100))} mg {time}."
                if draw.random() < self.dosed
                else f" Take it {time}."
            )
            advice = " ".join(draw.permutation(_ADVICE).tolist())
            text = f"Leaflet {index}. {drug.capitalize()} helps against {helps}.{dose} {advice}"
            yield rexplug.Document(f"leaflet-{index}", text)

    @property
    def synthetic(self) -> bool:
        """Written by a program."""
        return True


# -- start has_dosage --
class HasDosage(rexplug.CorpusFilter):
    """Keep documents that state a dose."""

    name: ClassVar[str] = "example.has_dosage"

    units: tuple[str, ...] = ("mg", "ml")
    """Units that count as a dose."""

    def judge(self, document: rexplug.Document) -> rexplug.Verdict:
        """Look for a number before a unit."""
        pattern = rf"\b\d+ ?(?:{'|'.join(map(re.escape, self.units))})\b"
        return rexplug.Verdict(re.search(pattern, document.text) is not None, "no dose")


# -- end has_dosage --


class Doses(rexplug.SalienceScorer):
    """Score doses such as `5 mg`."""

    name: ClassVar[str] = "example.doses"

    def score(self, document: rexplug.TokenizedDocument) -> NDArray[np.uint8]:
        """Tokens that touch a dose get 255."""
        marks = np.zeros(len(document.text) + 1, np.uint8)
        for match in re.finditer(r"\d+ ?(?:mg|ml)\b", document.text):
            marks[match.start() : match.end()] = 255
        last = np.maximum(document.offsets[:, 1].astype(np.int64) - 1, 0)
        found: NDArray[np.uint8] = marks[last]
        return found


# -- start hooks --
@rexplug.hookimpl
def rexplug_document_sources() -> list[type[rexplug.DocumentSource]]:
    """Leaflets."""
    return [Leaflets]


@rexplug.hookimpl
def rexplug_corpus_filters() -> list[type[rexplug.CorpusFilter]]:
    """Doses."""
    return [HasDosage]


@rexplug.hookimpl
def rexplug_salience_scorers() -> list[type[rexplug.SalienceScorer]]:
    """Doses."""
    return [Doses]


# -- end hooks --
