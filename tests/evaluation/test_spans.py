"""Labelled spans as tags of tokens, and back."""

from rexplug.evaluation.spans import spans_of_tags, tags_of_spans


def test_spans_survive_the_way_through_tags(coarse, fine):
    text = "a red cotton shirt by Acme, steel kettle"
    spans = [(2, 12, "look"), (22, 26, "brand"), (28, 33, "look")]
    for tokenizer in (coarse, fine):
        places = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        tags = tags_of_spans(spans, places, ["brand", "look"])
        assert spans_of_tags(text, places, tags, ["brand", "look"]) == set(spans)
        assert tags[0] == tags[-1] == -1, "special tokens count for nothing"


def test_neighbouring_spans_of_one_label_stay_apart(fine):
    text = "red blue"
    places = fine(text, return_offsets_mapping=True)["offset_mapping"]
    spans = [(0, 4, "x"), (4, 8, "x")]
    tags = tags_of_spans(spans, places, ["x"])
    assert spans_of_tags(text, places, tags, ["x"]) == {(0, 3, "x"), (4, 8, "x")}
