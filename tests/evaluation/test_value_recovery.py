"""Recovery of annotated values: what is masked, when a value is right, which texts are used, and what is said of bad tables."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from rexplug import DataError, Document
from rexplug.corpus.decontaminate import Decontaminate, build_index
from rexplug.evaluation.value_recovery import ValueRecovery, mask_values
from rexplug.recipe.schema import Decontamination

DATA = Path(os.environ.get("REXPLUG_DATA", "../shared/data"))
ROWS = [
    {"input": "Acme red cotton shirt, red collar", "target_scores": {"Brand": {"Acme": 1}, "Color": {"red": 1}}},
    {"input": "Steel kettle 1.5 l with wooden handle", "target_scores": {"Net content": "1.5 l", "Brand": "n/a"}},
    {"input": "Snowboots by Norda, size 38", "target_scores": {"Brand": ["Norda"], "Type": {"boots": 1}}},
    {"input": "Acme oak table for six people", "target_scores": {"Brand": {"Acme": 1}, "Material": {"oak": 1}}},
]
TEXTS = [row["input"] for row in ROWS]


def table(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def rows(tmp_path):
    return table(tmp_path / "titles.jsonl", ROWS)


@pytest.mark.parametrize("always_wrong", [False, True])
def test_always_right_scores_one_and_always_wrong_scores_zero(Oracle, Setting, coarse, rows, always_wrong):
    result = ValueRecovery(paths=rows).evaluate(Setting(Oracle(coarse, TEXTS, always_wrong), {}))
    value = 0.0 if always_wrong else 1.0
    assert result.main == "exact"
    assert {name: (metric.value, metric.num_items) for name, metric in result.metrics.items() if name != "tokens"} == {
        "exact": (value, 6), "exact.brand": (value, 3), "exact.color": (value, 1),
        "exact.material": (value, 1), "exact.net_content": (value, 1),
    }  # fmt: skip
    assert result.metrics["tokens"].value == value
    assert result.metrics["tokens"].num_items > 6
    assert result.tables["By attribute"][0] == {"attribute": "Brand", "values": 3, "exact": value, "tokens": value}
    assert sum(row["values"] for row in result.tables["By attribute"]) == 6
    assert result.notes[1] == "1 annotated values occur only inside longer words; not used"
    example = next(example for example in result.examples if example["source"] == "Net content")
    assert example["text"] == "Steel kettle [MASK] with wooden handle"
    assert example["words"][0]["truth"] == "1.5 l"


def test_values_of_a_text_are_one_item(Oracle, Setting, coarse, rows):
    result = ValueRecovery(paths=rows).evaluate(Setting(Oracle(coarse, TEXTS), {}))
    scores = result.scores["exact"]
    assert len(scores.ids) == len(set(scores.ids)) == 4
    assert sorted(scores.weights[0]) == [1, 1, 2, 2]
    assert [item.id for item in result.items] == scores.ids
    table = next(item for item in result.items if item.text == TEXTS[3])
    assert [(table.text[word.start : word.end], word.correct) for word in table.words] == [
        ("Acme", True),
        ("oak", True),
    ]


def test_one_value_is_masked_at_a_time_wherever_it_occurs(fine, rows):
    texts = [text for text in ValueRecovery(paths=rows).select_texts() if text.text == TEXTS[0]]
    brand, colour = mask_values(texts, fine, 512)
    ids = np.array(fine(TEXTS[0])["input_ids"])
    for item, hidden in ((brand, ["Acme"]), (colour, ["red", "red"])):
        assert (np.delete(item.masked.token_ids, item.masked.positions) == np.delete(ids, item.masked.positions)).all()
        assert fine.decode(item.masked.truth.tolist()) == "".join(hidden)
    # The first occurrence is judged.
    right = colour.masked.truth.copy()
    right[3:] = 0
    assert colour.judge(right) == (3, 3)
    right[0] = 0
    assert colour.judge(right) == (2, 3)


def test_a_value_beyond_the_longest_input_is_not_right(coarse, rows):
    texts = [text for text in ValueRecovery(paths=rows).select_texts() if text.text == TEXTS[1]]
    (item,) = mask_values(texts, coarse, 4)
    assert len(item.masked.token_ids) == 4
    assert item.judge(np.zeros(0, np.int64)) == (0, 0)


def test_a_value_is_exact_only_if_all_its_tokens_are_right(Oracle, Setting, fine, rows):
    class FirstByteWrong(Oracle):
        def predict_masked(self, rows, positions, top=1):
            predictions = super().predict_masked(rows, positions, top)
            for predicted in predictions:
                predicted[0] = 0
            return predictions

    metrics = ValueRecovery(paths=rows).evaluate(Setting(FirstByteWrong(fine, TEXTS), {})).metrics
    assert metrics["exact"].value == 0
    letters = sum(map(len, ("Acme", "red", "1.5 l", "Norda", "Acme", "oak")))
    assert metrics["tokens"].value == pytest.approx((letters - 6) / letters)


def test_parts_divide_the_texts_by_their_hash_and_a_limit_takes_the_first(tmp_path):
    path = table(
        tmp_path / "many.jsonl",
        [
            {"input": f"Acme lamp number {n} of oak", "target_scores": {"Brand": "Acme", "Wood": "oak"}}
            for n in range(200)
        ],
    )
    parts = {
        part: [text.text for text in ValueRecovery(paths=path, part=part).select_texts()]
        for part in ("all", "dev", "test")
    }
    assert sorted(parts["dev"] + parts["test"]) == sorted(parts["all"])
    assert 40 <= len(parts["dev"]) <= 80
    some = [text.text for text in ValueRecovery(paths=path, part="test", limit=31).select_texts()]
    assert some == parts["test"][:15]
    # Another text more changes the part of none.
    more = table(tmp_path / "more.jsonl", [{"input": "Acme desk of solid oak", "target_scores": {"Brand": "Acme"}}])
    both = [text.text for text in ValueRecovery(paths=(path, more), part="dev").select_texts()]
    assert [text for text in both if "desk" not in text] == parts["dev"]


def test_fields_of_a_catalogue_are_values_where_the_text_has_them(tmp_path, Oracle, Setting, coarse):
    rows = [
        {"name": "Acme Volt 650 Gold Edition", "wattage": 650, "color": "Black", "modular": True},
        {"name": "Acme Volt 650 Gold Edition", "wattage": 650, "color": "Gold", "modular": None},
        {"name": "Acme Fan 14.5 White Red", "size": 14.5, "color": ["White", "Red"]},
        {"name": "Acme Fan 1400 Whiteness Edition", "size": 140, "color": "White"},
        {"name": "Acme White", "color": "White"},
    ]
    path = table(tmp_path / "parts.jsonl", rows)
    fields = ("wattage", "size", "color", "modular")
    evaluator = ValueRecovery(title="parts", paths=path, text_column="name", fields=fields)
    assert evaluator.label == "value_recovery.parts"
    texts = {text.text: [(v.attribute, v.text) for v in text.values] for text in evaluator.select_texts()}
    assert texts == {
        "Acme Volt 650 Gold Edition": [("wattage", "650"), ("color", "Gold")],
        "Acme Fan 14.5 White Red": [("size", "14.5"), ("color", "White"), ("color", "Red")],
    }
    result = evaluator.evaluate(Setting(Oracle(coarse, list(texts)), {}))
    assert result.metrics["exact"].num_items == 5


def test_training_text_with_a_text_of_either_part_is_dropped(tmp_path, rows):
    for part in ("dev", "test"):
        evaluator = ValueRecovery(paths=rows, part=part)
        index = build_index({evaluator.label: evaluator}, Decontamination(words=8, shortest=4), tmp_path / part)
        judge = Decontaminate(index=index).judge
        for text in TEXTS:
            assert judge(Document("page", f"New: {text.upper()}! Buy now.")).reason == "text of value_recovery"
        assert judge(Document("page", "A shirt of red cotton for Acme people, six of them.")).keep


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"title": "x"}], {}, "{path}:1: there is no column input; it has title"),
        ([{"input": 3, "target_scores": {}}], {}, "{path}:1: input is 3, expected a text"),
        ([{"input": "a b", "target_scores": "red"}], {},
         "{path}:1: target_scores is 'red', expected values by attribute such as {{\"Brand\": \"Acme\"}}"),
        ([{"input": "a b", "target_scores": {"Size": 3}}], {},
         "{path}:1: target_scores: a value of 'Size' is 3, expected a text"),
        ([{"input": "Red shirt", "target_scores": {"Color": "blue"}}], {},
         "{path}:1: the value 'blue' of 'Color' does not occur in input"),
        ([{"input": "Red shirt", "target_scores": {"Color": "Red"}}], {},
         "no text of {path} has 4 words and a value in it"),
        ([{"input": "Red shirt", "color": "Red"}], {"fields": ("color", "size")},
         "fields: no row of {path} has a column 'size'"),
        ([ROWS[0]], {"part": "dev", "dev": 1e-9}, "no text of {path} is in dev; take more texts, or part: all"),
    ],
    ids=["column", "text", "values", "value", "elsewhere", "short", "field", "part"],
)  # fmt: skip
def test_bad_tables_are_named(tmp_path, rows, options, message):
    path = table(tmp_path / "t.jsonl", rows)
    with pytest.raises(DataError) as caught:
        ValueRecovery(paths=path, **options).select_texts()
    assert str(caught.value) == "value_recovery: " + message.format(path=path)


def test_check_reads_the_first_row_of_each_table(tmp_path, rows):
    ValueRecovery(paths=rows).check()
    empty = table(tmp_path / "empty.jsonl", [])
    with pytest.raises(DataError) as caught:
        ValueRecovery(paths=(rows, empty)).check()
    assert str(caught.value) == f"value_recovery: {empty} is empty"
    other = table(tmp_path / "other.jsonl", [{"input": "x", "labels": {}}])
    with pytest.raises(DataError) as caught:
        ValueRecovery(paths=(rows, other)).check()
    assert str(caught.value) == f"value_recovery: {other}:1: there is no column target_scores; it has input, labels"


@pytest.mark.skipif(not (DATA / "attribute-extraction").is_dir(), reason="no REXPLUG_DATA with attribute-extraction")
def test_the_public_tables_hold_four_thousand_values_on_test():
    paths = [DATA / "attribute-extraction" / f"{name}.jsonl.zst" for name in ("oa-mine__train", "ae-110k__test")]
    parts = {part: ValueRecovery(paths=tuple(paths), part=part).select_texts() for part in ("dev", "test")}
    assert sum(len(text.values) for text in parts["test"]) >= 4000
    assert not {text.text for text in parts["dev"]} & {text.text for text in parts["test"]}
