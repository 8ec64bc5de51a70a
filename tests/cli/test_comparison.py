"""The head of a comparison on the terminal."""

from rexplug.cli.comparison import headers


def test_what_all_labels_share_is_said_once():
    assert headers(["masking=random", "masking=guided_mlm.whole_word"]) == [
        "metric, by masking",
        "random",
        "guided_mlm.\nwhole_word",
    ]


def test_labels_that_differ_in_more_than_a_value_stay_whole():
    assert headers(["a=1 b=2", "a=1 b=3"]) == ["metric", "a=1 b=2", "a=1 b=3"]
    assert headers(["runs/a", "masking=random"]) == ["metric", "runs/a", "masking=random"]
    assert headers(["masking=random"]) == ["metric", "masking=random"]
