import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rexplug.batches.order import invert, key_of, permute

# Sizes on both sides of the change from sorting to the network, and of powers of two.
sizes = st.one_of(st.integers(1, 3000), st.integers(4090, 4110), st.integers(8180, 8200), st.integers(1, 30_000))


@settings(max_examples=60)
@given(sizes, st.integers(0, 2**64 - 1))
def test_invert_is_the_inverse_of_permute(size, key):
    places = permute(np.arange(size), size, key)
    assert np.array_equal(np.sort(places), np.arange(size))
    assert np.array_equal(invert(places, size, key), np.arange(size))


@given(st.integers(1, 2**50), st.integers(0, 2**64 - 1), st.data())
def test_one_index_is_permuted_as_in_a_batch(size, key, data):
    indices = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=20)), np.int64)
    together = permute(indices, size, key)
    alone = [int(permute(indices[i : i + 1], size, key)[0]) for i in range(len(indices))]
    assert together.tolist() == alone
    assert ((together >= 0) & (together < size)).all()
    assert np.array_equal(invert(together, size, key), indices)


@pytest.mark.parametrize("size", [5000, 50_000])
def test_keys_give_unrelated_orders(size):
    first, second = (permute(np.arange(size), size, key_of("epoch", epoch)) for epoch in (0, 1))
    # A shuffle leaves one element in place on average; neighbours are not kept together either.
    assert (first == np.arange(size)).sum() < 10
    assert (first == second).sum() < 10
    assert (np.abs(np.diff(first)) == 1).sum() < 10
    assert abs(np.corrcoef(first, np.arange(size))[0, 1]) < 0.05


def chi_square(counts, expected):
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("size", [2, 3, 7, 16, 31])
def test_every_index_goes_to_every_place_equally_often(size):
    keys = 4000
    counts = np.zeros((size, size))
    for key in range(keys):
        counts[np.arange(size), permute(np.arange(size), size, key_of("uniform", key))] += 1
    # (size - 1)^2 degrees of freedom; mean plus five deviations.
    freedom = (size - 1) ** 2
    assert chi_square(counts, keys / size) < freedom + 5 * np.sqrt(2 * freedom)


def test_all_orders_of_four_come_up_alike():
    counts = {}
    for key in range(12_000):
        order = tuple(permute(np.arange(4), 4, key_of("orders", key)).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    # 23 degrees of freedom, p = 0.0001.
    assert chi_square(np.array(list(counts.values())), 500.0) < 57


@pytest.mark.parametrize("size", [4097, 5000, 8191])
def test_the_network_is_uniform_too(size):
    # Where every 16th of the indices goes, in 16 classes, over many keys.
    keys, classes = 40, 16
    counts = np.zeros((classes, classes))
    indices = np.arange(size)
    for key in range(keys):
        places = permute(indices, size, key_of("network", key))
        np.add.at(counts, (indices * classes // size, places * classes // size), 1)
    sizes_of = np.bincount(indices * classes // size, minlength=classes)
    expected = keys * np.outer(sizes_of, sizes_of) / size
    freedom = (classes - 1) ** 2
    assert chi_square(counts, expected) < freedom + 5 * np.sqrt(2 * freedom)
