"""`check` finds mistakes in loggers, policies, scorers and evaluators that would otherwise show hours into a run."""

from typing import ClassVar

import pytest

import rexplug
from rexplug.batches.policies import RandomMasking
from rexplug.errors import DataError
from rexplug.pipeline.preflight.components import component_problems
from rexplug.pipeline.preflight.inputs import check_inputs


def test_a_correct_recipe_has_no_problems(recipe):
    assert list(component_problems(recipe())) == []


def test_an_evaluator_of_held_out_documents_without_any(recipe):
    both = recipe("evaluators=[masked_recovery, embedding_geometry]")
    sentence = (
        "it measures on documents that are held out, but curation.held_out is 0; hold some out (curation.held_out: 0.01), or give "
        "it `texts` of its own"
    )
    assert list(component_problems(both)) == [
        f"evaluators.0 (masked_recovery): {sentence}",
        f"evaluators.1 (embedding_geometry): {sentence}",
    ]
    with pytest.raises(DataError, match=r"evaluators.0 \(masked_recovery\): it measures on documents"):
        check_inputs(both)
    assert list(component_problems(recipe("evaluators=[masked_recovery]", "curation.held_out=0.1"))) == []
    own = "evaluators=[{use: masked_recovery, texts: {own: {use: text, paths: README.md}}}]"
    assert list(component_problems(recipe(own))) == []


def test_an_unknown_source_of_an_evaluator(recipe):
    named = recipe("evaluators=[{use: masked_recovery, sources: [wiki]}]", "curation.held_out=0.1")
    assert list(component_problems(named)) == [
        "evaluators.0 (masked_recovery): unknown source 'wiki'; the sources are web, shop"
    ]


def test_an_unknown_source_of_a_scorer(recipe):
    learns = "{use: guided_mlm.contrastive, domain: shop, general: wiki}"
    assert list(component_problems(recipe(f"salience=[{learns}]"))) == [
        "guided_mlm.contrastive: unknown source 'wiki'; the sources are web, shop"
    ]
    assert (
        list(component_problems(recipe("salience=[{use: guided_mlm.contrastive, domain: shop, general: web}]"))) == []
    )


def test_a_missing_file_of_an_evaluator(recipe, tmp_path):
    class Reads(rexplug.Evaluator):
        name: ClassVar[str] = "toy.reads"

        def inputs(self):
            return [tmp_path / "items.jsonl"]

        def evaluate(self, context):
            raise AssertionError

    one = recipe().model_copy(update={"evaluators": (Reads(),)})
    assert list(component_problems(one)) == [f"evaluators.0 (toy.reads): {tmp_path / 'items.jsonl'} is missing"]


def test_a_logger_that_is_not_installed(recipe, monkeypatch):
    monkeypatch.setattr(
        "rexplug.pipeline.preflight.components.find_spec", lambda name: None if name == "wandb" else object()
    )
    assert list(component_problems(recipe("loggers=[tensorboard, wandb]"))) == [
        "loggers.1: wandb needs the package wandb (pip install wandb)"
    ]


class Reading(RandomMasking):
    channels: ClassVar[tuple[str, ...]] = ("salience",)


class Other(RandomMasking):
    channels: ClassVar[tuple[str, ...]] = ("colour",)


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        (
            Reading,
            "random reads the channel 'salience', which only a salience scorer among its options fills; it has none",
        ),
        (Other, "random reads the channel 'colour'; a policy may read word_start and salience"),
    ],
)
def test_a_policy_that_cannot_mask(recipe, policy, problem):
    base = recipe()
    phase = base.phases[0].model_copy(update={"masking": policy()})
    assert list(component_problems(base.model_copy(update={"phases": (phase,)}))) == [
        f"phases.anneal.masking: {problem}"
    ]
