"""Fine-tunes choose learning rate, step, and whether to be used at all, by what they reach on dev."""

import pytest
import torch
from torch import nn

from rexplug import FineTuning
from rexplug.evaluation.tuning import FineTune, by_mode, checkpoints, fine_tune


def begin_at(value, *, target, began=None, **budget):
    """Fine-tunes of one weight, from `value` towards `target`; `began` collects them."""

    def begin(learning_rate, seed):
        weight = nn.Parameter(torch.tensor([value]))
        tune = FineTune(
            weight, [weight], lambda indices: (weight - target).abs().sum(), 8, steps=budget["steps"], batch=2,
            learning_rate=learning_rate, seed=seed,
        )  # fmt: skip
        if began is not None:
            began.append(tune)
        return tune

    return begin


def near(goal):
    return lambda weight: -abs(float(weight) - goal)


def used(tune):
    return (tune.learning_rate, tune.step, round(float(tune.model), 3))


def test_the_best_learning_rate_and_step_are_used():
    """Dev is best at 1; training goes on to 5 and passes it."""
    began = []
    budget = FineTuning(steps=40, checkpoints=8, learning_rates=(1e-4, 0.1), seeds=2)
    begin = begin_at(0.0, target=5.0, began=began, steps=40)
    outcome = fine_tune(begin, used, near(1.0), (-1.0, "untuned"), budget, 3)
    scores = {row["steps"]: row["dev"] for row in outcome.table if row["seed"] == 3 and row["learning rate"] == "0.1"}
    rate, step, reached = outcome.results[0]
    assert (rate, scores[step]) == (0.1, max(scores.values()))
    assert abs(reached - 1) == pytest.approx(-scores[step], abs=2e-3)
    assert outcome.results[1] == outcome.results[0], "no seed decides where one weight goes"
    assert [(tune.learning_rate, tune.seed) for tune in began] == [(1e-4, 3), (0.1, 3), (0.1, 4)]
    assert outcome.notes == [
        f"Fine-tuned with learning rate 0.1 of 0.0001, 0.1, {step} of 40 steps, chosen on dev "
        f"({scores[step]:.3f}; untuned -1.000)."
    ]


def test_a_learning_rate_that_lost_is_not_trained_further():
    began = []
    budget = FineTuning(steps=40, checkpoints=4, learning_rates=(1e-4, 0.1), seeds=1)
    fine_tune(begin_at(0.0, target=5.0, began=began, steps=40), used, near(9.0), (-9.0, None), budget, 0)
    assert [tune.step for tune in began] == [10, 40]


def test_a_fine_tune_that_hurts_is_stopped_and_not_used():
    began = []
    budget = FineTuning(steps=40, checkpoints=4, learning_rates=(0.1, 0.01), seeds=3)
    begin = begin_at(0.0, target=5.0, began=began, steps=40)
    outcome = fine_tune(begin, used, near(0.0), (0.0, "untuned"), budget, 0)
    assert outcome.results == ["untuned"]
    assert [(tune.learning_rate, tune.step) for tune in began] == [(0.01, 20), (0.1, 10)], (
        "it fell at two checkpoints in a row, and other seeds are not tried"
    )
    best = max(row["dev"] for row in outcome.table if row["steps"])
    assert outcome.notes == [
        f"Fine-tuning did not help on dev (0.000 untuned, at best {best:.3f} with learning rate 0.01 of 0.01, 0.1): the "
        "metric is that of the untuned encoder."
    ]


@pytest.mark.parametrize(
    ("goal", "tried"),
    [(0.0, [0.01, 0.1]), (9.0, [0.01, 0.1, 1.0])],
    ids=["every learning rate does harm", "every learning rate helps"],
)
def test_larger_learning_rates_are_left_out_after_one_that_did_harm(goal, tried):
    began = []
    budget = FineTuning(steps=40, checkpoints=4, learning_rates=(1.0, 0.1, 0.01), seeds=1)
    begin = begin_at(0.0, target=20.0, began=began, steps=40)
    outcome = fine_tune(begin, used, near(goal), (-goal, "untuned"), budget, 0)
    assert [tune.learning_rate for tune in began] == tried
    assert f"of {', '.join(f'{rate:g}' for rate in tried)}" in outcome.notes[0]


def test_a_seed_that_does_not_help_counts_with_the_untuned_model():
    budget = FineTuning(steps=8, checkpoints=2, learning_rates=(0.1,), seeds=2)

    def begin(learning_rate, seed):
        return begin_at(0.0, target=5.0 if seed == 0 else -5.0, steps=8)(learning_rate, seed)

    outcome = fine_tune(begin, used, near(9.0), (-9.0, "untuned"), budget, 0)
    assert outcome.results[0][2] > 0
    assert outcome.results[1] == "untuned"
    assert outcome.notes[1] == ("With 1 of 2 seeds fine-tuning did not help on dev; the untuned encoder counts there.")


def test_without_dev_the_first_learning_rate_runs_to_its_end():
    budget = FineTuning(steps=8, learning_rates=(0.1, 0.01), seeds=2)
    outcome = fine_tune(begin_at(0.0, target=5.0, steps=8), used, None, (0.0, "untuned"), budget, 0)
    assert [result[:2] for result in outcome.results] == [(0.1, 8), (0.1, 8)]
    assert outcome.notes == ["Learning rate 0.1; there is too little training data to choose by."]


def test_parts_of_a_fine_tune_are_the_same_as_the_whole():
    whole, in_parts = (begin_at(0.0, target=5.0, steps=20)(0.1, 1) for _ in range(2))
    whole.run()
    for step in (3, 11, 20):
        in_parts.run(step)
    assert float(whole.model) == float(in_parts.model)


def test_checkpoints_are_spread_over_the_steps():
    assert checkpoints(FineTuning(steps=50, checkpoints=4)) == [12, 25, 38, 50]
    assert checkpoints(FineTuning(steps=2, checkpoints=4)) == [1, 2]


def test_the_figure_before_a_full_fine_tune_is_always_kept():
    results = {"probe": 1, "full": 2}
    assert by_mode(FineTuning(modes=("full",)), results) == {"*": 2, "probe.*": 1}
    assert by_mode(FineTuning(modes=("full", "probe")), results) == {"*": 2, "probe.*": 1}
    assert by_mode(FineTuning(modes=("probe",)), results) == {"*": 1}
    assert by_mode(FineTuning(modes=("probe", "full")), results) == {"*": 1, "full.*": 2}
