"""The shipped components pass the checks of the test kit."""

import pytest

import rexplug
from rexplug.plugins.discovery import load_plugins
from rexplug.testing import check_document_source, check_masking_policy, check_mixing_schedule

REGISTRY = load_plugins()
MIXTURES = {
    "annealing.constant": {"shares": {"web": 0.8, "shop": 0.2}},
    "annealing.stepwise": {"steps": [{"from": 0, "shares": {"web": 1}}, {"from": 0.7, "shares": {"shop": 2}}]},
    "annealing.curriculum": {"phase": "anneal", "general": "web", "domain": {"shop": 3}},
    "annealing.temperature": {
        "tokens": {"web": "2B", "shop": "10M"},
        "exponent": {"start": 0.7, "end": 0.3},
        "domain": ["shop"],
        "domain_share": {"start": 0.1, "end": 0.9},
    },
}
MOVING = {"start": {"web": 0.8, "shop": 0.2}, "end": {"shop": 0.9, "web": 0.1}}


def ours(kind: type[rexplug.Component]) -> list[str]:
    plugins = {"core", "annealing", "ecommerce", "guided_mlm"}
    return [entry.component.name for entry in REGISTRY.of_kind(kind) if entry.plugin in plugins]


@pytest.mark.parametrize("name", ours(rexplug.MixingSchedule))
def test_schedules(name):
    options = MIXTURES.get(name, MOVING)
    check_mixing_schedule(REGISTRY.find(rexplug.MixingSchedule, name).model_validate(options), sources=["web", "shop"])


@pytest.mark.parametrize("rate", [0.15, {"start": 0.3, "end": 0.1}])
@pytest.mark.parametrize("name", ours(rexplug.MaskingPolicy))
def test_policies(name, rate):
    policy = REGISTRY.find(rexplug.MaskingPolicy, name)
    options = {"scorer": "ecommerce.attributes"} if "scorer" in policy.model_fields else {}
    check_masking_policy(policy.model_validate({**options, "rate": rate}, context={"components": REGISTRY}))


def test_sample_pages():
    pages = REGISTRY.find(rexplug.DocumentSource, "ecommerce.sample_pages")
    check_document_source(pages.model_validate({"pages": 60}))


def test_every_kind_ships_with_a_component():
    for kind in (rexplug.DocumentSource, rexplug.CorpusFilter, rexplug.MixingSchedule, rexplug.MaskingPolicy):
        assert ours(kind)
    assert ours(rexplug.SalienceScorer)
    assert ours(rexplug.Evaluator)
