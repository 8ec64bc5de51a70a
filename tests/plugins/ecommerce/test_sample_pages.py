from collections import Counter

import pytest
from pydantic import ValidationError

from rexplug import Shard
from rexplug_ecommerce import SamplePages


def pages(source, count):
    return [page for index in range(count) for page in source.documents(Shard(index, count))]


def test_any_number_of_shards_yields_the_same_pages():
    source = SamplePages(pages=120)
    by_id = lambda page: page.id  # noqa: E731
    alone = sorted(pages(source, 1), key=by_id)
    assert [page.id for page in alone] == [f"sample-0-train-{index:07d}" for index in range(120)]
    for count in (2, 7):
        assert sorted(pages(source, count), key=by_id) == alone


def test_more_pages_do_not_change_the_first_ones():
    assert pages(SamplePages(pages=200), 1)[:50] == pages(SamplePages(pages=50), 1)


def test_seed_and_part_make_other_pages():
    texts = [{page.text for page in pages(SamplePages(pages=40, **options), 1)} for options in ({}, {"seed": 1})]
    texts.append({page.text for page in pages(SamplePages(pages=40, part="test"), 1)})
    assert not texts[0] & texts[1]
    assert not texts[0] & texts[2]
    assert not texts[1] & texts[2]


def test_limit_reads_the_first_pages():
    assert pages(SamplePages(pages=100, limit=10), 1) == pages(SamplePages(pages=10), 1)
    assert SamplePages(pages=3, shards=8).num_shards() == 3


def test_shares_of_kinds_and_lengths():
    generated = pages(SamplePages(pages=1500), 1)
    kinds = Counter(page.metadata["kind"] for page in generated)
    assert len(kinds) == 16
    retail = sum(kinds[kind] for kind in ("product", "review", "category", "specification", "long_specification"))
    assert 0.28 < retail / len(generated) < 0.40
    assert 0.025 < sum(len(page.text) > 30_000 for page in generated) / len(generated) < 0.06
    assert all(page.url and ".example/" in page.url for page in generated)
    assert SamplePages().synthetic


def test_duplicates_repeat_an_earlier_page():
    generated = pages(SamplePages(pages=400), 1)
    assert any(page.metadata["kind"] == "duplicate" for page in generated)
    seen = set()
    for page in generated:
        if page.metadata["kind"] == "duplicate":
            assert page.text in seen
        seen.add(page.text)


def test_long_specifications_repeat_their_first_line_at_the_end():
    generated = [p for p in pages(SamplePages(pages=200), 1) if p.metadata["kind"] == "long_specification"]
    assert generated
    for page in generated:
        model = page.text[: page.text.index(": specifications")].splitlines()[-1].split()
        number = next(word for word in model if "-" in word and word[-1].isdigit())
        assert number in page.text[:1000]
        assert number in page.text[-1000:]


def test_unknown_option_is_refused():
    with pytest.raises(ValidationError, match="pagez"):
        SamplePages(pagez=3)
