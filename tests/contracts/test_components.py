"""The test kit accepts correct components and names what is wrong with others."""

import numpy as np
import pytest

import rexplug
from rexplug.batches.policies import RandomMasking
from rexplug.testing import check_corpus_filter, check_masking_policy, check_mixing_schedule
from rexplug_annealing import Constant, Cosine, Linear, OneMinusSqrt, Stepwise
from rexplug_ecommerce import AttributeSalience
from rexplug_guided_mlm import Guided, Span, WholeWord

START, END = {"web": 0.8, "retail": 0.2}, {"web": 0.1, "retail": 0.9}


class Silent(rexplug.CorpusFilter):
    """Drops without a reason."""

    name = "test.silent"

    def judge(self, document):
        return rexplug.Verdict(False)


class Special(RandomMasking):
    """Masks every token, special tokens too, which its contract forbids."""

    name = "test.special"

    def choose(self, batch, progress, generator):
        return np.ones(len(batch.token_ids), bool)


@pytest.mark.parametrize(
    "schedule",
    [
        Constant(shares=START), Linear(start=START, end=END), Cosine(start=START, end=END), OneMinusSqrt(start=START, end=END),
        Stepwise(steps=[{"from": 0, "shares": START}, {"from": 0.5, "shares": END}]),
    ],
    ids=lambda schedule: schedule.name,
)  # fmt: skip
def test_shipped_schedules(schedule):
    check_mixing_schedule(schedule, sources=["web", "retail"])
    first, last = schedule.weights(0.0), schedule.weights(1.0)
    assert first == pytest.approx(START)
    assert last == pytest.approx(START if isinstance(schedule, Constant) else END)


@pytest.mark.parametrize(
    "policy", [RandomMasking(), WholeWord(), Span(), Guided(scorer=AttributeSalience())], ids=lambda policy: policy.name
)
def test_shipped_policies(policy):
    for seed in range(20):
        check_masking_policy(policy, seed=seed)


def test_a_drop_without_a_reason():
    with pytest.raises(AssertionError, match=r"^test.silent dropped document '1' without a reason"):
        check_corpus_filter(Silent(), drop=[rexplug.Document("1", "text")])
    with pytest.raises(AssertionError, match=r"^test.silent dropped \(\) document '1'"):
        check_corpus_filter(Silent(), keep=[rexplug.Document("1", "text")])


def test_masked_special_tokens():
    with pytest.raises(AssertionError, match=r"^test.special masked a special token"):
        check_masking_policy(Special())


def test_guided_without_salience_chooses_like_random():
    size = 200
    batch = rexplug.TokenBatch(
        np.arange(size), np.array([0, size]), np.ones(size, bool),
        {"word_start": np.ones(size, np.uint8), "salience": np.full(size, 7, np.uint8)},
    )  # fmt: skip
    policy = Guided(scorer=AttributeSalience(), rate=0.3)
    one = policy.choose(batch, 0.5, np.random.default_rng(3))
    assert (one == RandomMasking(rate=0.3).choose(batch, 0.5, np.random.default_rng(3))).all()


def test_guided_masks_no_more_than_its_cap_of_whole_spans():
    size = 400
    salience = np.zeros(size, np.uint8)
    for start in range(0, size, 20):
        salience[start : start + 4] = 200
    batch = rexplug.TokenBatch(
        np.arange(size),
        np.array([0, size]),
        np.ones(size, bool),
        {"word_start": np.ones(size, np.uint8), "salience": salience},
    )
    policy = Guided(scorer=AttributeSalience(), rate=0.2, boost=1000, unit="span")
    chosen = policy.choose(batch, 0.0, np.random.default_rng(0))
    assert chosen.sum() == 80
    assert chosen[salience > 0].sum() == 40, "80 salient tokens and a cap of a half"
