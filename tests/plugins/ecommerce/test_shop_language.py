"""How much of a text is the language of shops, in counts per 100 words."""

import pytest

from rexplug_ecommerce.shop_language import shop_language


def counts(text):
    found = shop_language(text)
    each = (found.pitch, found.customer, found.merchandise, found.other)
    return found.words, *(round(value * found.words / 100) for value in each)


@pytest.mark.parametrize(
    ("text", "pitch", "customer", "merchandise", "other"),
    [
        ("Perfect for travel, made of nothing, made with care.", 3, 0, 0, 0),
        ("HIGH-QUALITY and water resistant, a set of three in your size", 4, 0, 0, 0),
        ("features a lid; features nothing", 1, 0, 0, 0),
        ("made up, high hopes, the set, one time", 0, 0, 0, 0),
        ("I bought it. Highly recommend, great value for the price!", 0, 4, 0, 0),
        ("Does it fit in here? Does it.", 0, 1, 0, 0),
        ("The product works great; the battery works", 0, 3, 0, 0),
        ("He said that the company was founded in 1850.", 0, 0, 0, 6),
        ("underperfect forward, highness, themes_he", 0, 0, 0, 0),
    ],
)
def test_phrases_are_counted_where_they_begin_and_once(text, pitch, customer, merchandise, other):
    assert counts(text)[1:] == (pitch, customer, merchandise, other)


def test_merchandise_is_counted_in_singular_and_plural_and_the_longest_term_once():
    assert counts("backpack backpacks")[3] == 2
    assert counts("running shoes")[3] == 1
    assert counts("")[0] == 0
