"""Measures of many rows at once are those of scikit-learn and mteb."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, v_measure_score

from rexplug import Scores
from rexplug.evaluation.measures import average_precision, best_accuracy, macro_f1, v_measure
from rexplug.evaluation.statistics import bootstrap_metric, holm_correction, paired_test, value


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def test_average_precision_is_scikit_learns_with_ties(generator):
    values, targets = generator.random((30, 25)).round(1), (generator.random(25) < 0.4).astype(float)
    expected = [average_precision_score(targets, row) for row in values]
    np.testing.assert_allclose(average_precision(values, targets), expected, atol=1e-12)
    assert average_precision(values[:1], np.zeros(25)).tolist() == [0.0]


def test_best_accuracy_is_the_highest_of_all_thresholds_between_values(generator):
    values, targets = generator.random((30, 25)).round(1), (generator.random(25) < 0.4).astype(float)
    for row, found in zip(values, best_accuracy(values, targets), strict=True):
        thresholds = np.unique(row)[1:]
        assert found == pytest.approx(max(((row >= limit) == targets).mean() for limit in thresholds))


def test_macro_f1_is_scikit_learns(generator):
    values, targets = generator.integers(0, 5, (30, 25)).astype(float), generator.integers(0, 4, 25).astype(float)
    expected = [f1_score(targets, row, average="macro") for row in values]
    np.testing.assert_allclose(macro_f1(values, targets), expected, atol=1e-12)


def test_v_measure_is_scikit_learns_and_counts_repeated_items(generator):
    values, targets = generator.integers(0, 5, (30, 25)).astype(float), generator.integers(0, 4, 25).astype(float)
    times = generator.integers(0, 4, (30, 25))
    expected = [
        v_measure_score(np.repeat(targets, of_row), np.repeat(row, of_row))
        for row, of_row in zip(values, times, strict=True)
    ]
    np.testing.assert_allclose(v_measure(values, targets, times.astype(float)), expected, atol=1e-9)
    one = np.zeros((1, 25))
    assert v_measure(one, targets).tolist() == [v_measure_score(targets, one[0])]


def scores(measure, values, targets, ids="i"):
    names = [f"{ids}{number}" for number in range(len(targets))]
    return Scores(names, np.atleast_2d(values).tolist(), targets=targets.tolist(), measure=measure)


@pytest.mark.parametrize("measure", ["average_precision", "macro_f1", "v_measure"])
def test_a_better_model_is_told_from_a_worse_one_and_equal_ones_are_not(measure, generator):
    targets = generator.integers(0, 2, 200).astype(float)

    def model(noise):
        wrong = generator.random(200) < noise
        guessed = np.where(wrong, 1 - targets, targets)
        return scores(
            measure, guessed + (generator.random(200) * 0.5 if measure == "average_precision" else 0), targets
        )

    good, bad, same = model(0.1), model(0.4), model(0.4)
    clear, open_ = holm_correction([paired_test(good, bad, 1), paired_test(bad, same, 1)])
    assert clear.differs
    assert clear.value > 0.1
    assert not open_.differs
    result = bootstrap_metric(good, 2)
    assert result.low < result.value < result.high
    assert result.num_items == 200


def test_a_mean_over_parts_weighs_them_alike_and_names_within_them_are_their_own(generator):
    large, small = generator.random(400), generator.random(20) + 1
    parts = {
        "large": Scores([f"i{n}" for n in range(400)], [large.tolist()]),
        "small": Scores([f"i{n}" for n in range(20)], [small.tolist()]),
    }
    both = Scores(parts=parts)
    assert value(both) == pytest.approx((large.mean() + small.mean()) / 2)
    result = bootstrap_metric(both, 0)
    assert result.num_items == 420
    # Errors of independent parts add up: half of each standard error.
    expected = 1.96 * np.hypot(large.std() / 20, small.std() / np.sqrt(20)) / 2
    assert (result.high - result.low) / 2 == pytest.approx(expected, rel=0.15)
    nested = Scores(parts={"both": both, "again": parts["small"]})
    assert value(nested) == pytest.approx((value(both) + small.mean()) / 2)
    assert Scores.from_json({"parts": {"a": {"ids": ["x"], "values": [[0.5]]}}}).parts["a"].ids == ["x"]


def test_means_over_different_parts_are_not_compared():
    one = Scores(parts={"a": Scores(["x"], [[1.0]])})
    other = Scores(parts={"b": Scores(["x"], [[1.0]])})
    with pytest.raises(Exception, match="^the two results are means over different parts: only one of them has 'a'$"):
        paired_test(one, other, 0)


def test_a_difference_in_many_parts_is_found_though_none_shows_it_alone(generator):
    def model(shift):
        return {f"part {n}": Scores([str(i) for i in range(30)], [(base[n] + shift[n]).tolist()]) for n in range(12)}

    base = [generator.normal(size=30) for _ in range(12)]
    low = model([np.zeros(30)] * 12)
    high = model([0.12 + generator.normal(0, 0.5, 30) for _ in range(12)])
    alone = holm_correction([paired_test(high[name], low[name], 0) for name in low])
    assert sum(difference.differs for difference in alone) <= 1
    assert holm_correction([paired_test(Scores(parts=high), Scores(parts=low), 0)])[0].differs


def test_rows_of_one_training_run_are_drawn_together(generator):
    # Ten experiments of each of three training runs that differ by chance: the runs count, not the thirty rows.
    items = generator.random(300)
    rows = [(items + shift).tolist() for shift in (-0.2, 0.0, 0.2) for _ in range(10)]
    ids = [str(i) for i in range(300)]
    apart = bootstrap_metric(Scores(ids, rows), 0)
    together = bootstrap_metric(Scores(ids, rows, training_runs=[run for run in range(3) for _ in range(10)]), 0)
    assert together.high - together.low > 2 * (apart.high - apart.low)
    assert (together.num_seeds, together.spread) == (3, pytest.approx(0.2))
