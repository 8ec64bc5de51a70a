"""A small vertical, so that recipes are tested without the default plugins."""

from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import pytest

from rexplug import (
    CorpusFilter,
    DocumentSource,
    EvaluationResult,
    Evaluator,
    MaskingPolicy,
    MixingSchedule,
    Quantity,
    RecipeError,
    SalienceScorer,
    Use,
    Verdict,
    hookimpl,
)
from rexplug.plugins.discovery import load_plugins
from rexplug.recipe import load_recipe


class Pages(DocumentSource):
    """A source with options and without documents."""

    name = "pages"

    paths: str
    """Glob of the files."""
    pages: Quantity = 10
    """Number of pages."""

    def documents(self, shard):
        yield from ()


class Long(CorpusFilter):
    """Keep texts with enough words."""

    name = "toy.long"

    min_words: int = 5
    """Smallest number of words."""

    def judge(self, document):
        return Verdict(len(document.text.split()) >= self.min_words, "short")


class Shares(MixingSchedule):
    """The same shares during the whole phase."""

    name = "toy.shares"

    shares: dict[str, float]
    """Source -> share."""

    def weights(self, progress):
        return self.shares


class Numbers(SalienceScorer):
    """A scorer of numbers, which is never run."""

    name = "toy.numbers"

    strength: int = 255
    """Salience of a number."""

    def score(self, document):
        raise NotImplementedError


class Plain(MaskingPolicy):
    """Masks every token that may be masked."""

    name = "plain"

    def choose(self, batch, progress, generator):
        return batch.maskable


class Guided(MaskingPolicy):
    """Masks what the scorer marks."""

    name = "toy.guided"

    scorer: Annotated[SalienceScorer, Use()]
    """The scorer that rates each token."""

    def choose(self, batch, progress, generator):
        return batch.maskable


class Count(Evaluator):
    """An evaluator with an option and without metrics."""

    name = "toy.count"

    words: tuple[str, ...] = ()
    """Words to count."""

    def evaluate(self, context):
        return EvaluationResult(main="count", metrics={})


def offering(**hooks):
    """A plugin object with the given hooks."""

    def implement(classes):
        return hookimpl(lambda: classes)

    return SimpleNamespace(**{f"rexplug_{hook}": implement(classes) for hook, classes in hooks.items()})


@pytest.fixture(scope="session")
def toy_registry():
    core = offering(document_sources=[Pages], masking_policies=[Plain])
    toy = offering(
        corpus_filters=[Long],
        mixing_schedules=[Shares],
        masking_policies=[Guided],
        salience_scorers=[Numbers],
        evaluators=[Count],
    )
    registry = load_plugins({"core": core, "toy": toy}, installed=False)
    assert registry.failures == []
    return registry


TOY = """\
name: toy
sources:
  web: {use: pages, paths: here, filters: [toy.long, {use: toy.long, min_words: 9}]}
tokenizer: {use: train, vocabulary: 1k}
model: {size: nano}
phases:
  - name: one
    tokens: 10k
    context: 128
    batch_tokens: 1024
    learning_rate: {peak: 8e-4}
    mixing: {use: toy.shares, shares: {web: 1}}
    masking: plain
  - name: two
    tokens: 20k
    context: 256
    batch_tokens: 1024
    learning_rate: {peak: 4e-4}
    mixing: {use: toy.shares, shares: {web: 1}}
    masking: {use: toy.guided, scorer: toy.numbers}
"""


@pytest.fixture
def toy():
    """A complete recipe for the toy plugins, as text."""
    return TOY


@pytest.fixture
def load_toy(tmp_path, monkeypatch, toy_registry):
    """Loads a text as `r.yaml`; other files may be in the same folder."""
    monkeypatch.chdir(tmp_path)

    def do(text, *overrides):
        Path("r.yaml").write_text(text, encoding="utf-8")
        return load_recipe(Path("r.yaml"), overrides, toy_registry)

    return do


@pytest.fixture
def complaint(load_toy):
    """The text of the error that a recipe raises."""

    def do(text, *overrides):
        with pytest.raises(RecipeError) as caught:
            load_toy(text, *overrides)
        return str(caught.value)

    return do
