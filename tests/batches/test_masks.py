from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import rexplug
from rexplug.batches.masking import IGNORED, Masker, row_generator
from rexplug.batches.policies import RandomMasking
from rexplug.tokens.special import SpecialTokens

SPECIAL = SpecialTokens(cls=1, sep=2, pad=3, mask=4, vocabulary_size=40, all=frozenset({0, 1, 2, 3, 4, 17}))


def view(size, token=20):
    tokens = np.full(size, token, np.int64)
    maskable = np.ones(size, np.bool_)
    tokens[0], tokens[-1] = SPECIAL.cls, SPECIAL.sep
    maskable[[0, -1]] = False
    return rexplug.TokenBatch(tokens, np.array([0, size]), maskable, {})


@given(st.integers(2, 400), st.floats(0, 1), st.integers(0, 2**32))
def test_the_rate_is_exact_and_special_tokens_are_spared(size, rate, seed):
    batch = view(size)
    row = Masker(RandomMasking(rate=rate), SPECIAL).mask(batch, 0.0, row_generator(seed, "p", 0, 0))
    masked, labels = row.token_ids, row.labels
    expected = min(size - 2, max(1, round(rate * (size - 2))))
    assert (labels != IGNORED).sum() == row.num_masked == expected
    assert labels[0] == labels[-1] == IGNORED
    assert np.array_equal(masked[labels == IGNORED], batch.token_ids[labels == IGNORED])
    assert np.array_equal(labels[labels != IGNORED], batch.token_ids[labels != IGNORED])


def test_replacement_is_80_10_10_over_the_whole_vocabulary_without_special_ids():
    batch = view(60_002)
    row = Masker(RandomMasking(rate=1.0), SPECIAL).mask(batch, 0.0, row_generator(1, "p", 0, 0))
    replaced = row.token_ids[row.labels != IGNORED]
    assert abs((replaced == SPECIAL.mask).mean() - 0.8) < 0.01
    # A random token may be the token itself: 10 % kept and 10 % / 34 drawn.
    assert abs((replaced == 20).mean() - (0.1 + 0.1 / 34)) < 0.01
    drawn = np.setdiff1d(replaced, [SPECIAL.mask])
    assert set(drawn.tolist()) == set(range(40)) - SPECIAL.all
    counts = np.bincount(replaced, minlength=40)[[i for i in range(40) if i not in SPECIAL.all and i != 20]]
    assert counts.min() > 0.6 * counts.mean()
    assert counts.max() < 1.4 * counts.mean()


def test_replacement_mask_is_always_mask():
    masker = Masker(RandomMasking(rate=0.5, replacement="mask"), SPECIAL)
    row = masker.mask(view(100), 0.0, row_generator(1, "p", 0, 0))
    assert set(row.token_ids[row.labels != IGNORED].tolist()) == {SPECIAL.mask}


def test_a_padded_row_is_masked_in_place_as_without_padding():
    masker, batch = Masker(RandomMasking(rate=0.3), SPECIAL), view(50)
    out = np.concatenate([batch.token_ids, np.full(14, SPECIAL.pad)])
    row, padded = (masker.mask(batch, 0.0, row_generator(1, "p", 0, 0), out=given) for given in (None, out))
    assert padded.token_ids is out
    assert np.array_equal(padded.token_ids, [*row.token_ids, *[SPECIAL.pad] * 14])
    assert np.array_equal(padded.labels, [*row.labels, *[IGNORED] * 14])
    assert padded.num_masked == row.num_masked == 14
    assert np.array_equal(batch.token_ids, view(50).token_ids)


def test_every_token_is_equally_likely():
    batch = view(22)
    counts = np.zeros(22)
    for row in range(4000):
        counts += RandomMasking(rate=0.3).choose(batch, 0.0, row_generator(0, "p", 0, row))
    assert counts[0] == counts[-1] == 0
    # Binomial: 1200 expected, standard deviation 29.
    assert np.abs(counts[1:-1] - 1200).max() < 5 * 29


def test_the_generator_depends_on_every_part_of_its_key():
    draws = {
        row_generator(*key).integers(2**60)
        for key in [(0, "a", 0, 0), (1, "a", 0, 0), (0, "b", 0, 0), (0, "a", 1, 0), (0, "a", 0, 1), (0, "a", 11, 1)]
    }
    assert len(draws) == 6
    assert row_generator(3, "x", 4, 5).integers(2**60) == row_generator(3, "x", 4, 5).integers(2**60)


class Bad(rexplug.MaskingPolicy):
    name: ClassVar[str] = "toy.bad"

    how: str

    def choose(self, batch: rexplug.TokenBatch, progress: float, generator: np.random.Generator) -> NDArray[np.bool_]:
        chosen = np.zeros(len(batch.token_ids), np.bool_)
        if self.how == "special":
            chosen[:3] = True
        if self.how == "many":
            chosen[1:8] = True
        return chosen[:5] if self.how == "shape" else chosen.astype(np.int64) if self.how == "dtype" else chosen


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("special", "toy.bad.choose() chose a special or padding token, which is never masked"),
        ("many", "toy.bad.choose() chose 7 tokens, but its rate asks for 3"),
        ("few", "toy.bad.choose() chose 0 tokens, but its rate asks for 3"),
        ("shape", "toy.bad.choose() returned bool [5]; expected bool [12]"),
        ("dtype", "toy.bad.choose() returned int64 [12]; expected bool [12]"),
    ],
)
def test_a_policy_that_breaks_the_contract_is_named(how, message):
    with pytest.raises(rexplug.PluginError) as refused:
        Masker(Bad(how=how), SPECIAL).mask(view(12), 0.0, row_generator(0, "p", 0, 0))
    assert str(refused.value) == message
