"""Every violation of a contract has its own message."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

import rexplug
from rexplug.testing import (
    check_corpus_filter,
    check_document_source,
    check_masking_policy,
    check_mixing_schedule,
    check_salience_scorer,
)

CHANCE = np.random.default_rng(0)


def breach(message: str) -> Any:
    return pytest.raises(AssertionError, match="^" + re.escape(message))


class Letters(rexplug.DocumentSource):
    """Fulfils the contract unless `fault` names a way to break it, as do the classes below."""

    name: ClassVar[str] = "toy.letters"
    fault: str = ""

    def documents(self, shard: rexplug.Shard) -> Iterator[rexplug.Document]:
        for index in range(shard.index, 7, shard.count):
            number = 0 if self.fault == "same id" else index
            text = f"{shard.count}" if self.fault == "text by shard" else "abcdefg"[index]
            if self.fault != "lost" or shard.index == 0:
                yield rexplug.Document(f"letter-{number}", text)


def test_a_source_that_keeps_its_contract():
    check_document_source(Letters())
    check_document_source(Letters(), shards=(1, 7, 50))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("same id", "toy.letters yields an id twice with 1 shards"),
        ("text by shard", "toy.letters yields different documents with 2 shards"),
        ("lost", "toy.letters yields different documents with 2 shards"),
    ],
)
def test_a_source_that_does_not(fault, message):
    with breach(message):
        check_document_source(Letters(fault=fault))


class Short(rexplug.CorpusFilter):
    """A filter of short texts that can break each rule of its contract."""

    name: ClassVar[str] = "toy.short"
    fault: str = ""
    _pickled: bool = False

    def __setstate__(self, state):
        super().__setstate__(state)
        object.__setattr__(self, "__pydantic_private__", {"_pickled": True})

    def __eq__(self, other):
        return type(self) is type(other) and (self.fault == other.fault) and self.fault != "unequal"

    __hash__ = None

    def judge(self, document: rexplug.Document) -> rexplug.Verdict:
        if self.fault == "changes":
            document.metadata["seen"] = True
        if self.fault == "forgets" and self._pickled:
            return rexplug.Verdict(False, "pickled")
        return rexplug.Verdict(len(document.text) < 5, "long")

    def judge_batch(self, documents):
        if self.fault == "bulk":
            return [rexplug.Verdict(False, "bulk") for _ in documents]
        return super().judge_batch(documents)


def test_a_filter_that_keeps_its_contract():
    check_corpus_filter(Short(), keep=[rexplug.Document("s", "abc")], drop=[rexplug.Document("l", "abcdef")])


@pytest.mark.parametrize(
    ("fault", "text", "message"),
    [
        ("", "abcdef", "toy.short dropped (long) document 'd'"),
        ("changes", "abc", "toy.short changed document 'd'"),
        ("bulk", "abc", "toy.short judges 'd' differently in bulk"),
        ("forgets", "abc", "toy.short judges 'd' differently after pickling"),
        ("unequal", "abc", "toy.short is not the same after pickling"),
    ],
)
def test_a_filter_that_does_not(fault, text, message):
    with breach(message):
        check_corpus_filter(Short(fault=fault), keep=[rexplug.Document("d", text, metadata={})])


def test_a_filter_that_keeps_what_it_should_drop():
    with breach("toy.short kept document 's'"):
        check_corpus_filter(Short(), drop=[rexplug.Document("s", "abc")])


class Shift(rexplug.MixingSchedule):
    """Moves from web to shop."""

    name: ClassVar[str] = "toy.shift"
    fault: str = ""

    def weights(self, progress: float) -> Mapping[str, float]:
        late = progress >= 0.5
        return {
            "negative": {"web": -1.0 if late else 1.0, "shop": 3.0},
            "nan": {"web": float("nan") if late else 1.0, "shop": 1.0},
            "nothing": {"web": 0.0 if late else 1.0, "shop": 0.0},
            "other": {"web": 1.0} if late else {"web": 1.0, "shop": 1.0},
            "": {"web": 1 - progress, "shop": progress},
        }[self.fault]


def test_a_schedule_that_keeps_its_contract():
    check_mixing_schedule(Shift(), sources=["web", "shop", "unused"])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("negative", "toy.shift gives 'web' -1.0 at 0.5"),
        ("nan", "toy.shift gives 'web' nan at 0.5"),
        ("nothing", "toy.shift gives every source 0 at 0.5"),
        ("other", "toy.shift names different sources at 0.5 than at 0"),
    ],
)
def test_a_schedule_that_does_not(fault, message):
    with breach(message):
        check_mixing_schedule(Shift(fault=fault), sources=["web", "shop"])


def test_a_schedule_of_an_unknown_source():
    with breach("toy.shift names unknown sources at 0.0: {'shop'}"):
        check_mixing_schedule(Shift(), sources=["web"])


class Capitals(rexplug.SalienceScorer):
    """A scorer of capital letters that can break each rule of its contract."""

    name: ClassVar[str] = "toy.capitals"
    fault: str = ""

    def score(self, document: rexplug.TokenizedDocument):
        marks = [255 if document.text[start].isupper() else 0 for start, _ in document.offsets]
        values = np.array(marks, np.int64 if self.fault == "dtype" else np.uint8)
        if self.fault == "chance":
            return CHANCE.integers(0, 256, len(values)).astype(np.uint8)
        return values[:-1] if self.fault == "shape" else values

    def explain(self, document: rexplug.TokenizedDocument):
        reasons = super().explain(document)
        return reasons[::-1] if self.fault == "order" else reasons


def test_a_scorer_that_keeps_its_contract():
    check_salience_scorer(Capitals(), "Acme sells a Lamp.", salient=["Acme", "Lamp"])


@pytest.mark.parametrize(
    ("fault", "salient", "message"),
    [
        ("dtype", [], "toy.capitals returned int64, not uint8"),
        ("shape", [], "toy.capitals returned shape (4,) for 5 tokens"),
        ("chance", [], "toy.capitals scores the same document differently"),
        ("order", [], "toy.capitals explains characters 0 to 4, out of order or outside the text"),
        ("", ["Acme"], "toy.capitals gives 'Lamp' 255"),
        ("", ["Acme", "Lamp", "sells"], "toy.capitals gives 'sells' 0"),
    ],
)
def test_a_scorer_that_does_not(fault, salient, message):
    with breach(message):
        check_salience_scorer(Capitals(fault=fault), "Acme sells a Lamp.", salient=salient)


class Evenly(rexplug.MaskingPolicy):
    """Masks tokens evenly at random."""

    name: ClassVar[str] = "toy.evenly"
    fault: str = ""

    def choose(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator):
        draw = CHANCE if self.fault == "chance" else generator
        count = self.budget(batch, progress) + (self.fault == "more")
        chosen = np.zeros(len(batch.token_ids), np.bool_)
        chosen[draw.choice(np.flatnonzero(batch.maskable), count, replace=False)] = True
        return {"dtype": chosen.astype(np.uint8), "shape": chosen[1:]}.get(self.fault, chosen)

    def salient_subset(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator):
        return batch.maskable if self.fault == "guided" else super().salient_subset(batch, progress, generator)


def test_a_policy_that_keeps_its_contract():
    check_masking_policy(Evenly())
    check_masking_policy(Evenly(rate={"start": 0.3, "end": 0.1}), num_tokens=64, seed=3)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("dtype", "toy.evenly returned uint8, not bool"),
        ("shape", "toy.evenly returned shape (511,) for 512 tokens"),
        ("more", "toy.evenly masked 153 tokens instead of 152"),
        ("guided", "toy.evenly.salient_subset() has tokens that choose() does not choose"),
        ("chance", "toy.evenly chooses differently with the same generator"),
    ],
)
def test_a_policy_that_does_not(fault, message):
    with breach(message):
        check_masking_policy(Evenly(fault=fault))
