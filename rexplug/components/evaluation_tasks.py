"""The tasks that evaluators hand to the harness, and what a fine-tune may cost."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from rexplug.components.quantities import Quantity
from rexplug.documented import Documented


@dataclass(frozen=True)
class RetrievalCollection:
    """A retrieval task: `corpus` (id -> text), `queries` (id -> text), `relevance` (query id -> document id -> grade).

    `candidates` (query id -> document ids) makes it a reranking task: only these are ranked. `training` holds pairs of
    a query and a relevant text that may be learnt from; none of their queries is among `queries`.
    """

    name: str
    corpus: Mapping[str, str]
    queries: Mapping[str, str]
    relevance: Mapping[str, Mapping[str, int]]
    synthetic: bool = False
    candidates: Mapping[str, Sequence[str]] | None = None
    training: Sequence[tuple[str, str]] = ()

    def texts(self) -> dict[str, str]:
        """Documents and queries under ids that tell them apart; what decontamination looks for."""
        documents = {f"document {key}": text for key, text in self.corpus.items()}
        return documents | {f"query {key}": text for key, text in self.queries.items()}


@dataclass(frozen=True, slots=True)
class Example:
    """A text, or a pair of texts, and what is right: a class (`str`) or a degree of similarity (`float`).

    Examples of one `group` (a query, a product) are not independent: intervals resample whole groups.
    """

    text: str
    label: str | float
    second: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class TaggedText:
    """A text and its labelled spans (first character, one past the last, label); spans do not overlap."""

    text: str
    spans: Sequence[tuple[int, int, str]]


@dataclass(frozen=True)
class ExampleTask:
    """Examples to learn from (`train`), to choose by (`dev`) and to report (`test`)."""

    name: str
    train: Sequence[Example]
    dev: Sequence[Example]
    test: Sequence[Example]

    def texts(self) -> dict[str, str]:
        """The texts of `test`, each once, under the numbers of their examples; what decontamination looks for."""
        return _each_once(
            (f"test {number}{side}", text)
            for number, each in enumerate(self.test)
            for side, text in (("", each.text), (" second", each.second))
        )


@dataclass(frozen=True)
class TaggingTask:
    """Tagged texts to learn from, to choose by and to report."""

    name: str
    train: Sequence[TaggedText]
    dev: Sequence[TaggedText]
    test: Sequence[TaggedText]

    def texts(self) -> dict[str, str]:
        """The texts of `test`, each once, under their numbers; what decontamination looks for."""
        return _each_once((f"test {number}", each.text) for number, each in enumerate(self.test))


def _each_once(named: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    first: dict[str, str] = {}
    for name, text in named:
        if text:
            first.setdefault(text, name)
    return {name: text for text, name in first.items()}


class FineTuning(Documented):
    """What a fine-tune may cost: the same for every model. Learning rates are chosen on dev, never on test."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    modes: tuple[Literal["probe", "full"], ...] = Field(default=("full", "probe"), min_length=1)
    """`full` trains all weights, `probe` only a head on the frozen encoder; the first one gives the main metric."""
    steps: int = Field(default=60, ge=1)
    """Steps of the optimizer, warm-up over the first tenth and then a line down to 0."""
    batch: int = Field(default=32, ge=2)
    """Examples in a step."""
    learning_rates: tuple[float, ...] = Field(default=(1e-4, 1e-3), min_length=1)
    """Tried with the first seed; the best on dev is used for all seeds."""
    seeds: int = Field(default=2, ge=1)
    """Fine-tunes that differ in their draws; metrics are means, with their spread."""
    max_tokens: int = Field(default=128, ge=8)
    """Longer texts are cut here, in tuning and in testing."""
    examples: Annotated[Quantity, Field(ge=1)] = 4000
    """At most this many examples are learnt from, and as many tested on; drawn by a hash of their text."""


def split_of(key: str, *, dev: float = 0.1, test: float = 0.2) -> Literal["train", "dev", "test"]:
    """Which split a key (a query, a text, a cluster) belongs to, by a hash: the same whatever sample is used.

    Args:
        key: case and outer blanks do not matter.
        dev: share of the keys.
        test: share of the keys.
    """
    digest = hashlib.sha256(key.strip().lower().encode()).digest()
    place = int.from_bytes(digest[:6], "big") / 2**48
    if place < test:
        return "test"
    return "dev" if place < test + dev else "train"


@dataclass(frozen=True)
class Scores:
    """What a metric is made of, item by item, so that models can be compared on the same items.

    Rows of `values` `[seeds][items]` are fine-tunes (or one row). A metric is the mean over rows of sum(values) over
    sum(weights), weights 1 if left out; or, with `targets` `[items]`, of Spearman's correlation of values and targets.
    Items of one of `groups` are resampled together.
    """

    ids: Sequence[str]
    values: Sequence[Sequence[float]]
    weights: Sequence[Sequence[float]] | None = None
    targets: Sequence[float] | None = None
    groups: Sequence[str] | None = field(default=None)
