"""Items of single evaluators in files: what is stored, what is cut, what is read again."""

import json

import numpy as np
import pytest

from rexplug import DataError, EvaluatedItem, MaskedWord, RankedDocument
from rexplug.evaluation.item_files import (
    MAX_DOCUMENT,
    MAX_ITEMS,
    MAX_TEXT,
    items_path,
    read_items,
    stored_ids,
    write_items,
)

QUERY = EvaluatedItem(
    "q1", "steel kettle", 0.5, correct=True,
    ranking=[RankedDocument("d1", "A kettle.", 3, 0.25, 1), RankedDocument("d2", "A pot.", None, 0.125, 2)],
    missed=[RankedDocument("d3", "A steel kettle.", 2)],
)  # fmt: skip
CLASS = EvaluatedItem("t1", "oak table", 0.0, correct=False, expected="furniture", predicted="toys", part="shop")
PAIR = EvaluatedItem("p1", "one", 0.75, second="two", expected=4.0, predicted=0.5)
SPANS = EvaluatedItem(
    "s1", "red oak table", 0.5, correct=False, expected_spans=[(0, 3, "colour"), (4, 7, "material")], predicted_spans=[(0, 3, "colour")]
)  # fmt: skip
WORDS = EvaluatedItem("w1", "a red shirt", 0.0, correct=False, words=[MaskedWord(2, 5, "blue", False)])


def test_items_are_read_as_they_were_written(tmp_path):
    items = [QUERY, CLASS, PAIR, SPANS, WORDS]
    assert write_items(tmp_path, "toy", "key", items) == 5
    stored = read_items(tmp_path, "toy", "key")
    assert stored.items == items
    assert stored.total == 5


def test_items_of_another_result_are_not_read(tmp_path):
    assert read_items(tmp_path, "toy", "key") is None
    write_items(tmp_path, "toy", "key", [CLASS])
    assert read_items(tmp_path, "toy", "other") is None


def test_at_most_a_thousand_are_stored_the_same_ones_in_any_order(tmp_path):
    items = [EvaluatedItem(str(number), "text", 0.0) for number in range(1500)]
    ids = []
    for name, order in (("forward", items), ("backward", items[::-1])):
        assert write_items(tmp_path, name, "key", order) == MAX_ITEMS
        stored = read_items(tmp_path, name, "key")
        assert stored.total == 1500
        ids.append({item.id for item in stored.items})
    assert ids[0] == ids[1] == stored_ids(item.id for item in items)
    assert len({int(key) // 500 for key in ids[0]}) == 3, "the sample is not the beginning"


def test_of_items_with_the_same_id_the_first_is_stored(tmp_path):
    assert (
        write_items(tmp_path, "toy", "key", [EvaluatedItem("1", "first", 0.0), EvaluatedItem("1", "second", 1.0)]) == 1
    )
    assert read_items(tmp_path, "toy", "key").items[0].text == "first"


def test_long_texts_are_cut_and_what_lies_behind_the_cut_is_left_out(tmp_path):
    long = "word " * MAX_TEXT
    beyond = MAX_TEXT + 10
    item = EvaluatedItem(
        "1", long, 1.0, ranking=[RankedDocument("d", long, 1)],
        expected_spans=[(0, 4, "near"), (beyond, beyond + 4, "far")], predicted_spans=[],
        words=[MaskedWord(0, 4, "word", True), MaskedWord(beyond, beyond + 4, "word", True)],
    )  # fmt: skip
    write_items(tmp_path, "toy", "key", [item])
    (stored,) = read_items(tmp_path, "toy", "key").items
    assert stored.text == long[:MAX_TEXT] + "…"
    assert stored.ranking[0].text == long[:MAX_DOCUMENT] + "…"
    assert stored.expected_spans == [(0, 4, "near")]
    assert stored.predicted_spans == []
    assert stored.words == [MaskedWord(0, 4, "word", True)]


def test_hostile_texts_and_numbers_of_numpy_are_stored(tmp_path):
    item = EvaluatedItem(
        "\ud83d", "half \ud83d of an emoji 👩‍👩‍👧", np.float32(0.5), np.True_, predicted=np.float64(0.25)
    )
    write_items(tmp_path, "toy", "key", [item])
    (stored,) = read_items(tmp_path, "toy", "key").items
    assert stored == EvaluatedItem("?", "half ? of an emoji 👩‍👩‍👧", 0.5, True, predicted=0.25)


@pytest.mark.parametrize(
    "content",
    ["[]", '{"key": "key"}', '{"key": "key", "items": [{"id": 1}], "documents": {}, "total": 1}',
     '{"key": "key", "total": 1, "documents": {}, "items": [{"id": "1", "text": "", "score": 0, "ranking": [["d", 1, 1, 1]]}]}'],
)  # fmt: skip
def test_a_damaged_file_is_named(tmp_path, content):
    path = items_path(tmp_path, "toy")
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_items(tmp_path, "toy", "key")
    assert str(caught.value) == f"{path} holds no items; remove it and evaluate again"


def test_documents_are_stored_once(tmp_path):
    ranking = [RankedDocument("d1", "A kettle.", 3, 0.25, 1)]
    write_items(tmp_path, "toy", "key", [EvaluatedItem(str(n), "q", 0.0, ranking=ranking) for n in range(3)])
    assert json.loads(items_path(tmp_path, "toy").read_text())["documents"] == {"d1": "A kettle."}
