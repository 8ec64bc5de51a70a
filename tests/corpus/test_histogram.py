import pytest

from rexplug.corpus.histogram import Histogram, bin_of


@pytest.mark.parametrize(
    ("score", "edges"),
    [(0, (0, 0.05)), (1, (0.95, 1)), (0.15, (0.15, 0.2)), (1.5, (1, 2)), (7, (5, 10)), (10, (10, 20)), (499, (200, 500)),
     (-0.5, (-1, 0)), (-3, (-5, -2))],
)  # fmt: skip
def test_bins(score, edges):
    assert bin_of(score) == pytest.approx(edges)


def test_shards_add_up():
    one, two, all_ = Histogram(), Histogram(), Histogram()
    for number, score in enumerate([0.1, 0.5, 3, 70, None, float("nan")]):
        for each in (all_, one if number % 2 else two):
            each.add(score, number < 3)
    one.merge(two.to_json())
    assert one.to_json() == all_.to_json()
    assert sum(bin["kept"] + bin["dropped"] for bin in one.to_json()) == 4
