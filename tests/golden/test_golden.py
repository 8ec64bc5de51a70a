"""Twenty steps of a fixed run give the recorded values: the same corpus, tokens and masks everywhere, the same bits of
training where they were recorded, and nearly the same losses on other platforms."""

import copy
import json

import pytest
from golden.golden_run import (
    CORPUS,
    TOLERANCE,
    TRAINING,
    corpus_values,
    differences,
    run_golden,
    this_platform,
    training_values,
)

HOW_TO_RECORD = "if the change is meant, record the values again: python tests/golden/record.py --replace"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_golden(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def recorded_corpus():
    return json.loads(CORPUS.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def recorded_training():
    return json.loads(TRAINING.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_corpus_tokens_and_masks_are_those_recorded(run, recorded_corpus):
    changed = differences(recorded_corpus, corpus_values(run))
    assert not changed, "\n".join([*changed, HOW_TO_RECORD])


@pytest.mark.slow
def test_training_metrics_are_those_recorded(run, recorded_training):
    here = this_platform()
    measured = training_values(run)
    same = [entry for entry in recorded_training if entry["platform"] == here]
    if same:
        changed = differences({name: same[0][name] for name in measured}, measured)
    else:
        changed = differences(recorded_training[0]["steps"], measured["steps"], tolerance=TOLERANCE)
    assert not changed, "\n".join([*changed, HOW_TO_RECORD])


def test_the_record_covers_twenty_steps_of_two_phases(recorded_corpus, recorded_training):
    for entry in recorded_training:
        assert [(step["phase"], step["step"]) for step in entry["steps"]] == [
            (phase, step) for phase in ("pretrain", "anneal") for step in range(1, 11)
        ]
    assert {phase: len(digests) for phase, digests in recorded_corpus["batches"].items()} == {
        "pretrain": 10,
        "anneal": 10,
    }


def test_a_change_of_one_bit_is_a_difference(recorded_training):
    steps = recorded_training[0]["steps"]
    changed = copy.deepcopy(steps)
    changed[19]["loss"] *= 1 + 2**-52
    assert differences(steps, steps) == []
    assert differences(steps, changed) == [
        f"[19].loss: recorded {steps[19]['loss']!r}, now {changed[19]['loss']!r}",
    ]
    assert differences(steps, changed, tolerance=TOLERANCE) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"loss": 6.0007}, "loss: recorded 6.0, now 6.0007"),
        ({"masked": 153}, "masked: recorded 152, now 153"),
        ({"source_loss": {}}, "source_loss.web: recorded 5.0, now None"),
        ({"loss": float("nan")}, "loss: recorded 6.0, now nan"),
    ],
)
def test_what_another_platform_may_not_change(change, complaint):
    step = {"loss": 6.0, "masked": 152, "source_loss": {"web": 5.0}}
    assert differences(step, step | change, tolerance=TOLERANCE) == [complaint]


def test_steps_that_are_missing_are_a_difference():
    assert differences({"steps": [1.0, 2.0]}, {"steps": [1.0]}, tolerance=TOLERANCE) == [
        "steps: recorded [1.0, 2.0], now [1.0]"
    ]
