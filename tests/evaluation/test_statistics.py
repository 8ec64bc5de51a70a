"""Intervals, paired comparisons and Holm's correction."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from rexplug import DataError, Scores
from rexplug.evaluation.measures import spearman
from rexplug.evaluation.statistics import bootstrap_metric, holm_correction, paired_test, value


def scores(values, **more):
    return Scores([str(i) for i in range(len(values))], [list(values)], **more)


def test_intervals_cover_and_are_reproducible():
    values = np.random.default_rng(0).random(400)
    result = bootstrap_metric(scores(values), 3)
    assert result == bootstrap_metric(scores(values), 3)
    assert result.low < result.value < result.high
    # 1.96 standard errors on both sides.
    assert result.high - result.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_a_ratio_weighs_its_items():
    result = bootstrap_metric(Scores(["a", "b", "c"], [[1.0, 0.0, 3.0]], [[2.0, 0.0, 4.0]]), 0)
    assert (result.value, result.num_items) == (4 / 6, 6)


def test_rank_correlation_is_scipys():
    generator = np.random.default_rng(1)
    x, y = generator.random(60).round(1), generator.random(60).round(1)
    assert value(scores(x, targets=y.tolist())) == pytest.approx(spearmanr(x, y).statistic)


def test_many_rank_correlations_at_once_are_scipys():
    generator = np.random.default_rng(11)
    values, targets = generator.random((50, 40)).round(1), generator.integers(0, 4, 40).astype(float)
    expected = [spearmanr(row, targets).statistic for row in values]
    np.testing.assert_allclose(spearman(values, targets), expected, atol=1e-12)
    assert spearman(np.zeros((2, 40)), targets).tolist() == [0.0, 0.0]
    assert spearman(values[:2], np.ones(40)).tolist() == [0.0, 0.0]


def test_items_of_a_group_are_drawn_together():
    # Ten groups of forty equal items hold the information of ten items.
    values = np.repeat(np.random.default_rng(2).random(10), 40)
    groups = [str(i // 40) for i in range(400)]
    together, apart = bootstrap_metric(scores(values, groups=groups), 0), bootstrap_metric(scores(values), 0)
    assert together.high - together.low > 4 * (apart.high - apart.low)


def test_fine_tunes_have_a_spread_and_widen_the_interval():
    generator = np.random.default_rng(3)
    base = generator.random(300)
    rows = [(base + shift).tolist() for shift in (-0.2, 0.0, 0.2)]
    result = bootstrap_metric(Scores([str(i) for i in range(300)], rows), 0)
    assert result.spread == pytest.approx(0.2)
    assert result.num_seeds == 3
    alone = bootstrap_metric(scores(base), 0)
    assert result.high - result.low > 3 * (alone.high - alone.low)


def test_a_real_difference_is_detected_and_the_same_model_shows_none():
    generator = np.random.default_rng(4)
    low = (generator.random(500) < 0.5).astype(float)
    high = np.maximum(low, generator.random(500) < 0.1)
    comparisons = holm_correction([paired_test(scores(high), scores(low), 0), paired_test(scores(low), scores(low), 0)])
    assert comparisons[0].differs
    assert comparisons[0].value == pytest.approx((high - low).mean())
    assert comparisons[0].low < comparisons[0].value < comparisons[0].high
    assert not comparisons[1].differs
    assert (comparisons[1].value, comparisons[1].p) == (0.0, 1.0)


def test_pairing_finds_what_two_intervals_hide():
    generator = np.random.default_rng(5)
    low = generator.random(200)
    high = low + 0.02 + generator.normal(0, 0.01, 200)
    one, other = bootstrap_metric(scores(high), 0), bootstrap_metric(scores(low), 0)
    assert one.low < other.high, "the intervals overlap"
    assert holm_correction([paired_test(scores(high), scores(low), 0)])[0].differs


def test_a_test_rejects_no_more_often_than_it_should():
    generator = np.random.default_rng(6)
    p = [paired_test(scores(generator.random(40)), scores(generator.random(40)), n).p for n in range(60)]
    assert np.mean(np.array(p) < 0.05) <= 0.15


def test_a_difference_that_one_run_makes_is_not_real():
    items = [str(i) for i in range(400)]
    low = np.random.default_rng(7).random(400)
    rows = [(low + shift).tolist() for shift in (0.3, -0.01, -0.02)]
    comparison = holm_correction(
        [paired_test(Scores(items, rows), Scores(items, [low.tolist()] * 3), 0, training_runs=3)]
    )[0]
    assert comparison.seeds == (1, 3)
    assert comparison.p_holm < 0.05
    assert not comparison.differs
    assert not comparison.real


def test_holm_multiplies_the_smallest_most():
    generator = np.random.default_rng(8)
    pairs = [paired_test(scores(generator.random(30) + s), scores(generator.random(30)), 0) for s in (0.5, 0.1, 0.2)]
    p = sorted(pair.p for pair in pairs)
    corrected = sorted(pair.p_holm for pair in holm_correction(pairs))
    assert corrected[0] == pytest.approx(min(1, 3 * p[0]))
    assert corrected[1] == pytest.approx(max(corrected[0], min(1, 2 * p[1])))
    assert corrected == sorted(corrected)


def test_only_common_items_are_compared():
    one = Scores(["a", "b", "c"], [[1.0, 0.0, 1.0]])
    other = Scores(["c", "b", "x"], [[0.0, 0.0, 9.0]])
    comparison = paired_test(one, other, 0)
    assert (comparison.value, comparison.num_items) == (0.5, 2)
    with pytest.raises(DataError) as caught:
        paired_test(one, Scores(["y"], [[1.0]]), 0)
    assert str(caught.value) == "the two results have no items in common: they were measured on other data"
    with pytest.raises(DataError) as caught:
        paired_test(one, Scores(["a"], [[1.0]], targets=[0.3]), 0)
    assert str(caught.value) == "the two results hold scores of different kinds and cannot be compared"


def test_a_clear_difference_survives_a_table_of_many_tests():
    generator = np.random.default_rng(9)
    low = generator.random(100)
    clear = paired_test(scores(low + 0.3), scores(low), 0)
    rest = [paired_test(scores(generator.random(20)), scores(generator.random(20)), n) for n in range(60)]
    assert holm_correction([clear, *rest])[0].differs


def test_groups_are_swapped_whole_in_rank_correlations_too():
    generator = np.random.default_rng(10)
    targets = generator.random(80).tolist()
    groups = [str(i // 8) for i in range(80)]
    good, bad = np.array(targets) + generator.normal(0, 0.05, 80), generator.random(80)
    comparison = paired_test(
        scores(good, targets=targets, groups=groups), scores(bad, targets=targets, groups=groups), 0
    )
    assert comparison.p < 0.02
    assert comparison.low > 0.3


def test_differences_of_one_training_run_are_not_called_real():
    low = np.random.default_rng(12).random(300)
    rows = {"values": [(low + shift).tolist() for shift in (0.1, 0.11, 0.12)]}
    ids = [str(i) for i in range(300)]
    base = Scores(ids, [low.tolist()] * 3)
    # Three fine-tunes of one training run are still one training run.
    one, several = (holm_correction([paired_test(Scores(ids, **rows), base, 0, training_runs=n)])[0] for n in (1, 3))
    assert (one.differs, one.real, one.verdict) == (True, False, "differs on these items; seeds were not varied")
    assert (several.differs, several.real, several.verdict) == (True, True, "real")
    same = holm_correction([paired_test(base, base, 0)])[0]
    assert (same.differs, same.real, same.verdict) == (False, False, "may be chance")


def simulated(generator, items, other_noise):
    """Cosines of two models and the targets: one in a narrow cone, the other spread out; `other_noise` worsens the second."""
    targets = generator.normal(size=items)
    narrow = 0.95 + 0.01 * (targets + 0.8 * generator.normal(size=items))
    wide = 0.3 * (targets + other_noise * generator.normal(size=items))
    return scores(narrow, targets=targets.tolist()), scores(wide, targets=targets.tolist())


def rejected(trials, items, other_noise):
    """Share of simulated comparisons with p < 0.05."""
    generator = np.random.default_rng(13)
    return np.mean([paired_test(*simulated(generator, items, other_noise), n).p < 0.05 for n in range(trials)])


def test_rank_correlations_show_a_difference_at_different_scales():
    assert rejected(12, 150, 1.25) >= 0.6


@pytest.mark.slow
def test_power_and_error_of_the_test_of_rank_correlations():
    assert rejected(40, 150, 1.25) >= 0.75
    assert rejected(40, 150, 0.8) <= 0.12


def called_different(runs, trials):
    """Share of comparisons of equal methods that the test calls different: runs differ by chance as much as items do."""
    generator = np.random.default_rng(14)
    ids = [str(i) for i in range(300)]
    found = 0
    for number in range(trials):
        items = generator.normal(size=300)
        one, other = (
            Scores(
                ids,
                [(items + 0.03 * generator.normal() + 0.5 * generator.normal(size=300)).tolist() for _ in range(runs)],
            )
            for _ in range(2)
        )
        found += holm_correction([paired_test(one, other, number, training_runs=runs)])[0].differs
    return found / trials


@pytest.mark.slow
def test_one_seed_calls_equal_methods_different_and_three_hardly_ever():
    assert called_different(1, 100) >= 0.1
    assert called_different(3, 100) <= 0.06
