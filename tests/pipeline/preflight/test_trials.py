"""Components of plugins are tried on made-up data before a run starts."""

from typing import Annotated, ClassVar

import numpy as np
import pytest

import rexplug
from rexplug.batches.policies import RandomMasking
from rexplug.pipeline.preflight.trials import trial_problems


class Undeclared(RandomMasking):
    def choose(self, batch, progress, generator):
        return batch.channels["word_start"] > 0


class Special(RandomMasking):
    def choose(self, batch, progress, generator):
        return np.ones(len(batch.token_ids), np.bool_)


class Broken(RandomMasking):
    def choose(self, batch, progress, generator):
        raise ZeroDivisionError("division by zero")


class Guided(RandomMasking):
    """Reads the channel of its scorer without naming it."""

    scorer: Annotated[rexplug.SalienceScorer, rexplug.Use()]

    def choose(self, batch, progress, generator):
        return rexplug.random_tokens(
            batch.maskable & (batch.channels["salience"] < 300), self.budget(batch, progress), generator
        )


class Fails(rexplug.CorpusFilter):
    name: ClassVar[str] = "toy.fails"

    def judge(self, document):
        return rexplug.Verdict(document.text.split()[9] != "")


class NoVerdict(rexplug.CorpusFilter):
    name: ClassVar[str] = "toy.no_verdict"

    def judge(self, document):
        return True


class Learns(Fails):
    """Is not tried, because it learns from the corpus first."""

    def fit(self, corpus):
        return self


class Scores(rexplug.SalienceScorer):
    name: ClassVar[str] = "toy.scores"
    kind_of_result: str = "uint8"

    def score(self, document):
        return np.zeros(len(document.token_ids), self.kind_of_result)


def masked_by(recipe, policy):
    phase = recipe.phases[0].model_copy(update={"masking": policy})
    return recipe.model_copy(update={"phases": (phase,)})


def filtered_by(recipe, *filters):
    (name, source) = next(iter(recipe.sources.items()))
    return recipe.model_copy(update={"sources": {name: source.model_copy(update={"filters": filters})}}), name


def test_shipped_components_are_not_tried(recipe):
    assert list(trial_problems(recipe())) == []


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        (Undeclared(), "random reads the channel 'word_start', which its `channels` does not name"),
        (Special(), "random.choose() chose a special or padding token, which is never masked"),
    ],
)
def test_a_policy_that_cannot_mask(recipe, policy, problem):
    assert list(trial_problems(masked_by(recipe(), policy))) == [f"phases.anneal.masking: {problem}"]


def test_a_policy_has_the_channel_of_its_scorer(recipe):
    policy = Guided(scorer=Scores())
    assert policy.row_channels == ("salience",)
    assert list(trial_problems(masked_by(recipe(), policy))) == []


def test_a_scorer_that_returns_another_type(recipe):
    (problem,) = trial_problems(masked_by(recipe(), Guided(scorer=Scores(kind_of_result="float32"))))
    assert problem == "toy.scores.score() returned float32 [44] for document 'made-up-1'; expected uint8 [44]"


def test_filters_are_tried(recipe):
    one, name = filtered_by(recipe(), Fails(), NoVerdict(), Learns())
    first, second = trial_problems(one)
    assert first.splitlines()[0] == (
        f"sources.{name}.filters.0: toy.fails.judge() raised IndexError on document 'made-up-2': list index out of range"
    )
    assert second == (
        f"sources.{name}.filters.1: toy.no_verdict.judge() returned True for document 'made-up-1'; expected a Verdict"
    )


def test_a_policy_whose_code_fails_is_shown_with_its_own_lines(recipe):
    base = recipe()
    phase = base.phases[0].model_copy(update={"masking": Broken()})
    (problem,) = trial_problems(base.model_copy(update={"phases": (phase,)}))
    first, line = problem.splitlines()
    assert first == (
        "phases.anneal.masking: random.choose() raised ZeroDivisionError on a row of 96 tokens: division by zero"
    )
    assert line.startswith(f"  {__file__}:")
    assert line.endswith(', in choose: raise ZeroDivisionError("division by zero")')
