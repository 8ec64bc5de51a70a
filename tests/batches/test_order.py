import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rexplug.batches.order import key_of, permute


@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
def test_every_index_is_sent_to_another_place(size, key):
    assert np.array_equal(np.sort(permute(np.arange(size), size, key)), np.arange(size))


@given(st.integers(1, 2**50), st.integers(0, 2**64 - 1), st.data())
def test_one_index_is_sent_where_it_is_sent_among_others(size, key, data):
    indices = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=20)), np.int64)
    together = permute(indices, size, key)
    alone = [int(permute(indices[i : i + 1], size, key)[0]) for i in range(len(indices))]
    assert together.tolist() == alone
    assert ((together >= 0) & (together < size)).all()


def test_keys_give_orders_that_have_nothing_in_common():
    first, second = (permute(np.arange(5000), 5000, key_of("epoch", epoch)) for epoch in (0, 1))
    # A shuffle leaves one element in place on average; neighbours are not kept together either.
    assert (first == np.arange(5000)).sum() < 10
    assert (first == second).sum() < 10
    assert (np.abs(np.diff(first)) == 1).sum() < 10
    assert abs(np.corrcoef(first, np.arange(5000))[0, 1]) < 0.05


def test_small_sizes_reach_every_place():
    seen = {tuple(permute(np.arange(3), 3, key)) for key in range(200)}
    assert len(seen) == 6
